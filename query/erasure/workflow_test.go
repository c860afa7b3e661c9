package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/deadline"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// TestErasure is the whole story, with the order of what is on the log.
func TestErasure(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice@example.com")
	o := open(t, kit, nil)
	kit.Run(o.Run)
	began := time.Now()
	r := o.receive("alice@example.com")
	if r.State != Received || !r.Due.Equal(deadline.Default().Answer(r.Received, GDPR)) || r.Received.Before(began.Add(-time.Minute)) {
		t.Fatalf("%+v", r)
	}
	o.act(r.ID, Verified, "handler")
	o.act(r.ID, Approved, "approver")
	r = o.until(r.ID, Completed)
	if r.Outcome != Erased {
		t.Errorf("outcome %s", r.Outcome)
	}
	o.wantForgotten("alice@example.com")
	revoked, completed := o.of(events.SubjectRevoked), o.of(events.RequestCompleted)
	if len(revoked) != 1 || len(completed) != 1 {
		t.Fatalf("%d revocations, %d completions", len(revoked), len(completed))
	}
	if v := revoked[0].Record.Revocation; v.IssuedBefore < events.TimestampOf(r.History[2].At) {
		t.Errorf("cut-off %s is before the approval", v.IssuedBefore.Time())
	}
	var states []State
	for _, h := range r.History {
		states = append(states, h.State)
	}
	if !slices.Equal(states, []State{Received, Verified, Approved, Executing, Executing, Completed}) {
		t.Error(states)
	}
}

// TestRevokedBeforeDestroyed: when the key goes, the revocation is on the log.
func TestRevokedBeforeDestroyed(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	keys := &faultyKeys{Keyring: kit.Keyring}
	var o *office
	var revoked int
	keys.before = func() error {
		revoked = len(o.of(events.SubjectRevoked))
		return nil
	}
	o = open(t, kit, func(c *Config) { c.Keyring = keys })
	r := o.approved("alice")
	kit.Run(o.Run)
	o.until(r.ID, Completed)
	if revoked != 1 {
		t.Errorf("%d revocations were on the log when the key was destroyed", revoked)
	}
}

// TestE10OutcomesAreApart: who was never known, who was forgotten before, and who
// is forgotten now are told apart.
func TestE10OutcomesAreApart(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	o := open(t, kit, nil)
	first := o.approved("alice")
	second, joined := o.ask(Input{Subject: "alice", Regulation: CCPA})
	if joined {
		t.Fatal("another regulation was joined")
	}
	o.act(second.ID, Verified, "handler")
	o.act(second.ID, Approved, "approver")
	kit.Run(o.Run)
	if got := o.until(first.ID, Completed).Outcome; got != Erased {
		t.Errorf("first: %s", got)
	}
	if got := o.until(second.ID, Completed).Outcome; got != AlreadyErased {
		t.Errorf("second, received before the first was carried out: %s", got)
	}
	if got := o.until(o.approved("alice").ID, Completed).Outcome; got != AlreadyErased {
		t.Errorf("third, received after: %s", got)
	}
	if got := o.until(o.approved("nobody").ID, Completed).Outcome; got != NoMatch {
		t.Errorf("a subject who was never seen: %s", got)
	}
	o.wantForgotten("nobody")
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	r := o.receive("alice")
	act := func(to State, actor string) error {
		_, err := o.Act(t.Context(), Act{ID: r.ID, To: to, Actor: actor, Reason: reasonFor(to), Reaches: all})
		return err
	}
	var state *StateError
	if err := act(Approved, "approver"); !errors.As(err, &state) || state.State != Received {
		t.Errorf("approved before it was verified: %v", err)
	}
	o.act(r.ID, Verified, "verifier")
	for _, actor := range []string{"handler", "verifier", "", "Handler", " VERIFIER\t", " "} {
		if err := act(Approved, actor); !errors.Is(err, ErrFourEyes) {
			t.Errorf("approved by %q: %v", actor, err)
		}
	}
	denied := o.act(r.ID, Denied, "approver")
	if denied.Reason != LegalClaims || denied.State != Denied {
		t.Errorf("%+v", denied)
	}
	if err := act(Cancelled, "handler"); !errors.As(err, &state) {
		t.Errorf("cancelled after it was denied: %v", err)
	}
	if _, err := o.Act(t.Context(), Act{ID: r.ID, To: Verified, Actor: "x", Reaches: only("globex")}); !errors.Is(err, ErrNotFound) {
		t.Errorf("another tenant's: %v", err)
	}
	if _, err := o.Get("none", all); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestTwoDecideAtOnce: one decision stands, and everybody is told the same.
func TestTwoDecideAtOnce(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	one, two := open(t, kit, nil), open(t, kit, nil)
	for range 5 {
		r := one.receive("alice") // denied or cancelled at the end of each round
		one.act(r.ID, Verified, "handler")
		two.until(r.ID, Verified)
		errs := make([]error, 2)
		var deciding sync.WaitGroup
		for i, a := range []struct {
			o  *office
			to State
		}{{one, Denied}, {two, Cancelled}} {
			deciding.Go(func() {
				_, errs[i] = a.o.Act(t.Context(), Act{ID: r.ID, To: a.to, Actor: "approver", Reason: reasonFor(a.to), Reaches: all})
			})
		}
		deciding.Wait()
		now, _ := one.Get(r.ID, all)
		var state *StateError
		if now.State == Denied && (errs[0] != nil || !errors.As(errs[1], &state)) || now.State == Cancelled && (errs[1] != nil || !errors.As(errs[0], &state)) {
			t.Errorf("%s, but told %v", now.State, errs)
		}
	}
}

// TestSubjectWhoRecordedIt cannot approve it, though the log does not say who
// they are.
func TestSubjectWhoRecordedIt(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	r, _, err := o.Receive(t.Context(), Input{Tenant: "acme", Type: Erasure, Regulation: GDPR, Issuer: "i", Subject: "alice", Actor: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if got := o.of(events.RequestReceived)[0].Record.Actor; got != events.ActorSubject {
		t.Fatalf("the log names %s", got)
	}
	o.act(r.ID, Verified, "handler")
	for _, actor := range []string{"alice", "Alice "} {
		if _, err := o.Act(t.Context(), Act{ID: r.ID, To: Approved, Actor: actor, Reaches: all}); !errors.Is(err, ErrFourEyes) {
			t.Errorf("approved their own: %v", err)
		}
	}
	o.act(r.ID, Approved, "approver")
}

// TestNamesThatHoldTheSubject: the log does not say either who has the subject's
// name in their own. They are two eyes all the same.
func TestNamesThatHoldTheSubject(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	r, _, err := o.Receive(t.Context(), Input{Tenant: "acme", Type: Erasure, Regulation: GDPR, Issuer: "i", Subject: "mallory", Actor: "mallory@corp.example"})
	if err != nil {
		t.Fatal(err)
	}
	if got := o.of(events.RequestReceived)[0].Record.Actor; got != events.ActorSubject {
		t.Fatalf("the log names %s", got)
	}
	o.act(r.ID, Verified, "handler")
	for _, actor := range []string{"mallory@corp.example", " Mallory@Corp.example", "mallory"} {
		if _, err := o.Act(t.Context(), Act{ID: r.ID, To: Approved, Actor: actor, Reaches: all}); !errors.Is(err, ErrFourEyes) {
			t.Fatalf("%q approved what they received: %v", actor, err)
		}
	}
	o.act(r.ID, Approved, "approver")
	in := HoldInput{Tenant: "acme", Issuer: "i", Subject: "mallory", Article: "GDPR 17(3)(e)", Owner: "legal", Review: "2099-12-31", Reason: "lawsuit"}
	for actor, want := range map[string]bool{"mallory@corp.example": false, "mallory": false, "officer": true} {
		in.Actor = actor
		ev := o.event(events.HoldPlaced, "h", "acme", events.Data{Issuer: in.Issuer, Subject: in.Subject, Actor: in.Actor, Reason: in.Reason, Attributes: in.attributes("h")})
		ev.Source = hold.Source
		if err := o.checkHold(&ev); (err == nil) != want {
			t.Errorf("a hold that nobody could tell from another's, by %q: %v", actor, err)
		}
	}
}

// TestThePersonIsNeverTheApprover: whoever recorded a request on themself cannot approve
// it, in any spelling in which the log does not name them.
func TestThePersonIsNeverTheApprover(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	for _, c := range []struct {
		subject, actor string
		spellings      []string
	}{
		{"Änne-1122", "https://pod.example/%C3%84nne-1122", []string{
			"https://pod.example/%c3%84nne-1122", "https://pod.example/%C3%84NNE-1122", "https://pod.example/Änne-1122", "https://pod.example/%25C3%2584nne-1122", " änne-1122",
		}},
		{"user%2D1122", "user%2D1122", []string{"User%2D1122", "x:user%2D1122"}},
		{"bob", "Bob", []string{"bob", "BOB "}},
	} {
		r, _, err := o.Receive(t.Context(), Input{Tenant: "acme", Type: Erasure, Regulation: GDPR, Issuer: "i", Subject: c.subject, Actor: c.actor})
		if err != nil {
			t.Fatal(err)
		}
		o.act(r.ID, Verified, "handler")
		for _, actor := range append(c.spellings, c.actor) {
			if _, err := o.Act(t.Context(), Act{ID: r.ID, To: Approved, Actor: actor, Reaches: all}); !errors.Is(err, ErrFourEyes) {
				t.Errorf("%q, as %q, approved their own: %v", c.actor, actor, err)
			}
		}
		o.act(r.ID, Approved, "approver")
	}
}

// TestPeopleNamedAsWeSpeak: somebody may be called what a member of our events is, and has
// their rights all the same.
func TestPeopleNamedAsWeSpeak(t *testing.T) {
	t.Parallel()
	w := &Workflow{cfg: Config{Policy: events.Policy{Environment: "test"}, Now: time.Now, Deadlines: deadline.Default()}}
	for _, kind := range Types() {
		for _, regulation := range Regulations() {
			in := Input{Tenant: "acme", Type: kind, Regulation: regulation, Issuer: "i", Actor: "handler", Received: time.Now().Add(-time.Hour), Confirmed: true}
			words := w.received("r", yes, time.Now(), in)
			words[attrAsk], words[attrSaid], words[attrCallbacks], words["receipt_salt"] = "", "", "", "" // beside those
			for name := range words {
				for _, subject := range append(strings.Split(name, "_"), name, kind, regulation) {
					in.Subject = subject
					attributes := w.received("r", yes, time.Now(), in)
					attributes[attrAsk], attributes[attrSaid], attributes[attrCallbacks] = "a", "b", "1"
					ev := w.event(events.RequestReceived, "r", "acme", events.Data{Issuer: "i", Subject: subject, Actor: "handler", Attributes: attributes})
					commit(&ev.Data, in)
					if r := w.cfg.Policy.Validate(&ev, time.Now()); r != nil {
						t.Errorf("%s cannot ask for %s: %v", subject, kind, r)
					}
				}
			}
		}
	}
}

func TestReceiveRefuses(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	_, _, err := o.Receive(t.Context(), Input{Tenant: "acme", Type: Erasure, Regulation: GDPR, Issuer: "i", Subject: "a", Actor: "h", Note: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"})
	var refusal *events.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != events.ReasonRawToken {
		t.Error(err)
	}
}

// TestPending: what is durable but not on the log yet is not called done.
func TestPending(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, func(c *Config) { c.WaitFor, c.Publisher = 20*time.Millisecond, nowhere{} })
	if _, _, err := o.Receive(t.Context(), Input{Tenant: "acme", Type: Erasure, Regulation: GDPR, Issuer: "i", Subject: "a", Actor: "h"}); !errors.Is(err, ErrPending) {
		t.Error(err)
	}
}

type nowhere struct{}

func (nowhere) Publish(context.Context, ...events.Event) error { return nil }

func TestList(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	var ids []string
	for range 5 {
		ids = append(ids, o.receive(fmt.Sprint("alice-", len(ids))).ID)
	}
	o.act(ids[2], Verified, "handler")
	list := func(f Filter) (out []string) {
		for _, r := range o.List(f) {
			out = append(out, r.ID)
		}
		return out
	}
	if got := list(Filter{Reaches: all}); !slices.Equal(got, []string{ids[4], ids[3], ids[2], ids[1], ids[0]}) {
		t.Error(got)
	}
	if got := list(Filter{Reaches: all, State: Verified}); !slices.Equal(got, ids[2:3]) {
		t.Error(got)
	}
	first := o.List(Filter{Reaches: all, Limit: 2})
	if got := list(Filter{Reaches: all, Limit: 2, Before: &first[1].Position}); !slices.Equal(got, []string{ids[2], ids[1]}) {
		t.Error(got)
	}
	if got := list(Filter{Reaches: only("globex")}); got != nil {
		t.Error(got)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Retry: -1}); err == nil {
		t.Error("accepted")
	}
}
