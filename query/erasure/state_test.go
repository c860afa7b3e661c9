package erasure

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/deadline"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/lane"
)

var start = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)

// script makes control records and folds them.
type script struct {
	book  *book
	index uint64
}

func (s *script) add(r events.Record) *Request {
	s.index++
	r.ID, r.Source, r.Received = fmt.Sprint("e-", s.index), Source, start.Add(time.Duration(s.index)*time.Second).UnixMicro()
	return s.book.apply(lane.Entry{Index: s.index, Record: &r, Sealed: []byte("sealed")})
}

func (s *script) receive(tenant, id string, subject events.Ref) *Request {
	return s.ask(tenant, id, subject, Erasure, GDPR, "handler")
}

func (s *script) ask(tenant, id string, subject events.Ref, kind, regulation, actor string) *Request {
	return s.add(events.Record{Type: events.RequestReceived, Tenant: tenant, Actor: actor, SubjectRef: subject, Issuer: "i",
		Attributes: map[string]string{attrRequest: id, attrType: kind, attrRegulation: regulation, attrKnown: yes}})
}

func (s *script) step(t events.Type, tenant, id, actor string) *Request {
	r := events.Record{Type: t, Tenant: tenant, Actor: actor, Reason: "why", Attributes: map[string]string{attrRequest: id}}
	switch t {
	case events.RequestDenied:
		r.Reason = LegalClaims
	case events.RequestExtended:
		r.Attributes[attrTold] = start.Format(time.DateOnly)
		r.Attributes[attrDue] = deadline.Default().Extended(start, GDPR).Format(time.RFC3339)
	}
	return s.add(r)
}

func (s *script) revoke(tenant, id string, subject events.Ref, cutoff events.Timestamp) *Request {
	return s.add(events.Record{Type: events.SubjectRevoked, Tenant: tenant, SubjectRef: subject, Attributes: map[string]string{attrRequest: id},
		Revocation: &events.Revocation{Scope: events.ScopeSubject, Hash: events.Ref{1}, IssuedBefore: cutoff}})
}

func (s *script) complete(tenant, id string) *Request {
	return s.add(events.Record{Type: events.RequestCompleted, Tenant: tenant, Actor: Worker, Attributes: map[string]string{attrRequest: id, attrOutcome: string(Erased)}})
}

func newScript() *script { return &script{book: newBook()} }

var alice = events.Ref{0xa1}

func farFuture() events.Timestamp { return events.TimestampOf(start.AddDate(1, 0, 0)) }

func TestFold(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.receive("acme", "r", alice)
	s.step(events.RequestVerified, "acme", "r", "handler")
	s.step(events.RequestExtended, "acme", "r", "handler")
	s.step(events.RequestApproved, "acme", "r", "approver")
	if p := s.book.pending(hold.NewBook()); len(p) != 1 || p[0].State != Approved {
		t.Fatalf("pending %+v", p)
	}
	s.revoke("acme", "r", alice, farFuture())
	r := s.complete("acme", "r")
	var states []State
	for _, h := range r.History {
		states = append(states, h.State)
	}
	if !slices.Equal(states, []State{Received, Verified, Extended, Approved, Executing, Completed}) || r.Outcome != Erased {
		t.Errorf("%v %s", states, r.Outcome)
	}
	if want := time.Date(2026, 4, 30, 23, 59, 59, 0, time.UTC); !r.Due.Equal(want) {
		t.Errorf("due %s, want %s", r.Due, want)
	}
	if r.origin.Record != nil || r.origin.Sealed != nil {
		t.Error("a finished request holds the sealed part")
	}
	if len(s.book.pending(hold.NewBook())) != 0 {
		t.Error("a completed request is pending")
	}
}

// TestWhatChangesNothing: events that a request's state, the four eyes, or the
// tenant do not allow.
func TestWhatChangesNothing(t *testing.T) {
	t.Parallel()
	verified := func(s *script) {
		s.receive("acme", "r", alice)
		s.step(events.RequestVerified, "acme", "r", "verifier")
	}
	approved := func(s *script) {
		verified(s)
		s.step(events.RequestApproved, "acme", "r", "approver")
	}
	for name, c := range map[string]struct{ before, act func(*script) }{
		"received again":                      {verified, func(s *script) { s.receive("acme", "r", events.Ref{9}) }},
		"approved, never verified":            {func(s *script) { s.receive("acme", "r", alice) }, func(s *script) { s.step(events.RequestApproved, "acme", "r", "approver") }},
		"extended twice":                      {func(s *script) { verified(s); s.step(events.RequestExtended, "acme", "r", "x") }, func(s *script) { s.step(events.RequestExtended, "acme", "r", "x") }},
		"approved, extended but not verified": {func(s *script) { s.receive("acme", "r", alice); s.step(events.RequestExtended, "acme", "r", "x") }, func(s *script) { s.step(events.RequestApproved, "acme", "r", "approver") }},
		"approved by who received":            {verified, func(s *script) { s.step(events.RequestApproved, "acme", "r", "handler") }},
		"approved by who verified":            {verified, func(s *script) { s.step(events.RequestApproved, "acme", "r", "verifier") }},
		"approved by who wrote it so":         {verified, func(s *script) { s.step(events.RequestApproved, "acme", "r", " Handler") }},
		"approved by nobody":                  {verified, func(s *script) { s.step(events.RequestApproved, "acme", "r", "") }},
		"approved by another tenant":          {verified, func(s *script) { s.step(events.RequestApproved, "globex", "r", "approver") }},
		"verified twice":                      {verified, func(s *script) { s.step(events.RequestVerified, "acme", "r", "x") }},
		"denied after approval":               {approved, func(s *script) { s.step(events.RequestDenied, "acme", "r", "x") }},
		"cancelled after approval":            {approved, func(s *script) { s.step(events.RequestCancelled, "acme", "r", "x") }},
		"completed, never approved":           {verified, func(s *script) { s.complete("acme", "r") }},
		"revoked, another subject":            {approved, func(s *script) { s.revoke("acme", "r", events.Ref{9}, farFuture()) }},
		"revoked, of long ago":                {approved, func(s *script) { s.revoke("acme", "r", alice, 1) }},
		"revoked by another tenant":           {approved, func(s *script) { s.revoke("globex", "r", alice, farFuture()) }},
		"revoked, never approved":             {verified, func(s *script) { s.revoke("acme", "r", alice, farFuture()) }},
		"about a request that is not":         {approved, func(s *script) { s.step(events.RequestDenied, "acme", "other", "x") }},
		"an event that names no request":      {approved, func(s *script) { s.step(events.RequestDenied, "acme", "", "x") }},
		"another type that names one":         {approved, func(s *script) { s.step(events.FindingOpened, "acme", "r", "x") }},
		"denied after it was denied":          {func(s *script) { verified(s); s.step(events.RequestDenied, "acme", "r", "x") }, func(s *script) { s.step(events.RequestDenied, "acme", "r", "y") }},
		"approved after it was cancelled":     {func(s *script) { verified(s); s.step(events.RequestCancelled, "acme", "r", "x") }, func(s *script) { s.step(events.RequestApproved, "acme", "r", "approver") }},
		"completed after it was completed":    {func(s *script) { approved(s); s.complete("acme", "r") }, func(s *script) { s.complete("acme", "r") }},
	} {
		s := newScript()
		c.before(s)
		was := s.book.byID["r"][0].clone()
		c.act(s)
		if now := s.book.byID["r"][0]; now.State != was.State || len(now.History) != len(was.History) || now.subject != was.subject {
			t.Errorf("%s: %s became %s", name, was.State, now.State)
		}
	}
}

// receivedAt is one more ask for the erasure of alice, which reached the controller then.
func (s *script) receivedAt(id string, at time.Time) {
	s.add(events.Record{Type: events.RequestReceived, Tenant: "acme", Actor: "other", SubjectRef: alice, Issuer: "i", Attributes: map[string]string{
		attrRequest: id, attrType: Erasure, attrRegulation: GDPR, attrReceived: at.Format(time.RFC3339), attrDue: deadline.Default().Answer(at, GDPR).Format(time.RFC3339),
	}})
}

// TestJoinWithAnEarlierReceipt brings the deadline forward, until the request is
// carried out: the receipt says both, whoever signs it.
func TestJoinWithAnEarlierReceipt(t *testing.T) {
	t.Parallel()
	earlier, due := start.AddDate(0, 0, -25), deadline.Default().Answer(start.AddDate(0, 0, -25), GDPR)
	approved := func(s *script) {
		s.step(events.RequestVerified, "acme", "r", "verifier")
		s.step(events.RequestApproved, "acme", "r", "approver")
	}
	executed := func(s *script) {
		approved(s)
		s.revoke("acme", "r", alice, farFuture())
		s.step(events.RequestExecuted, "acme", "r", Worker)
	}
	for name, c := range map[string]struct {
		before func(*script)
		at     time.Time
		moves  bool
	}{
		"at once":                    {func(*script) {}, earlier, true},
		"later than the first":       {func(*script) {}, start.Add(2 * time.Second), false},
		"later, once it is extended": {func(s *script) { s.step(events.RequestExtended, "acme", "r", "x") }, start.Add(2 * time.Second), false},
		"once it is extended":        {func(s *script) { s.step(events.RequestExtended, "acme", "r", "x") }, earlier, true},
		"before it is carried out":   {approved, earlier, true},
		"when it was":                {executed, earlier, false},
		"of a time nobody believes":  {func(*script) {}, start.AddDate(-2, 0, 0), false},
	} {
		s := newScript()
		r := s.receive("acme", "r", alice)
		c.before(s)
		was := r.clone()
		s.receivedAt("again", c.at)
		moved := r.Received.Equal(earlier) && r.Due.Equal(due)
		same := r.Received.Equal(was.Received) && r.Due.Equal(was.Due)
		if r.Last().What != StepJoined || moved != c.moves || same == c.moves {
			t.Errorf("%s: %s, due %s, was %s, due %s", name, r.Received, r.Due, was.Received, was.Due)
		}
	}
}

// TestRevocationAfterAJoin: what was issued until the approval has to be refused, and
// no later step asks for more.
func TestRevocationAfterAJoin(t *testing.T) {
	t.Parallel()
	for at, want := range map[time.Duration]State{3: Executing, 2: Approved} { // approved is the third event, of second 3
		s := newScript()
		s.receive("acme", "r", alice)
		s.step(events.RequestVerified, "acme", "r", "verifier")
		s.step(events.RequestApproved, "acme", "r", "approver")
		s.receive("acme", "again", alice)
		s.revoke("acme", "r", alice, events.TimestampOf(start.Add(at*time.Second)))
		if got := s.book.byID["r"][0]; got.State != want || len(got.History) < 4 || got.History[3].What != StepJoined {
			t.Errorf("revoked until second %d: %s, want %s: %+v", at, got.State, want, got.History)
		}
	}
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	s := newScript()
	approve := func(id string) *Request {
		s.step(events.RequestVerified, "acme", id, "handler")
		return s.step(events.RequestApproved, "acme", id, "approver")
	}
	s.receive("acme", "first", alice)
	s.ask("acme", "second", alice, Erasure, CCPA, "handler")
	s.receive("acme", "forgotten before", events.Ref{})
	s.receive("globex", "same reference elsewhere", alice)
	unknown := s.receive("acme", "unknown", events.Ref{0xb0})
	unknown.known = false
	first, second, gone := approve("first"), approve("second"), approve("forgotten before")
	for r, want := range map[*Request]Outcome{first: Erased, second: Erased, gone: AlreadyErased, unknown: NoMatch, s.book.byID["same reference elsewhere"][0]: Erased} {
		if got := s.book.outcome(r); got != want {
			t.Errorf("%s: %s, want %s", r.ID, got, want)
		}
	}
	s.complete("acme", "first")
	for r, want := range map[*Request]Outcome{first: Erased, second: AlreadyErased, s.book.byID["same reference elsewhere"][0]: Erased} {
		if got := s.book.outcome(r); got != want {
			t.Errorf("after: %s: %s, want %s", r.ID, got, want)
		}
	}
}

// TestE19FoldNeverSkipsApproval: whatever is on the log in whatever order, a
// request that is executed or completed was verified, and approved by somebody
// else than who received or verified it, in that order.
func TestE19FoldNeverSkipsApproval(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newScript()
		actors, tenants := rapid.SampledFrom([]string{"a", "b", "c", ""}), rapid.SampledFrom([]string{"acme", "globex"})
		ids := rapid.SampledFrom([]string{"r", "again"}) // the second joins the first while that is open
		kinds := rapid.SampledFrom([]string{"receive", "verify", "extend", "approve", "deny", "cancel", "revoke", "complete"})
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			tenant, actor, id := tenants.Draw(t, "tenant"), actors.Draw(t, "actor"), ids.Draw(t, "id")
			switch kinds.Draw(t, "kind") {
			case "receive":
				s.ask(tenant, id, alice, Erasure, GDPR, actor)
			case "verify":
				s.step(events.RequestVerified, tenant, id, actor)
			case "extend":
				s.step(events.RequestExtended, tenant, id, actor)
			case "approve":
				s.step(events.RequestApproved, tenant, id, actor)
			case "deny":
				s.step(events.RequestDenied, tenant, id, actor)
			case "cancel":
				s.step(events.RequestCancelled, tenant, id, actor)
			case "revoke":
				s.revoke(tenant, id, alice, farFuture())
			case "complete":
				s.complete(tenant, id)
			}
		}
		for _, r := range s.book.order {
			checkHistory(t, r)
		}
	})
}

func checkHistory(t *rapid.T, r *Request) {
	if r.State != Approved && r.State != Executing && r.State != Completed {
		return
	}
	received, _ := r.step(string(Received))
	verified, wasVerified := r.step(string(Verified))
	approved, wasApproved := r.step(string(Approved))
	if !wasVerified || !wasApproved || verified.Position > approved.Position {
		t.Fatalf("%s without verification and approval: %+v", r.State, r.History)
	}
	if approved.Actor == "" || approved.Actor == received.Actor || approved.Actor == verified.Actor {
		t.Fatalf("two eyes: %+v", r.History)
	}
	for _, h := range r.History {
		if h.What == StepJoined && h.Position < approved.Position && h.Actor == approved.Actor {
			t.Fatalf("who joined approved: %+v", r.History)
		}
	}
	if slices.ContainsFunc(r.History, func(h Step) bool { return h.State == Denied || h.State == Cancelled }) {
		t.Fatalf("went on after its end: %+v", r.History)
	}
}
