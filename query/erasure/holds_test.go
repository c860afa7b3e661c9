package erasure_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/hold"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

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
		ref := h.meetTwice(name)
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
		_, err := h.PlaceHold(t.Context(), justified(erasure.HoldInput{Subject: "alice"}))
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
	good := justified(erasure.HoldInput{Subject: "bob"})
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
	refused := func(id, actor string, want error) {
		t.Helper()
		if _, err := h.ReleaseHold(t.Context(), erasure.HoldRelease{ID: id, Actor: actor, Reason: "over", Reaches: all}); !errors.Is(err, want) {
			t.Error(err)
		}
	}
	refused(got.ID, "Officer", hold.ErrFourEyes)
	h.release(got.ID)
	refused(got.ID, "other", hold.ErrReleased)
	refused("none", "other", hold.ErrNotFound)
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
	h.catchUp()
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
		h.catchUp()
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
	if err := h.wantOnly(h.sealed(ref), every); err != nil {
		t.Error(err)
	}
	if _, err := blind.PlaceHold(t.Context(), erasure.HoldInput{Tenant: "acme"}); err == nil {
		t.Error("a hold was placed that could not be heeded")
	}
}
