package erasure

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/deadline"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

func askRef(n int) events.Ref { return events.Ref{0xa5, byte(n)} }

// askedBy folds a request that came by the nth ask.
func (s *script) askedBy(id string, n, callbacks int) *Request {
	return s.add(events.Record{Type: events.RequestReceived, Tenant: "acme", Actor: "agent", SubjectRef: alice, Issuer: "i", Attributes: map[string]string{
		attrRequest: id, attrType: Erasure, attrRegulation: GDPR, attrKnown: yes, attrAsk: askRef(n).String(), attrSaid: events.Ref{1}.String(),
		attrCallbacks: fmt.Sprint(callbacks),
	}})
}

func (s *script) withdraw(id string, n int) *Request {
	return s.add(events.Record{Type: events.RequestCancelled, Tenant: "acme", Actor: "agent", Attributes: map[string]string{attrRequest: id, attrWithdraw: askRef(n).String()}})
}

// TestWithdraw: who takes back what they asked for takes nothing from others.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		others func(s *script)
		want   State
		steps  int
	}{
		"alone":                {func(*script) {}, Cancelled, 2},
		"another asked too":    {func(s *script) { s.askedBy("q", 2, 0) }, Received, 3},
		"it was recorded here": {func(s *script) { s.receive("acme", "q", alice) }, Received, 3},
		"another took theirs":  {func(s *script) { s.askedBy("q", 2, 0); s.withdraw("r", 2) }, Cancelled, 4},
		"somebody else's ask":  {func(s *script) { s.withdraw("r", 7) }, Cancelled, 2},
		"taken back before":    {func(s *script) { s.askedBy("q", 2, 0); s.withdraw("r", 1) }, Received, 3},
		"after it was decided": {func(s *script) {
			s.step(events.RequestVerified, "acme", "r", "handler")
			s.step(events.RequestApproved, "acme", "r", "approver")
		}, Approved, 3},
		"after it was verified":  {func(s *script) { s.step(events.RequestVerified, "acme", "r", "handler") }, Cancelled, 3},
		"an ask that came twice": {func(s *script) { s.askedBy("q", 1, 0) }, Cancelled, 2},
	} {
		s := newScript()
		r := s.askedBy("r", 1, 0)
		c.others(s)
		s.withdraw("r", 1)
		if r.State != c.want || len(r.History) != c.steps {
			t.Errorf("%s: %s after %d steps, want %s after %d", name, r.State, len(r.History), c.want, c.steps)
		}
	}
}

// TestAsksAreBounded: one too many is known by its id, and not called.
func TestAsksAreBounded(t *testing.T) {
	t.Parallel()
	s := newScript()
	r := s.askedBy("r", 0, 1)
	for n := 1; n <= MaxAsks; n++ {
		s.askedBy(fmt.Sprint("r-", n), n, 1000)
	}
	if len(r.Asks) != MaxAsks+1 || r.Asks[1].Callbacks != MaxCallbacks || r.Asks[MaxAsks].Callbacks != 0 {
		t.Errorf("%d asks: %+v", len(r.Asks), r.Asks)
	}
}

// TestSteps: what whoever asked is told of.
func TestSteps(t *testing.T) {
	t.Parallel()
	s := newScript()
	r := s.askedBy("r", 1, 1)
	s.step(events.RequestExtended, "acme", "r", "handler")
	s.askedBy("q", 2, 1)
	s.step(events.RequestVerified, "acme", "r", "handler")
	s.withdraw("r", 2)
	s.step(events.RequestApproved, "acme", "r", "approver")
	for n, want := range []string{"[received extended approved]", "[extended cancelled]"} {
		var got []State
		for _, step := range r.steps(&r.Asks[n]) {
			got = append(got, step.State)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("ask %d is told %v, want %s", n, got, want)
		}
	}
	if r.finished(&r.Asks[0]) || r.finished(&r.Asks[1]) {
		t.Error("told nothing, and finished")
	}
}

// TestSoonerIsTold: who asked before is told that the deadline has moved, who moved it
// knows.
func TestSoonerIsTold(t *testing.T) {
	t.Parallel()
	s := newScript()
	r := s.askedBy("r", 1, 1)
	s.askedBy("q", 2, 1)
	s.receivedAt("p", start.AddDate(0, 0, -25))
	for n := range r.Asks {
		if got := r.steps(&r.Asks[n]); len(got) != 1 || got[0].What != StepJoined {
			t.Errorf("ask %d is told %+v", n, got)
		}
	}
	if first, _, found := r.next(&r.Asks[0], 0); !found || first.Position != 3 {
		t.Errorf("%+v", first)
	}
}

func ask(by, id, said string, urls ...string) Ask {
	return Ask{By: by, ID: id, Said: said, Callbacks: urls}
}

func input(subject string) Input {
	return Input{Tenant: "acme", Issuer: "https://id.acme", Subject: subject, Type: Erasure, Regulation: GDPR, Actor: "agent"}
}

// TestDeadlineRunsFromTheFirstReceipt: a request that was recorded today was received
// before by who joins it.
func TestDeadlineRunsFromTheFirstReceipt(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	o := open(t, kit, nil)
	today := o.receive("alice")
	in := input("alice")
	in.Received = time.Now().AddDate(0, 0, -25).Truncate(time.Second)
	due := deadline.Default().Answer(in.Received, GDPR)
	joined, a := o.askFor(in, ask("agent", "id-1", "erase alice"))
	if joined.ID != today.ID || !joined.Received.Equal(in.Received) || !joined.Due.Equal(due) || !a.Due.Equal(due) {
		t.Errorf("received %s, due %s, told %s, want %s and %s", joined.Received, joined.Due, a.Due, in.Received, due)
	}
	kit.Run(o.Run)
	o.act(today.ID, Verified, "handler")
	o.act(today.ID, Approved, "approver")
	o.until(today.ID, Completed)
	if got, _ := o.receipt(today.ID); !got.Received.Equal(in.Received) || !got.Due.Equal(due) {
		t.Errorf("the receipt says received %s, due %s", got.Received, got.Due)
	}
}

// TestAskFor: an id of a sender's is one request, in every process, and says one
// thing.
func TestAskFor(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "known")
	one, two := open(t, kit, nil), open(t, kit, nil)
	var asking sync.WaitGroup
	got := make([]Request, 4)
	errs := make([]error, len(got))
	for i := range got {
		asking.Go(func() {
			got[i], _, errs[i] = []*office{one, two}[i%2].AskFor(t.Context(), input("alice"), ask("agent", "id-1", "erase alice"))
		})
	}
	asking.Wait()
	for i := range got {
		if errs[i] != nil || got[i].ID != got[0].ID || len(got[i].Asks) != 1 || len(got[i].History) != 1 || got[i].State != Received {
			t.Errorf("asked at once: %v %+v", errs[i], got[i])
		}
	}
	if _, _, err := one.AskFor(t.Context(), input("bob"), ask("agent", "id-1", "erase bob")); !errors.Is(err, ErrTaken) {
		t.Errorf("another request under the same id: %v", err)
	}
	joined, a, err := one.AskFor(t.Context(), input("alice"), ask("another", "id-1", "erase alice"))
	if again, _ := one.askFor(input("alice"), ask("agent", "id-1", "erase alice")); got[0].Salt == "" || again.Salt != got[0].Salt || joined.Salt != got[0].Salt {
		t.Errorf("who asked is given the salt %q, asking again %q, joining %q", got[0].Salt, again.Salt, joined.Salt)
	}
	if found, _, _ := one.FindAsk(t.Context(), "acme", "agent", "id-1"); found.Salt != "" {
		t.Errorf("who looks is given the salt %q", found.Salt)
	}
	access := input("alice")
	access.Type = Access
	if r, _ := one.askFor(access, ask("agent", "id-4", "what of alice")); r.Salt != "" {
		t.Errorf("of what leaves no receipt, the salt is %q", r.Salt)
	}
	if err != nil || joined.ID != got[0].ID || len(joined.Asks) != 2 || joined.Last().What != StepJoined || a.Ref == joined.Asks[0].Ref {
		t.Errorf("another sender under the same id: %v %+v", err, joined)
	}
	for _, c := range []struct{ tenant, by, id string }{{"acme", "agent", "id-2"}, {"acme", "third", "id-1"}, {"globex", "agent", "id-1"}} {
		if _, _, err := one.FindAsk(t.Context(), c.tenant, c.by, c.id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%+v: %v", c, err)
		}
		if _, _, err := one.Withdraw(t.Context(), c.tenant, c.by, c.id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for range 2 {
		r, a, err := one.Withdraw(t.Context(), "acme", "agent", "id-1")
		if err != nil || r.State != Received || !a.Withdrawn || a.WithdrawnAt.IsZero() {
			t.Errorf("withdrawn: %v %s %+v", err, r.State, a)
		}
	}
	if r, _, err := one.Withdraw(t.Context(), "acme", "another", "id-1"); err != nil || r.State != Cancelled {
		t.Errorf("the last one: %v %s", err, r.State)
	}
	if _, _, err := one.AskFor(t.Context(), input("alice"), ask("agent", "id-3", "x", "https://agent.example/")); err == nil {
		t.Error("a callback was taken where nobody is called")
	}
}
