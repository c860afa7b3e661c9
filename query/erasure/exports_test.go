package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/store"
)

// counter is an office that knows what it made and what was dropped, and what
// was to be in it.
type counter struct {
	*export.Office
	before func(export.Order) error // a fault, before anything is made

	mu     sync.Mutex
	orders []export.Order
	made   []stream.ExportPlace // and not dropped
}

func (c *counter) Make(ctx context.Context, o export.Order) (export.Made, error) {
	if err := c.before(o); err != nil {
		return export.Made{}, err
	}
	m, err := c.Office.Make(ctx, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.orders, c.made = append(c.orders, o), append(c.made, m.Place)
	}
	return m, err
}

func (c *counter) Drop(ctx context.Context, p stream.ExportPlace) error {
	c.mu.Lock()
	c.made = slices.DeleteFunc(c.made, func(m stream.ExportPlace) bool { return m == p })
	c.mu.Unlock()
	return c.Office.Drop(ctx, p)
}

// left is what was made of a kind and not dropped.
func (c *counter) left() []stream.ExportPlace {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.made)
}

// order is the last one of a request.
func (c *counter) order(id string) (out export.Order) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.orders {
		if o.Request == id {
			out = o
		}
	}
	return out
}

// desk is a house whose workers make exports.
type desk struct {
	*house
	*counter
}

func openDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{house: build(t, nil)}
	office, err := export.New(export.Config{Archive: d.archive, Keyring: d.kit.Keyring, Store: stream.NewExports(d.kit.JS)})
	d.check(err)
	d.counter = &counter{Office: office, before: func(export.Order) error { return nil }}
	d.Workflow = d.worker(nil)
	return d
}

// worker is one more process that makes exports.
func (d *desk) worker(change func(*erasure.Config)) *erasure.Workflow {
	d.t.Helper()
	return d.workflow(func(c *erasure.Config) {
		c.Exports = d.counter
		if change != nil {
			change(c)
		}
	})
}

// ask is an approved request.
func (d *desk) ask(kind, subject string) string {
	d.t.Helper()
	id := d.verified(kind, subject)
	d.approved(id)
	return id
}

// verified is a request whose person is known to have made it.
func (d *desk) verified(kind, subject string) string {
	d.t.Helper()
	r, _, err := d.Receive(d.t.Context(), erasure.Input{Tenant: "acme", Type: kind, Regulation: erasure.GDPR, Issuer: issuer, Subject: subject, Actor: "handler"})
	d.check(err)
	_, err = d.Act(d.t.Context(), erasure.Act{ID: r.ID, To: erasure.Verified, Actor: "handler", Reaches: all})
	d.check(err)
	return r.ID
}

func (d *desk) approved(id string) {
	d.t.Helper()
	_, err := d.Act(d.t.Context(), erasure.Act{ID: id, To: erasure.Approved, Actor: "approver", Reaches: all})
	d.check(err)
}

// answered waits for the export of a request.
func (d *desk) answered(id string, want erasure.Outcome) stream.ExportPlace {
	d.t.Helper()
	if r := d.until(id, erasure.Completed); r.Outcome != want {
		d.t.Errorf("outcome %s, want %s", r.Outcome, want)
	}
	place, err := d.Export(id, all)
	d.check(err)
	return place
}

// TestAccessIsAnswered: a request is completed once its export can be fetched,
// with one export however many workers there are, and says what is known of the
// person beside their events.
func TestAccessIsAnswered(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	two := d.worker(nil)
	d.meet("alice", events.Event{Type: events.TokenIssued})
	held := d.place(erasure.HoldInput{Subject: "alice"})
	restriction := d.ask(erasure.Restriction, "alice")
	d.kit.Run(d.Run)
	d.kit.Run(two.Run)
	d.until(restriction, erasure.Completed)
	ids := []string{d.ask(erasure.Access, "alice"), d.ask(erasure.Portability, "alice")}
	var places []stream.ExportPlace
	for _, id := range ids {
		place := d.answered(id, erasure.Exported)
		places = append(places, place)
		l, err := d.Issue(t.Context(), place, "")
		d.check(err)
		if _, err := d.Open(t.Context(), place, l.Secret); err != nil {
			t.Error(err)
		}
	}
	unknown := d.answered(d.ask(erasure.Access, "nobody"), erasure.NoMatch)
	d.eventually("one export a request", func() error {
		for _, p := range d.left() {
			if !slices.Contains(append(places, unknown), p) {
				return errors.New("another is there")
			}
		}
		return nil
	})
	o := d.order(ids[0])
	if len(o.Requests) < 2 || o.Restricted != restriction || len(o.Holds) != 1 || o.Holds[0].Article != held.Article || o.Subject != "alice" {
		t.Errorf("%+v", o)
	}
	if _, err := d.Export(ids[0], func(tenant string) bool { return tenant == "globex" }); !errors.Is(err, erasure.ErrNotFound) {
		t.Errorf("another tenant: %v", err)
	}
	d.erasureEndsExports(places)
}

// erasureEndsExports: who is forgotten has no export any more, and none is made.
func (d *desk) erasureEndsExports(places []stream.ExportPlace) {
	d.t.Helper()
	d.until(d.approve("alice"), erasure.Partial) // a hold keeps something: their exports go all the same
	store := stream.NewExports(d.kit.JS)
	for _, p := range places {
		if _, err := store.Get(d.t.Context(), p, stream.ExportMade); !errors.Is(err, stream.ErrNotFound) {
			d.t.Errorf("an export is there still: %v", err)
		}
	}
	late := d.ask(erasure.Access, "alice")
	if r := d.until(late, erasure.Completed); r.Outcome != erasure.AlreadyErased || !r.ExportUntil.IsZero() {
		d.t.Errorf("%+v", r)
	}
	var state *erasure.StateError
	if _, err := d.Export(late, all); !errors.As(err, &state) {
		d.t.Errorf("an export of who was forgotten: %v", err)
	}
}

// TestExportIsTriedAgain, by another worker too, until it is there: stopped
// before, after or while it is recorded, one is left. An erasure does not wait
// for it, and ends it.
func TestExportIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.meet("alice", events.Event{Type: events.TokenIssued})
	d.meet("bob", events.Event{Type: events.TokenIssued})
	tried := make(chan struct{}, 100)
	broken := errors.New("injected")
	d.before = func(o export.Order) error {
		if strings.HasPrefix(o.Subject, "bob") {
			tried <- struct{}{}
			return broken
		}
		return nil
	}
	first := d.worker(func(c *erasure.Config) { c.Publisher = &unfinished{Publisher: c.Publisher, tried: tried} })
	stop := d.kit.Run(first.Run)
	id := d.ask(erasure.Access, "alice")
	<-tried
	<-tried
	if n := len(d.left()); n != 1 {
		t.Errorf("%d exports were made of one request", n)
	}
	if r, _ := d.Get(id, all); r.State != erasure.Approved {
		t.Errorf("it is %s without being recorded", r.State)
	}
	stop()
	d.kit.Run(d.Run)
	d.answered(id, erasure.Exported)

	never := d.ask(erasure.Portability, "bob")
	<-tried
	d.until(d.approve("bob"), erasure.Completed)
	if r := d.until(never, erasure.Completed); r.Outcome != erasure.AlreadyErased {
		t.Errorf("outcome %s", r.Outcome)
	}
}

// TestExportsOfAShardThatStandsStill wait together, once a round: those of other shards
// come after one of them, and not after each.
func TestExportsOfAShardThatStandsStill(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.meet("alice", events.Event{Type: events.TokenIssued})
	d.meet("bob", events.Event{Type: events.TokenIssued})
	ids := []string{d.ask(erasure.Access, "alice"), d.ask(erasure.Access, "bob")}
	var stands atomic.Bool
	var round, tried atomic.Int64 // how often one was tried in this round
	stands.Store(true)
	rounds := make(chan struct{}, 1000)
	d.before = func(export.Order) error {
		if !stands.Load() {
			return nil
		}
		if n := tried.Add(1); n > 1 {
			t.Errorf("round %d: the shard is waited for %d times", round.Load(), n)
		}
		return fmt.Errorf("injected: %w", export.ErrBehind)
	}
	worker := d.worker(func(c *erasure.Config) {
		c.ExportLock = func(context.Context) (func(), error) {
			round.Add(1)
			tried.Store(0)
			rounds <- struct{}{}
			return func() {}, nil
		}
	})
	d.kit.Run(worker.Run)
	for range 3 {
		<-rounds
	}
	stands.Store(false)
	for _, id := range ids {
		d.answered(id, erasure.Exported)
	}
}

// TestExportsBehindAnArchive that always is: each has what was on the log when it was
// first tried, and none waits for more because another had to wait.
func TestExportsBehindAnArchive(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	archive := &trailing{Archive: d.archive}
	office, err := export.New(export.Config{Archive: archive, Keyring: d.kit.Keyring, Store: stream.NewExports(d.kit.JS)})
	d.check(err)
	d.counter.Office = office
	var ids []string
	for _, subject := range []string{"alice", "bob", "carol"} {
		d.meet(subject, events.Event{Type: events.TokenIssued})
		ids = append(ids, d.ask(erasure.Access, subject))
	}
	d.kit.Run(d.Run)
	for _, id := range ids {
		d.answered(id, erasure.Exported)
	}
	if n := archive.waits(); n != trails {
		t.Errorf("it was waited for %d times, want %d for all of them", n, trails)
	}
}

// reaching is an archive that has what is below an index.
type reaching struct {
	*store.Archive
	has  atomic.Uint64
	ends chan uint64
}

func (a *reaching) End(ctx context.Context, shard uint16) (uint64, error) {
	end, err := a.Archive.End(ctx, shard)
	a.ends <- end
	return end, err
}

func (a *reaching) CatchUp(ctx context.Context, shard uint16, end uint64) (uint64, error) {
	if has := a.has.Load(); has < end {
		return has, export.ErrBehind
	}
	return a.Archive.CatchUp(ctx, shard, end)
}

// TestExportWhoseEndIsReachedWaitsForNobody: a request that was received before it, and
// approved after, may wait for more.
func TestExportWhoseEndIsReachedWaitsForNobody(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	archive := &reaching{Archive: d.archive, ends: make(chan uint64, 8)}
	office, err := export.New(export.Config{Archive: archive, Keyring: d.kit.Keyring, Store: stream.NewExports(d.kit.JS)})
	d.check(err)
	d.counter.Office = office
	d.meet("alice", events.Event{Type: events.TokenIssued})
	d.meet("bob", events.Event{Type: events.TokenIssued})
	before := d.verified(erasure.Access, "alice")
	behind := d.ask(erasure.Access, "bob")
	d.kit.Run(d.Run)
	end := <-archive.ends
	d.approved(before)
	<-archive.ends
	archive.has.Store(end)
	d.answered(behind, erasure.Exported)
}

// unfinished is a publisher that does not take completions.
type unfinished struct {
	erasure.Publisher
	tried chan struct{}
}

func (u *unfinished) Publish(ctx context.Context, evs ...events.Event) error {
	if evs[0].Type == events.RequestCompleted {
		u.tried <- struct{}{}
		return errors.New("injected")
	}
	return u.Publisher.Publish(ctx, evs...)
}
