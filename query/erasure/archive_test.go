package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/query/store"
	"github.com/rescindhq/rescind/query/store/storetest"
)

const (
	patience = 2 * time.Minute
	issuer   = "https://id.acme"
)

func all(string) bool { return true }

// house is a workflow over a real log and a real archive.
type house struct {
	t       *testing.T
	kit     *lanetest.Kit
	archive *store.Archive
	held    *stream.Held
	*erasure.Workflow
}

// build builds a house; its worker does not run.
func build(t *testing.T, change func(*erasure.Config)) *house {
	t.Helper()
	h := &house{t: t, kit: lanetest.Start(t)}
	conn, _ := storetest.Follow(h.kit, patience/10)
	h.archive, h.held = &store.Archive{Store: store.New(conn), Logs: []store.Log{h.kit.Log}}, stream.NewHeld(h.kit.JS)
	h.Workflow = h.workflow(change)
	return h
}

// threeTokens is what lives of anybody.
type threeTokens struct{}

func (threeTokens) Living(context.Context, erasure.Living) (uint64, bool, error) { return 3, true, nil }

// workflow is one more process.
func (h *house) workflow(change func(*erasure.Config)) *erasure.Workflow {
	h.t.Helper()
	follower := h.kit.Follower()
	cfg := erasure.Config{
		Lane: follower, Publisher: h.kit.Publisher, Keyring: h.kit.Keyring, Archive: h.archive, Held: h.held, Intake: stream.NewBacklog(h.kit.JS), Tokens: threeTokens{}, Policy: h.kit.Policy,
		WaitFor: patience / 10, Retry: 5 * time.Millisecond, Watch: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(h.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if change != nil {
		change(&cfg)
	}
	w, err := erasure.New(cfg)
	h.check(err)
	h.kit.Run(follower.Run)
	return w
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) eventually(what string, holds func() error) {
	h.t.Helper()
	lanetest.Eventually(h.t, what, holds)
}

func person(subject string) seal.Person {
	return seal.Person{Tenant: "acme", Issuer: issuer, Subject: subject}
}

// meet publishes events about a subject and returns their reference once they
// are archived.
func (h *house) meet(subject string, evs ...events.Event) events.Ref {
	h.t.Helper()
	for i := range evs {
		ev := &evs[i]
		ev.Tenant, ev.Data.Issuer, ev.Data.Subject = "acme", issuer, subject
		ev.Data.TokenID = fmt.Sprintf("jti-%s-%d", subject, i)
		if ev.Data.Algorithm == "" {
			ev.Data.Algorithm, ev.Data.KeyID = "ES256", "k"
		}
	}
	h.kit.Publish(evs...)
	var ref events.Ref
	h.eventually("meet "+subject, func() error {
		key, err := h.kit.Keyring.Lookup(h.t.Context(), person(subject))
		if ref = key.Ref; err != nil {
			return err
		}
		if parts := h.parts(ref); len(parts) < len(evs) {
			return fmt.Errorf("%d of %d events", len(parts), len(evs))
		}
		return nil
	})
	return ref
}

// catchUp waits until all is archived that is on the log now.
func (h *house) catchUp() {
	h.t.Helper()
	end, err := h.archive.End(h.t.Context(), 0)
	h.check(err)
	_, err = h.archive.CatchUp(h.t.Context(), 0, end)
	h.check(err)
}

// parts is every record of a person, archived by now.
func (h *house) parts(ref events.Ref) []erasure.Part {
	h.t.Helper()
	h.catchUp()
	parts, err := h.archive.Parts(h.t.Context(), erasure.Wanted{Tenant: "acme", Person: ref, Limit: 1000})
	h.check(err)
	return parts
}

func (h *house) place(in erasure.HoldInput) hold.Hold {
	h.t.Helper()
	got, err := h.PlaceHold(h.t.Context(), justified(in))
	h.check(err)
	return got
}

// justified is a hold with who wants it and why.
func justified(in erasure.HoldInput) erasure.HoldInput {
	in.Tenant, in.Issuer, in.Article, in.Owner, in.Review, in.Reason, in.Actor = "acme", issuer, "GDPR 17(3)(e)", "legal", "2099-12-31", "lawsuit", "officer"
	return in
}

// meetTwice makes a subject known by two clients.
func (h *house) meetTwice(subject string) events.Ref {
	h.t.Helper()
	by := func(client string) events.Event {
		return events.Event{Type: events.TokenIssued, Time: noon, Data: events.Data{ClientID: client}}
	}
	return h.meet(subject, by("app"), by("web"))
}

// every and none are parts that should open.
func every(*erasure.Part) bool { return true }
func none(*erasure.Part) bool  { return false }

func (h *house) release(id string) {
	h.t.Helper()
	_, err := h.ReleaseHold(h.t.Context(), erasure.HoldRelease{ID: id, Actor: "counsel", Reason: "settled", Reaches: all})
	h.check(err)
}

// approve is a request of the subject that only has to be carried out.
func (h *house) approve(subject string) string {
	h.t.Helper()
	r, _, err := h.Receive(h.t.Context(), erasure.Input{Tenant: "acme", Type: erasure.Erasure, Regulation: erasure.GDPR, Issuer: issuer, Subject: subject, Actor: "handler"})
	h.check(err)
	_, err = h.Act(h.t.Context(), erasure.Act{ID: r.ID, To: erasure.Verified, Actor: "handler", Reaches: all})
	h.check(err)
	_, err = h.Act(h.t.Context(), erasure.Act{ID: r.ID, To: erasure.Approved, Actor: "approver", Reaches: all})
	h.check(err)
	return r.ID
}

func (h *house) until(id string, want erasure.State) (r erasure.Request) {
	h.t.Helper()
	h.eventually("request", func() (err error) {
		if r, err = h.Get(id, all); err == nil && r.State != want {
			err = fmt.Errorf("it is %s, waited for %s", r.State, want)
		}
		return err
	})
	return r
}

// opens says whether a part opens, and checks that it says what it said.
func (h *house) opens(p erasure.Part) (bool, error) {
	plain, err := h.kit.Keyring.Open(h.t.Context(), opening(&p))
	if errors.Is(err, seal.ErrDestroyed) {
		plain, _, err = h.OpenHeld(h.t.Context(), 0, p.Index, p.Record, p.Sealed)
	}
	if errors.Is(err, seal.ErrDestroyed) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if personal, err := events.UnmarshalPersonal(plain); err != nil || personal.Subject == "" {
		return false, fmt.Errorf("opened to %v: %w", personal, err)
	}
	return true, nil
}

// sealed is every record of a person that has a personal part.
func (h *house) sealed(ref events.Ref) []erasure.Part {
	h.t.Helper()
	return slices.DeleteFunc(h.parts(ref), func(p erasure.Part) bool { return len(p.Sealed) == 0 })
}

// wantOnly checks that exactly those of parts open that keeps picks.
func (h *house) wantOnly(parts []erasure.Part, keeps func(*erasure.Part) bool) error {
	for _, p := range parts {
		got, err := h.opens(p)
		if err != nil {
			return err
		}
		if want := keeps(&p); got != want {
			return fmt.Errorf("%s at %d opens: %t, want %t", p.Record.Type.Name(), p.Index, got, want)
		}
	}
	return nil
}

// trailing is an archive that is as far behind as ever, each time that it is waited for.
type trailing struct {
	*store.Archive

	mu     sync.Mutex
	has    uint64 // of the log
	asked  bool
	behind int // how often it was waited for, and did not come so far
}

const trails = 3

func (a *trailing) End(ctx context.Context, shard uint16) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.asked {
		a.asked = true
		var err error
		if a.has, err = a.Archive.End(ctx, shard); err != nil {
			return 0, err
		}
	}
	return a.has + trails, nil
}

func (a *trailing) CatchUp(ctx context.Context, shard uint16, end uint64) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.has < end {
		a.has++
		a.behind++
		return a.has, export.ErrBehind
	}
	_, err := a.Archive.CatchUp(ctx, shard, end-trails)
	return a.has, err
}

// waits is how often it was waited for in vain since it was last asked.
func (a *trailing) waits() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.behind
	a.behind = 0
	return n
}

// TestErasuresBehindAnArchive that always is: those that need it come to what was on the
// log when they were first tried, and the shard is waited for once a round.
func TestErasuresBehindAnArchive(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	const atOnce = 32
	h.place(erasure.HoldInput{Client: "app"})
	alone := h.approve("alone")
	archive := &trailing{Archive: h.archive}
	worker := h.workflow(func(c *erasure.Config) {
		c.Archive = archive
		c.Lock = func(context.Context) (func(), error) {
			return func() {
				if n := archive.waits(); n > atOnce {
					t.Errorf("the shard was waited for %d times in one round", n)
				}
			}, nil
		}
	})
	stop := h.kit.Run(worker.Run)
	h.until(alone, erasure.Completed)
	stop()
	ids := make([]string, 40)
	for i := range ids {
		ids[i] = h.approve(fmt.Sprint("person-", i))
	}
	h.kit.Run(worker.Run)
	for _, id := range ids {
		h.until(id, erasure.Completed)
	}
	archive.mu.Lock()
	defer archive.mu.Unlock()
	if !archive.asked {
		t.Error("nobody waited for the archive")
	}
}
