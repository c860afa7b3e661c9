package erasure_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/receipt"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// life is events of somebody, in two sessions, two clients, over six hours.
func life(r *rand.Rand, n int) []events.Event {
	out := make([]events.Event, n)
	for i := range out {
		out[i] = events.Event{
			Type: []events.Type{events.TokenIssued, events.TokenVerified}[r.IntN(2)], Time: noon.Add(time.Duration(r.IntN(6)) * time.Hour),
			Data: events.Data{SessionID: []string{"s-1", "s-2"}[r.IntN(2)], ClientID: []string{"app", "web"}[r.IntN(2)]},
		}
	}
	return out
}

// anyHold names something, of anybody or of one of two.
func anyHold(r *rand.Rand, people ...string) (in erasure.HoldInput) {
	for in.Subject+in.Session+in.Client == "" && in.From.IsZero() && len(in.Types) == 0 {
		if r.IntN(2) == 0 {
			in.Subject = people[r.IntN(len(people))]
		}
		if r.IntN(3) == 0 {
			in.Session = "s-1"
		}
		if r.IntN(3) == 0 {
			in.Client = "app"
		}
		if r.IntN(3) == 0 {
			in.From = noon.Add(time.Duration(r.IntN(4)) * time.Hour)
			in.To = in.From.Add(2 * time.Hour)
		}
		if r.IntN(3) == 0 {
			in.Types = []string{"token.issued"}
		}
	}
	return in
}

// kept is what each hold keeps, by the index of the record.
type kept map[string]map[uint64]bool

func (k kept) any(index uint64) bool {
	for _, of := range k {
		if of[index] {
			return true
		}
	}
	return false
}

// TestE11HeldOpensTheRestDoesNot: whatever holds there are, of before and of what
// others keep, what one keeps opens until the last that keeps it is released,
// nothing else does, and then the request is completed by itself.
func TestE11HeldOpensTheRestDoesNot(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	h.kit.Run(h.Run)
	for seed := range uint64(3) {
		h.heldOpens(seed)
	}
}

func (h *house) heldOpens(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	name := func(who string) string { return fmt.Sprint(who, "-", seed) }
	people := []string{name("alice"), name("bob")}
	refs, requests := map[string]events.Ref{}, map[string]string{}
	for _, who := range append(people, name("carol")) {
		refs[who] = h.meet(who, life(r, 8)...)
	}
	var holds []hold.Hold
	for range 1 + r.IntN(3) {
		holds = append(holds, h.place(anyHold(r, people...)))
	}
	for _, who := range people {
		requests[who] = h.approve(who)
	}
	for _, who := range people { // the last records of theirs are those of the erasure
		h.eventually("carried out", func() error {
			got, err := h.Get(requests[who], all)
			if err == nil && got.State != erasure.Partial && got.State != erasure.Completed {
				err = errors.New(string(got.State))
			}
			return err
		})
	}
	parts, keeps := map[string][]erasure.Part{}, kept{}
	for _, who := range people {
		parts[who] = h.sealed(refs[who])
	}
	others := h.sealed(refs[name("carol")])
	keep := func(x hold.Hold, there func(index uint64) bool) {
		of := map[uint64]bool{}
		for _, p := range slices.Concat(parts[people[0]], parts[people[1]]) {
			of[p.Index] = x.Keeps(p.Record) && there(p.Index)
		}
		keeps[x.ID] = of
	}
	settled := func() {
		h.t.Helper()
		held := func(p *erasure.Part) bool { return keeps.any(p.Index) }
		for _, who := range people {
			want := erasure.Completed
			if slices.ContainsFunc(parts[who], func(p erasure.Part) bool { return held(&p) }) {
				want = erasure.Partial
			}
			h.until(requests[who], want)
			h.eventually(fmt.Sprint("seed ", seed, " ", who), func() error { return h.wantOnly(parts[who], held) })
			h.eventually(fmt.Sprint("receipt, seed ", seed, " ", who), func() error { return h.wantReceipt(requests[who], parts[who], keeps) })
		}
		if err := h.wantOnly(others, func(*erasure.Part) bool { return true }); err != nil {
			h.t.Errorf("who asked for nothing: %v", err)
		}
	}
	for _, x := range holds {
		keep(x, func(uint64) bool { return true })
	}
	settled()
	later := h.place(erasure.HoldInput{Client: "app"}) // who was forgotten cannot be named any more
	keep(later, keeps.any)
	holds = append(holds, later)
	for len(holds) > 0 {
		i := r.IntN(len(holds))
		h.release(holds[i].ID)
		delete(keeps, holds[i].ID)
		holds = slices.Delete(holds, i, i+1)
		settled()
	}
	for _, who := range people {
		if got := h.until(requests[who], erasure.Completed); got.Outcome != erasure.Erased || len(got.Missing) != 0 {
			h.t.Errorf("%s: %+v", who, got)
		}
	}
	keys, err := stream.OpenKeyStore(h.t.Context(), h.kit.JS)
	h.check(err)
	if left, err := keys.List(h.t.Context(), "h."); err != nil || len(left) != 0 {
		h.t.Errorf("keys of released holds are left: %v %v", left, err)
	}
}

// wantReceipt checks that the receipt of a request says what holds keep of parts,
// and nothing else.
func (h *house) wantReceipt(id string, parts []erasure.Part, keeps kept) error {
	j, err := h.Receipt(h.t.Context(), id, all)
	if err != nil {
		return err
	}
	keys, err := h.ReceiptKeys(h.t.Context())
	h.check(err)
	got, _, err := receipt.Verify([]byte(j.Compact()), keys)
	h.check(err)
	if got.Tokens == nil || got.Tokens.Live == nil || *got.Tokens.Live != 3 {
		return fmt.Errorf("tokens %+v", got.Tokens)
	}
	want := map[string]int{}
	for hold, of := range keeps {
		for _, p := range parts {
			if of[p.Index] {
				want[hold]++
			}
		}
	}
	if len(want) == 0 {
		if got.Outcome != receipt.Erased || got.Kept != nil || len(got.Missing) != 0 || got.Destroyed == nil || got.Destroyed.Key == "" {
			return fmt.Errorf("nothing is kept: %+v", got)
		}
		return nil
	}
	said, missing := map[string]int{}, map[string]int{}
	if got.Kept != nil {
		for _, x := range got.Kept.Holds {
			said[x.ID] = x.Parts
			if x.Article != "GDPR 17(3)(e)" || x.Review != "2099-12-31" {
				return fmt.Errorf("%+v", x)
			}
		}
	}
	for _, x := range got.Missing {
		missing[x] = want[x]
	}
	if got.Outcome != receipt.Partial || !maps.Equal(said, want) || !maps.Equal(missing, want) {
		return fmt.Errorf("%s, kept %v, missing %v, want %v", got.Outcome, said, got.Missing, want)
	}
	return nil
}

// faulty is a keyring, an archive and a shelf of which one call fails, before or
// after it was done.
type faulty struct {
	erasure.Keyring
	erasure.Archive
	erasure.Held
	before, after map[string]func() error
}

func (f *faulty) around(call string, do func() error) error {
	if fail := f.before[call]; fail != nil {
		if err := fail(); err != nil {
			return err
		}
	}
	err := do()
	if fail := f.after[call]; err == nil && fail != nil {
		err = fail()
	}
	return err
}

func (f *faulty) Fence(ctx context.Context, tenant string, ref events.Ref) error {
	return f.around("fence", func() error { return f.Keyring.Fence(ctx, tenant, ref) })
}

func (f *faulty) CatchUp(ctx context.Context, shard uint16) error {
	return f.around("catch up", func() error { return f.Archive.CatchUp(ctx, shard) })
}

func (f *faulty) HoldKey(ctx context.Context, tenant string, ref events.Ref) (key seal.SubjectKey, err error) {
	err = f.around("hold key", func() (err error) { key, err = f.Keyring.HoldKey(ctx, tenant, ref); return err })
	return key, err
}

func (f *faulty) Put(ctx context.Context, p stream.HeldPart, sealed []byte) error {
	return f.around("put", func() error { return f.Held.Put(ctx, p, sealed) })
}

func (f *faulty) Destroy(ctx context.Context, tenant string, ref events.Ref) (d seal.Destroyed, err error) {
	err = f.around("destroy", func() (err error) { d, err = f.Keyring.Destroy(ctx, tenant, ref); return err })
	return d, err
}

func (f *faulty) DestroyHold(ctx context.Context, tenant string, ref events.Ref) error {
	return f.around("destroy hold", func() error { return f.Keyring.DestroyHold(ctx, tenant, ref) })
}

func (f *faulty) Purge(ctx context.Context, p stream.HeldPart) error {
	return f.around("purge", func() error { return f.Held.Purge(ctx, p) })
}

// TestHoldFaults is every step of heeding and releasing a hold: failed, by a
// worker that is stopped there and followed by another, and failed but applied,
// by one that goes on.
func TestHoldFaults(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	for _, call := range []string{"fence", "catch up", "hold key", "put", "destroy", "destroy hold", "purge"} {
		h.holdFault(call, false, true)
		h.holdFault(call, true, false)
	}
}

func (h *house) holdFault(call string, applied, killed bool) {
	what := fmt.Sprint(call, " applied ", applied, " killed ", killed)
	var mu sync.Mutex
	failures, hit := 3, make(chan struct{})
	once := sync.OnceFunc(func() { close(hit) })
	fail := func() error {
		mu.Lock()
		defer mu.Unlock()
		once()
		if failures--; failures >= 0 || killed {
			return errors.New("injected")
		}
		return nil
	}
	f := &faulty{Keyring: h.kit.Keyring, Archive: h.archive, Held: h.held, before: map[string]func() error{}, after: map[string]func() error{}}
	if applied {
		f.after[call] = fail
	} else {
		f.before[call] = fail
	}
	ref := h.meet(what, events.Event{Type: events.TokenIssued, Time: noon, Data: events.Data{ClientID: "app"}}, events.Event{Type: events.TokenIssued, Time: noon, Data: events.Data{ClientID: "web"}})
	app := func(p *erasure.Part) bool { return p.Record.Client == "app" }
	placed := h.place(erasure.HoldInput{Subject: what, Client: "app"})
	id := h.approve(what)
	worker := h.workflow(func(c *erasure.Config) { c.Keyring, c.Archive, c.Held = f, f, f })
	stop := h.kit.Run(worker.Run)
	wait := func() {
		if !killed {
			return
		}
		<-hit
		stop()
		stop = h.kit.Run(h.Run)
	}
	releasing := call == "destroy hold" || call == "purge"
	if !releasing {
		wait()
	}
	if r := h.until(id, erasure.Partial); !slices.Equal(r.Missing, []string{placed.ID}) {
		h.t.Errorf("%s: missing %v", what, r.Missing)
	}
	h.eventually(what, func() error { return h.wantOnly(h.sealed(ref), app) })
	h.release(placed.ID)
	if releasing {
		wait()
	}
	h.until(id, erasure.Completed)
	if err := h.wantOnly(h.sealed(ref), func(*erasure.Part) bool { return false }); err != nil {
		h.t.Errorf("%s: %v", what, err)
	}
	if left, err := h.held.List(h.t.Context(), stream.HeldPart{Tenant: "acme", Hold: placed.Ref(), Subject: ref}); err != nil || len(left) != 0 {
		h.t.Errorf("%s: left %v %v", what, left, err)
	}
	stop()
}

// placing is a publisher that does something else once it has published an
// event of a type.
type placing struct {
	erasure.Publisher
	after events.Type
	do    func()
}

func (p *placing) Publish(ctx context.Context, evs ...events.Event) error {
	err := p.Publisher.Publish(ctx, evs...)
	if evs[0].Type == p.after {
		p.do()
	}
	return err
}

// TestHoldPlacedWhileExecuting is heeded: once the subject was revoked, and
// while what another hold matches is being kept.
func TestHoldPlacedWhileExecuting(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	for name, meddle := range map[string]func(c *erasure.Config, do func()){
		"once revoked": func(c *erasure.Config, do func()) {
			c.Publisher = &placing{c.Publisher, events.SubjectRevoked, sync.OnceFunc(do)}
		},
		"behind the fence": func(c *erasure.Config, do func()) {
			once := sync.OnceFunc(do)
			f := &faulty{Keyring: c.Keyring, Archive: c.Archive, Held: c.Held, after: map[string]func() error{"fence": func() error { once(); return nil }}}
			c.Keyring, c.Archive, c.Held = f, f, f
		},
	} {
		ref := h.meet(name, events.Event{Type: events.TokenIssued, Time: noon, Data: events.Data{ClientID: "app"}}, events.Event{Type: events.TokenIssued, Time: noon, Data: events.Data{ClientID: "web"}})
		holds := []hold.Hold{h.place(erasure.HoldInput{Subject: name, Client: "web"})}
		id := h.approve(name)
		worker := h.workflow(func(c *erasure.Config) {
			meddle(c, func() {
				holds = append(holds, h.place(erasure.HoldInput{Client: "app", From: noon, To: noon.Add(time.Hour)}))
			})
		})
		stop := h.kit.Run(worker.Run)
		h.until(id, erasure.Partial)
		clients := func(p *erasure.Part) bool { return p.Record.Client != "" }
		h.eventually(name, func() error { return h.wantOnly(h.sealed(ref), clients) })
		for _, x := range holds {
			h.release(x.ID)
		}
		h.until(id, erasure.Completed)
		stop()
	}
}

// TestHoldWhileTheKeyGoes: where nothing is held, a hold that names the subject is
// refused once nobody would look for it any more.
func TestHoldWhileTheKeyGoes(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	h.meet("alice", events.Event{Type: events.TokenIssued, Time: noon})
	id := h.approve("alice")
	late := make(chan error, 1)
	f := &faulty{Keyring: h.kit.Keyring, before: map[string]func() error{"destroy": func() error {
		_, err := h.PlaceHold(t.Context(), erasure.HoldInput{
			Tenant: "acme", Issuer: issuer, Subject: "alice", Article: "GDPR 17(3)(e)", Owner: "legal", Review: "2099-12-31", Reason: "lawsuit", Actor: "officer",
		})
		late <- err
		return nil
	}}}
	worker := h.workflow(func(c *erasure.Config) { c.Keyring = f })
	h.kit.Run(worker.Run)
	h.until(id, erasure.Completed)
	err := <-late
	if member, is := errors.AsType[*hold.MemberError](err); !is || member.Member != "subject" {
		t.Errorf("a hold was placed that keeps nothing: %v", err)
	}
}

// TestHoldOnTheForgotten and holds of nobody are refused.
func TestHoldRefusals(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	stop := h.kit.Run(h.Run)
	h.meet("alice", events.Event{Type: events.TokenIssued, Time: noon})
	h.until(h.approve("alice"), erasure.Completed)
	stop()
	good := erasure.HoldInput{Tenant: "acme", Issuer: issuer, Subject: "bob", Article: "GDPR 17(3)(e)", Owner: "legal", Review: "2099-12-31", Reason: "lawsuit", Actor: "officer"}
	for name, change := range map[string]func(*erasure.HoldInput){
		"subject": func(in *erasure.HoldInput) { in.Subject = "alice" }, "iss": func(in *erasure.HoldInput) { in.Issuer = "" }, "article": func(in *erasure.HoldInput) { in.Article = "" },
		"owner": func(in *erasure.HoldInput) { in.Owner = "" }, "review": func(in *erasure.HoldInput) { in.Review = "" }, "reason": func(in *erasure.HoldInput) { in.Reason = "" },
		"review ": func(in *erasure.HoldInput) { in.Review = time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly) },
		"types":   func(in *erasure.HoldInput) { in.Types = []string{"token.eaten"} }, "to": func(in *erasure.HoldInput) { in.From, in.To = noon, noon },
	} {
		in := good
		change(&in)
		_, err := h.PlaceHold(t.Context(), in)
		if member, is := errors.AsType[*hold.MemberError](err); !is || member.Member != strings.TrimSpace(name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := h.PlaceHold(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.ReleaseHold(t.Context(), erasure.HoldRelease{ID: got.ID, Actor: "Officer", Reason: "over", Reaches: all}); !errors.Is(err, hold.ErrFourEyes) {
		t.Error(err)
	}
	h.release(got.ID)
	if _, err := h.ReleaseHold(t.Context(), erasure.HoldRelease{ID: got.ID, Actor: "other", Reason: "over", Reaches: all}); !errors.Is(err, hold.ErrReleased) {
		t.Error(err)
	}
	if _, err := h.ReleaseHold(t.Context(), erasure.HoldRelease{ID: "none", Actor: "other", Reason: "over", Reaches: all}); !errors.Is(err, hold.ErrNotFound) {
		t.Error(err)
	}
}

// TestExecutedWhenItWas: what is destroyed when a hold is released is stated as of then,
// and not of when the rest was.
func TestExecutedWhenItWas(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	h.kit.Run(h.Run)
	h.meet("alice", events.Event{Type: events.TokenIssued, Time: noon})
	placed := h.place(erasure.HoldInput{Subject: "alice"})
	id := h.approve("alice")
	h.until(id, erasure.Partial)
	partial := time.Now()
	h.release(placed.ID)
	h.until(id, erasure.Completed)
	h.check(h.archive.CatchUp(t.Context(), 0))
	rows, err := h.archive.Store.Search(t.Context(), query.Search{Tenant: "acme", Types: []events.Type{events.RequestExecuted}})
	h.check(err)
	slices.SortFunc(rows, func(a, b query.Row) int { return cmp.Compare(a.Index, b.Index) })
	if len(rows) != 2 {
		t.Fatalf("%d statements", len(rows))
	}
	for i, after := range []bool{false, true} {
		if at := time.UnixMicro(rows[i].Record.Time); at.After(partial) != after {
			t.Errorf("statement %d is of %s; it was partial at %s", i, at, partial)
		}
	}
}

// TestHoldReview: a hold whose review is overdue is found, once.
func TestHoldReview(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	const overdue = "overdue" // nobody places one whose review is over, so it comes to the log by itself
	h.kit.Publish(events.Event{ID: overdue, Source: hold.Source, Type: events.HoldPlaced, Tenant: "acme", Data: events.Data{
		ClientID: "app", Actor: "officer", Reason: "lawsuit", Attributes: map[string]string{
			hold.AttrHold: overdue, hold.AttrBy: hold.ByClient, hold.AttrArticle: "GDPR 17(3)(e)", hold.AttrOwner: "legal", hold.AttrReview: "2026-01-31",
		}}})
	h.place(erasure.HoldInput{Client: "web"})
	other := h.workflow(nil)
	h.kit.Run(h.Run)
	h.kit.Run(other.Run)
	var found []events.Record
	look := func() error {
		h.check(h.archive.CatchUp(t.Context(), 0))
		rows, err := h.archive.Store.Search(t.Context(), query.Search{Tenant: "acme", Types: []events.Type{events.FindingOpened}})
		found = nil
		for _, row := range rows {
			found = append(found, row.Record)
		}
		if err == nil && len(found) == 0 {
			err = errors.New("nothing found")
		}
		return err
	}
	h.eventually("finding", look)
	h.place(erasure.HoldInput{Client: "api"}) // behind whatever the others had to say
	h.check(look())
	if len(found) != 1 || found[0].Attributes["control"] != erasure.ControlHoldReview || found[0].Attributes["hold"] != overdue {
		t.Errorf("%+v", found)
	}
}

// TestHoldWithoutArchive: an erasure that a hold concerns waits, and destroys
// nothing.
func TestHoldWithoutArchive(t *testing.T) {
	t.Parallel()
	h := build(t, nil)
	ref := h.meet("alice", events.Event{Type: events.TokenIssued, Time: noon})
	h.place(erasure.HoldInput{Subject: "alice"})
	id := h.approve("alice")
	blind := h.workflow(func(c *erasure.Config) { c.Archive = nil })
	stop := h.kit.Run(blind.Run)
	h.until(id, erasure.Executing)
	stop()
	if err := h.wantOnly(h.sealed(ref), func(*erasure.Part) bool { return true }); err != nil {
		t.Error(err)
	}
	if _, err := blind.PlaceHold(t.Context(), erasure.HoldInput{Tenant: "acme"}); err == nil {
		t.Error("a hold was placed that could not be heeded")
	}
}
