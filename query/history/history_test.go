package history_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/intake"
	"github.com/rescindhq/rescind/query/history"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/revocation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// past is a log that was written by a real intake, and what is on it.
type past struct {
	*lanetest.Kit
	follower *lane.Follower
	history  *history.History
	entries  []logged
}

// logged is one record of the control lane, and when its batch was written.
type logged struct {
	index   uint64
	written time.Time
	record  *events.Record
}

func begin(t *testing.T) *past {
	t.Helper()
	p := &past{Kit: lanetest.Start(t)}
	p.open(p.Keyring)
	return p
}

// open makes a history over a keyring, as a process does that starts.
func (p *past) open(keys *seal.Keyring) {
	p.T.Helper()
	p.follower = p.Follower()
	var err error
	if p.history, err = history.New(history.Config{Logs: []*stream.Log{p.Log}, Keys: keys, Lane: p.follower}); err != nil {
		p.T.Fatal(err)
	}
	p.Run(p.follower.Run)
}

// read reads the whole control lane.
func (p *past) read() {
	p.T.Helper()
	last, err := p.Log.LastOf(p.T.Context(), events.Control)
	if err != nil {
		p.T.Fatal(err)
	}
	r, err := p.Log.Read(p.T.Context(), 1, events.Control)
	if err != nil {
		p.T.Fatal(err)
	}
	defer r.Close()
	p.entries = nil
	for seq := uint64(0); seq < last.Seq; {
		messages, err := r.Next(p.T.Context(), 1<<20)
		if err != nil {
			p.T.Fatal(err)
		}
		for _, m := range messages {
			seq = m.Seq
			p.unpack(m.Data)
		}
	}
}

func (p *past) unpack(data []byte) {
	p.T.Helper()
	b, err := events.UnmarshalBatch(data)
	if err != nil {
		p.T.Fatal(err)
	}
	for i := range b.Items {
		record, err := events.UnmarshalRecord(b.Items[i].Record)
		if err != nil {
			p.T.Fatal(err)
		}
		p.entries = append(p.entries, logged{b.Header.First + uint64(i), time.UnixMicro(b.Header.Written), record})
	}
}

// set is what a set holds that was fed what is below an index.
func (p *past) set(keys []events.FeedKey, end uint64) *revocation.Set {
	s := revocation.NewSet(1)
	s.SetKeys(keys)
	for _, l := range p.entries {
		if l.index >= end {
			break
		}
		if e, ok, err := revocation.EntryOf(l.record, l.index); ok && err == nil {
			s.Apply(e)
		}
	}
	return s
}

const issuer = "https://id.example"

func claims(rng *rand.Rand, tenant string) revocation.Claims {
	id := func(kind string) string { return fmt.Sprint(kind, rng.IntN(8)) }
	return revocation.Claims{
		Tenant: tenant, Issuer: issuer, TokenID: id("j"), SessionID: id("s"), Subject: id("u"), ClientID: id("c"), KeyID: id("k"), GrantID: id("g"),
		IssuedAt: events.TimestampOf(time.Now().Add(-time.Duration(rng.IntN(120)) * time.Second)),
	}
}

func (p *past) revoke(id string, rng *rand.Rand, tenant string) events.Event {
	scopes := revocation.Scopes()[:6] // the widest would revoke all
	scope, c := scopes[rng.IntN(len(scopes))], claims(rng, tenant)
	d := events.Data{Issuer: issuer, Reason: id, Actor: "a"}
	switch scope {
	case events.ScopeToken:
		d.TokenID = c.TokenID
		d.Expires = events.TimestampOf(time.Now().Add(-time.Minute + time.Duration(rng.IntN(3000))*time.Millisecond)) // and a minute of skew
	case events.ScopeSession:
		d.SessionID = c.SessionID
	case events.ScopeGrant:
		d.GrantID = c.GrantID
	case events.ScopeSubject:
		d.Subject, d.IssuedBefore = c.Subject, c.IssuedAt
	case events.ScopeClient:
		d.ClientID, d.IssuedBefore = c.ClientID, c.IssuedAt
	case events.ScopeKey:
		d.KeyID = c.KeyID
	}
	return p.event(id, scope.RevokedType(), tenant, d)
}

func (p *past) event(id string, t events.Type, tenant string, d events.Data) events.Event {
	return events.Event{ID: id, Source: "rescind:test", Type: t, Time: time.Now(), Tenant: tenant, Environment: lanetest.Environment, Data: d}
}

// lift lifts a revocation of the log.
func (p *past) lift(id string, l *logged) events.Event {
	v := l.record.Revocation
	return p.event(id, events.RevocationLifted, l.record.Tenant, events.Data{Issuer: issuer, Reason: "back", Actor: "a", Expires: v.Expires, Attributes: map[string]string{
		"revocation": l.record.Ref().String(), "hash": v.Hash.String(), "scope": string(v.Scope), "feed_key": strconv.Itoa(int(v.FeedKey)), "position": strconv.FormatUint(l.index, 10),
	}})
}

// write writes a random history of two tenants.
func (p *past) write(rng *rand.Rand, n int) {
	p.T.Helper()
	for i := range n {
		id := fmt.Sprint(i)
		switch {
		case i%4 == 3:
			p.settle()
			if l := p.entries[rng.IntN(len(p.entries))]; l.record.Type.RevokedScope() != "" {
				p.Publish(p.lift(id, &l))
			}
		case i%7 == 1: // something in the other lane
			p.Publish(p.event(id, events.TokenIssued, "acme", events.Data{Issuer: issuer, TokenID: "j" + id}))
		default:
			p.Publish(p.revoke(id, rng, []string{"acme", "umbrella"}[rng.IntN(2)]))
		}
	}
	p.StopIntake() // so that what follows is one batch
	for i := range n / 2 {
		p.Publish(p.revoke(fmt.Sprint("together", i), rng, "acme"))
	}
	p.StopIntake = p.Intake()
	p.settle()
}

// settle waits for everything that was published to be on the log.
func (p *past) settle() {
	p.T.Helper()
	ev := p.event("settled-"+fmt.Sprint(time.Now().UnixNano()), events.KeyRetired, "acme", events.Data{Issuer: issuer, KeyID: "none"})
	p.Publish(ev)
	if _, err := p.follower.Wait(p.T.Context(), events.EventRef(ev.Tenant, ev.Source, ev.ID)); err != nil {
		p.T.Fatal(err)
	}
	p.read()
}

func (p *past) keys(k *seal.Keyring, tenant string) []events.FeedKey {
	p.T.Helper()
	t, err := k.LookupTenant(p.T.Context(), tenant)
	if err != nil {
		p.T.Fatal(err)
	}
	return t.FeedKeys()
}

// TestThePastIsWhatASetWouldHaveDecided: as of every position and time of a
// random history the answer is that of a set which was fed so far, also in a
// process that starts afterwards.
func TestThePastIsWhatASetWouldHaveDecided(t *testing.T) {
	t.Parallel()
	p, rng := begin(t), rand.New(rand.NewPCG(3, 1))
	p.write(rng, 60)
	for range 2 {
		states := map[revocation.State]int{}
		for range 120 {
			c := claims(rng, []string{"acme", "umbrella"}[rng.IntN(2)])
			at := p.entries[rng.IntN(len(p.entries))]
			keys := p.keys(p.Keyring, c.Tenant)
			want := p.set(keys, at.index+1).Decide(&c, at.written)
			want.Position = at.index
			p.same(c, history.Moment{Position: &at.index}, want, at.written)
			end := p.writtenBy(at.written)
			want = p.set(keys, end).Decide(&c, at.written)
			want.Position = end - 1
			p.same(c, history.Moment{Time: at.written}, want, at.written)
			states[want.State]++
		}
		if states[revocation.Active] < 20 || states[revocation.Revoked] < 20 {
			t.Errorf("%v: the history asks too little", states)
		}
		p.open(p.Keyring)
	}
}

// writtenBy is the index behind the last record of the control lane that was
// written by a time.
func (p *past) writtenBy(at time.Time) uint64 {
	end := uint64(0)
	for _, l := range p.entries {
		if l.written.After(at) {
			break
		}
		end = l.index + 1
	}
	return end
}

func (p *past) same(c revocation.Claims, at history.Moment, want revocation.Decision, when time.Time) {
	p.T.Helper()
	got, was, err := p.history.Decide(p.T.Context(), c, at)
	if err != nil {
		p.T.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" || !was.Time.Equal(when) {
		p.T.Fatalf("%+v at %+v: %s", c, at, d)
	}
}

// held keeps passes where they begin, until it is opened.
type held struct {
	*lane.Follower
	in   atomic.Int64 // passes that began
	open chan struct{}
}

func (h *held) Sync(ctx context.Context) error {
	h.in.Add(1)
	select {
	case <-h.open:
		return h.Follower.Sync(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestAsManyPassesAsAreAllowed: others wait for them, and may leave.
func TestAsManyPassesAsAreAllowed(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	h := &held{Follower: kit.Follower(), open: make(chan struct{})}
	past, err := history.New(history.Config{Logs: []*stream.Log{kit.Log}, Keys: kit.Keyring, Lane: h, AtOnce: 3})
	if err != nil {
		t.Fatal(err)
	}
	kit.Run(h.Run)
	c := claims(rand.New(rand.NewPCG(1, 1)), "acme")
	decide := func(ctx context.Context) error {
		_, _, err := past.Decide(ctx, c, history.Moment{Time: time.Now()})
		return err
	}
	var all sync.WaitGroup
	begin := func() {
		all.Go(func() {
			if err := decide(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	for range 3 {
		begin()
	}
	lanetest.Eventually(t, "as many passes as are allowed", func() error {
		if n := h.in.Load(); n != 3 {
			return fmt.Errorf("%d passes", n)
		}
		return nil
	})
	begin()
	leave, cancel := context.WithCancel(t.Context())
	cancel()
	if err := decide(leave); !errors.Is(err, context.Canceled) || h.in.Load() != 3 {
		t.Errorf("%v, and %d passes go on at once", err, h.in.Load())
	}
	close(h.open)
	all.Wait()
}

// TestBeforeEverythingNothingIsRevoked, and what has not happened is no answer.
func TestBeforeEverythingNothingIsRevoked(t *testing.T) {
	t.Parallel()
	p := begin(t)
	c := claims(rand.New(rand.NewPCG(1, 1)), "acme")
	zero := uint64(0)
	if _, _, err := p.history.Decide(t.Context(), c, history.Moment{Position: &zero}); !errors.Is(err, history.ErrFuture) {
		t.Errorf("a position of an empty log: %v", err)
	}
	if d, _, err := p.history.Decide(t.Context(), c, history.Moment{Time: time.Now()}); d.State != revocation.Active || err != nil {
		t.Errorf("an empty log: %+v %v", d, err)
	}
	p.Publish(p.event("r", events.TokenRevoked, "acme", events.Data{Issuer: issuer, TokenID: c.TokenID, Reason: "r"}))
	p.settle()
	if d, _, err := p.history.Decide(t.Context(), c, history.Moment{Time: p.entries[0].written.Add(-time.Second)}); d.State != revocation.Active || err != nil {
		t.Errorf("before the first: %+v %v", d, err)
	}
	end := p.entries[len(p.entries)-1].index + 1
	if _, _, err := p.history.Decide(t.Context(), c, history.Moment{Position: &end}); !errors.Is(err, history.ErrFuture) {
		t.Errorf("the end of the log: %v", err)
	}
}

// later is the keyring of the projector when a feed key that is made now is in use.
func (p *past) later() *seal.Keyring {
	p.T.Helper()
	js, err := jetstream.New(p.Projector)
	if err != nil {
		p.T.Fatal(err)
	}
	store, err := stream.OpenKeyStore(p.T.Context(), js)
	if err != nil {
		p.T.Fatal(err)
	}
	keys, err := seal.NewKeyring(seal.Config{Store: store, Root: lanetest.Root(), Now: func() time.Time { return time.Now().Add(seal.FeedKeyAhead) }})
	if err != nil {
		p.T.Fatal(err)
	}
	return keys
}

// TestWithoutTheKeyThePastIsUnknown: never active, where an entry of the tenant
// was made with a key that was destroyed since, or that is newer than what the
// keyring remembers; and still revoked where another entry says so.
func TestWithoutTheKeyThePastIsUnknown(t *testing.T) {
	t.Parallel()
	p := begin(t)
	revoke := func(id, jti string) uint64 {
		p.Publish(p.event(id, events.TokenRevoked, "acme", events.Data{Issuer: issuer, TokenID: jti, Reason: id}))
		p.settle()
		return p.entries[len(p.entries)-2].index
	}
	before := revoke("of another", "j-other")
	c := revocation.Claims{Tenant: "acme", Issuer: issuer, TokenID: "j-1"}
	expect := func(what string, at uint64, c revocation.Claims, want revocation.State) {
		t.Helper()
		if d, _, err := p.history.Decide(t.Context(), c, history.Moment{Position: &at}); d.State != want || err != nil {
			t.Errorf("%s: %+v %v, want %s", what, d, err, want)
		}
	}
	expect("with all keys", before, c, revocation.Active)
	first := p.entries[len(p.entries)-2].record.Revocation.FeedKey
	newer, err := p.Keys.RotateFeedKey(t.Context(), "acme", first, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.StopIntake()
	later := p.later()
	p.IntakeWith(func(c *intake.Config) { c.Keyring = later })
	after := revoke("under the new key", "j-1")
	if v := p.entries[len(p.entries)-2].record.Revocation; v == nil || v.FeedKey != newer.Generation {
		t.Fatalf("%+v", v)
	}
	p.open(p.Keyring) // its cache was filled before
	expect("a key that the keyring does not remember", after, c, revocation.Unknown)
	if err := later.DestroyFeedKey(t.Context(), "acme", first); err != nil {
		t.Fatal(err)
	}
	p.open(later)
	expect("before the rotation", before, c, revocation.Unknown)
	expect("after, of what the new key says", after, c, revocation.Revoked)
	another := revocation.Claims{Tenant: "acme", Issuer: issuer, TokenID: "j-3"}
	expect("after, of another", after, another, revocation.Unknown)
	for i, l := range p.entries { // all that the first key made
		if v := l.record.Revocation; v != nil && v.FeedKey == first {
			p.Publish(p.lift(fmt.Sprint("lifted-", i), &l))
		}
	}
	p.settle()
	expect("what is lifted needs no key", p.entries[len(p.entries)-1].index, another, revocation.Active)
	expect("before it was lifted", after, another, revocation.Unknown)
	expect("of another tenant", after, revocation.Claims{Tenant: "umbrella", Issuer: issuer, TokenID: "j-3"}, revocation.Active)
}
