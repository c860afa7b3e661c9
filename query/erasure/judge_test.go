package erasure

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/deadline"
	"github.com/rescindhq/rescind/query/lane"
)

// received is a request that was received on 15 January and is due on 16
// February: the 15th is a Sunday.
func january(regulation string) *Request {
	at := time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)
	r := newRequest("r", lane.Entry{Record: &events.Record{
		Type: events.RequestReceived, Source: Source, Tenant: "acme", SubjectRef: alice, Received: at.UnixMicro(),
		Attributes: map[string]string{attrRequest: "r", attrType: Erasure, attrRegulation: regulation, attrDue: deadline.Default().Answer(at, regulation).Format(time.RFC3339)},
	}})
	r.State = Verified
	return r
}

// TestExtension is GDPR article 12(3) and 11 CCR § 7021(b): with a reason, with
// notice in the first period, once.
func TestExtension(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		regulation, reason, told, logged string
		due                              string // as the event states it; "" for what the rules say
		accepted                         bool
	}{
		"in time":                       {GDPR, "complex", "2026-02-02", "2026-02-02T09:00:00Z", "", true},
		"on the last day":               {GDPR, "complex", "2026-02-16", "2026-02-16T23:59:59Z", "", true},
		"told on the day of receipt":    {GDPR, "complex", "2026-01-15", "2026-02-02T09:00:00Z", "", true},
		"a day late":                    {GDPR, "complex", "2026-02-17", "2026-02-17T00:00:00Z", "", false},
		"told in time, recorded late":   {GDPR, "complex", "2026-02-02", "2026-02-17T00:00:00Z", "", false},
		"told before it came":           {GDPR, "complex", "2026-01-14", "2026-02-02T09:00:00Z", "", false},
		"told tomorrow":                 {GDPR, "complex", "2026-02-03", "2026-02-02T09:00:00Z", "", false},
		"not told":                      {GDPR, "complex", "", "2026-02-02T09:00:00Z", "", false},
		"told some day":                 {GDPR, "complex", "soon", "2026-02-02T09:00:00Z", "", false},
		"without a reason":              {GDPR, "", "2026-02-02", "2026-02-02T09:00:00Z", "", false},
		"shorter than the first period": {GDPR, "complex", "2026-02-02", "2026-02-02T09:00:00Z", "2026-02-10T23:59:59Z", false},
		"longer than any law":           {GDPR, "complex", "2026-02-02", "2026-02-02T09:00:00Z", "2027-02-10T23:59:59Z", false},
		"no date":                       {GDPR, "complex", "2026-02-02", "2026-02-02T09:00:00Z", "later", false},
		"CCPA, in 45 days":              {CCPA, "complex", "2026-03-01", "2026-03-01T12:00:00Z", "", true},
		"CCPA, on the 46th":             {CCPA, "complex", "2026-03-02", "2026-03-02T00:00:00Z", "", false},
	} {
		r := january(c.regulation)
		logged, err := time.Parse(time.RFC3339, c.logged)
		if err != nil {
			t.Fatal(err)
		}
		due := c.due
		if due == "" {
			due = deadline.Default().Extended(r.Received, c.regulation).Format(time.RFC3339)
		}
		_, err = r.judge(&events.Record{Type: events.RequestExtended, Source: Source, Reason: c.reason, Received: logged.UnixMicro(),
			Attributes: map[string]string{attrTold: c.told, attrDue: due}})
		if (err == nil) != c.accepted {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExtendedBeforeVerified: the month does not wait for a proof of identity,
// and an extension is no proof of one.
func TestExtendedBeforeVerified(t *testing.T) {
	t.Parallel()
	s := newScript()
	first := *s.receive("acme", "r", alice)
	r := s.step(events.RequestExtended, "acme", "r", "handler")
	if r == nil || r.State != Received || !r.Extended || !r.Due.After(first.Due) {
		t.Fatalf("%+v", r)
	}
	if s.step(events.RequestApproved, "acme", "r", "approver") != nil {
		t.Error("approved without a verified identity")
	}
	if r := s.step(events.RequestVerified, "acme", "r", "handler"); r == nil || r.State != Extended {
		t.Fatalf("%+v", r)
	}
	if s.step(events.RequestExtended, "acme", "r", "handler") != nil {
		t.Error("extended twice")
	}
}

func TestDenialNamesItsReason(t *testing.T) {
	t.Parallel()
	for _, reason := range append(DenialReasons(), "", "because", "OTHER") {
		s := newScript()
		s.receive("acme", "r", alice)
		r := s.add(events.Record{Type: events.RequestDenied, Tenant: "acme", Actor: "a", Reason: reason, Attributes: map[string]string{attrRequest: "r"}})
		if typed := slices.Contains(DenialReasons(), reason); (r != nil) != typed || typed && (r.Reason != reason || r.State != Denied) {
			t.Errorf("%q: %+v", reason, r)
		}
	}
}

// TestDuplicatesJoin: the second asks for the same, of the same subject, under
// the same regulation, while the first is open.
func TestDuplicatesJoin(t *testing.T) {
	t.Parallel()
	s := newScript()
	first := s.receive("acme", "first", alice)
	for name, c := range map[string]struct {
		tenant, kind, regulation string
		subject                  events.Ref
	}{
		"another tenant":     {"globex", Erasure, GDPR, alice},
		"another type":       {"acme", Access, GDPR, alice},
		"another regulation": {"acme", Erasure, CCPA, alice},
		"another subject":    {"acme", Erasure, GDPR, events.Ref{0xb0}},
	} {
		if r := s.ask(c.tenant, name, c.subject, c.kind, c.regulation, "handler"); r.ID != name {
			t.Errorf("%s joined %s", name, r.ID)
		}
	}
	for _, gone := range []string{"gone", "gone too"} { // nobody can tell whether these are one person
		if r := s.receive("acme", gone, events.Ref{}); r.ID != gone {
			t.Errorf("%s joined %s", gone, r.ID)
		}
	}
	if r := s.ask("acme", "again", alice, Erasure, GDPR, "other"); r != first || first.Last().What != StepJoined || first.Last().Actor != "other" || first.State != Received {
		t.Fatalf("%+v", r)
	}
	if got := s.book.find("again", all); got != first {
		t.Errorf("the second id leads to %+v", got)
	}
	s.step(events.RequestVerified, "acme", "first", "handler")
	if s.step(events.RequestApproved, "acme", "first", "other") != nil {
		t.Error("approved by who asked for it again")
	}
	if s.step(events.RequestDenied, "acme", "again", "approver") != first {
		t.Error("the second id does not act on the first")
	}
	if r := s.receive("acme", "anew", alice); r.ID != "anew" || r.State != Received {
		t.Errorf("joined one that had ended: %+v", r)
	}
}

// TestE19DuplicateIsNoVerification: a request that joins one does not bring it
// a step further.
func TestE19DuplicateIsNoVerification(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.receive("acme", "first", alice)
	s.receive("acme", "again", alice)
	if s.step(events.RequestApproved, "acme", "first", "approver") != nil || s.step(events.RequestApproved, "acme", "again", "approver") != nil {
		t.Error("approved")
	}
}

// TestRestrictions last from the approval until they are lifted, and each for
// itself.
func TestRestrictions(t *testing.T) {
	t.Parallel()
	s := newScript()
	restricted := func() int { return len(s.book.restricted[person{"acme", alice}]) }
	approve := func(id, kind string) {
		s.ask("acme", id, alice, kind, GDPR, "handler")
		s.step(events.RequestVerified, "acme", id, "handler")
		if s.step(events.RequestApproved, "acme", id, "approver") == nil {
			t.Fatal(id)
		}
	}
	lift := func(id, reason, told string) *Request {
		return s.add(events.Record{Type: events.RequestCancelled, Tenant: "acme", Actor: "approver", Reason: reason,
			Attributes: map[string]string{attrRequest: id, attrLift: yes, attrTold: told}})
	}
	approve("one", Restriction)
	if restricted() != 1 {
		t.Error("not restricted once approved")
	}
	if lift("one", "why", "2026-01-31") != nil {
		t.Error("lifted before it was carried out")
	}
	approve("two", Objection)
	for _, id := range []string{"one", "two"} {
		s.add(events.Record{Type: events.RequestCompleted, Tenant: "acme", Actor: Worker, Attributes: map[string]string{attrRequest: id, attrOutcome: string(Restricted)}})
	}
	if restricted() != 2 {
		t.Errorf("%d restrictions", restricted())
	}
	for name, r := range map[string]*Request{"no reason": lift("one", "", "2026-01-31"), "not told": lift("one", "why", ""), "told tomorrow": lift("one", "why", "2026-02-01"), "told before there was a request": lift("one", "why", "2025-12-31")} {
		if r != nil {
			t.Errorf("lifted: %s", name)
		}
	}
	if s.step(events.RequestCancelled, "acme", "one", "approver") != nil {
		t.Error("cancelled after it was completed")
	}
	if r := lift("one", "why", "2026-01-31"); r == nil || r.Outcome != Lifted || r.State != Completed || restricted() != 1 {
		t.Errorf("%+v, %d restrictions", r, restricted())
	}
	if lift("one", "why", "2026-01-31") != nil {
		t.Error("lifted twice")
	}
	if lift("two", "why", "2026-01-31") == nil || restricted() != 0 {
		t.Errorf("%d restrictions", restricted())
	}
}

// TestRestrictionOfTheForgotten restricts nobody: least of all everybody who has
// no reference.
func TestRestrictionOfTheForgotten(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.ask("acme", "r", events.Ref{}, Restriction, GDPR, "handler")
	s.step(events.RequestVerified, "acme", "r", "handler")
	if s.step(events.RequestApproved, "acme", "r", "approver") == nil || len(s.book.restricted) != 0 {
		t.Errorf("%v", s.book.restricted)
	}
}

// TestForeignSources: what others publish changes no request, whatever it names.
func TestForeignSources(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.receive("acme", "r", alice)
	for _, kind := range []events.Type{events.RequestReceived, events.RequestVerified, events.RequestDenied, events.RequestCancelled, events.RequestCompleted, events.FindingOpened} {
		record := &events.Record{Type: kind, Tenant: "acme", Source: "elsewhere", ID: "e", Actor: "x", Reason: LegalClaims, Received: start.UnixMicro(),
			Attributes: map[string]string{attrRequest: "r", attrOutcome: string(Erased)}}
		if s.book.apply(lane.Entry{Index: 99, Record: record}) != nil || len(s.book.byID["r"][0].flagged) != 0 {
			t.Errorf("%s of another source was taken", kind.Name())
		}
	}
}

// TestReplayed: whatever is on the log twice or for the second time changes
// nothing more, and every process folds the same.
func TestReplayed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var log []lane.Entry
		s := newScript()
		kinds := []events.Type{events.RequestReceived, events.RequestVerified, events.RequestExtended, events.RequestApproved, events.RequestDenied, events.RequestCancelled, events.RequestCompleted}
		for i := range rapid.IntRange(1, 20).Draw(t, "steps") {
			r := &events.Record{
				ID: string(rune('a' + i)), Source: Source, Tenant: "acme", Type: rapid.SampledFrom(kinds).Draw(t, "kind"), Actor: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "actor"),
				Reason: LegalClaims, SubjectRef: alice, Received: start.Add(time.Duration(i) * time.Hour).UnixMicro(),
				Attributes: map[string]string{attrRequest: rapid.SampledFrom([]string{"r", "q"}).Draw(t, "id"), attrType: Restriction, attrRegulation: GDPR,
					attrTold: "2026-01-31", attrDue: "2026-04-30T23:59:59Z", attrOutcome: string(Restricted)},
			}
			log = append(log, lane.Entry{Index: uint64(i), Record: r})
			s.book.apply(log[i])
		}
		again := newBook()
		for _, e := range log {
			again.apply(e)
		}
		if !slices.EqualFunc(s.book.order, again.order, func(a, b *Request) bool {
			return a.ID == b.ID && a.State == b.State && a.Due.Equal(b.Due) && a.Outcome == b.Outcome && slices.Equal(a.History, b.History)
		}) {
			t.Fatal("two folds of one log differ")
		}
		before := states(s.book)
		for _, e := range log { // redelivered
			if e.Record.Type == events.RequestReceived {
				s.book.apply(e)
			}
		}
		if !maps.Equal(before, states(s.book)) {
			t.Fatalf("%v became %v", before, states(s.book))
		}
	})
}

func states(b *book) map[string]State {
	out := map[string]State{}
	for id, rs := range b.byID {
		out[id] = rs[0].State
	}
	return out
}

// TestDeadlinesAreStated: what an event says of deadlines is believed within
// what any law could mean, and else the law is applied to when it came.
func TestDeadlinesAreStated(t *testing.T) {
	t.Parallel()
	logged := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ received, due, wantReceived, wantDue string }{
		"stated":               {"2026-03-05T08:00:00Z", "2026-04-07T23:59:59+02:00", "2026-03-05T08:00:00Z", "2026-04-07T23:59:59+02:00"},
		"nothing stated":       {"", "", "2026-03-10T12:00:00Z", "2026-04-10T23:59:59Z"},
		"received tomorrow":    {"2026-03-11T08:00:00Z", "", "2026-03-10T12:00:00Z", "2026-04-10T23:59:59Z"},
		"received years ago":   {"2020-03-05T08:00:00Z", "", "2026-03-10T12:00:00Z", "2026-04-10T23:59:59Z"},
		"due before it came":   {"", "2026-03-09T23:59:59Z", "2026-03-10T12:00:00Z", "2026-04-10T23:59:59Z"},
		"due when all is over": {"", "2036-03-09T23:59:59Z", "2026-03-10T12:00:00Z", "2026-04-10T23:59:59Z"},
		"no times":             {"then", "soon", "2026-03-10T12:00:00Z", "2026-04-10T23:59:59Z"},
	} {
		r := newRequest("r", lane.Entry{Record: &events.Record{Received: logged.UnixMicro(), Attributes: map[string]string{attrRegulation: GDPR, attrReceived: c.received, attrDue: c.due}}})
		if got := r.Received.Format(time.RFC3339); got != c.wantReceived {
			t.Errorf("%s: received %s, want %s", name, got, c.wantReceived)
		}
		if got := r.Due.Format(time.RFC3339); got != c.wantDue {
			t.Errorf("%s: due %s, want %s", name, got, c.wantDue)
		}
	}
}

// TestUrgency: seven days before, and after.
func TestUrgency(t *testing.T) {
	t.Parallel()
	r := january(GDPR)
	for at, want := range map[string]Urgency{
		"2026-02-09T23:59:58Z": "", "2026-02-09T23:59:59Z": Soon, "2026-02-16T23:59:59Z": Soon, "2026-02-17T00:00:00Z": Overdue,
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Urgency(now); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	later := r.Due.AddDate(1, 0, 0)
	r.Answered = r.Due
	if got := r.Urgency(later); got != "" {
		t.Errorf("answered in time: %q", got)
	}
	r.Answered = r.Due.Add(time.Second)
	if got := r.Urgency(later); got != Overdue {
		t.Errorf("answered late: %q", got)
	}
}

// TestErrorsSayWhich so that a caller can tell.
func TestErrorsSayWhich(t *testing.T) {
	t.Parallel()
	r := january(GDPR)
	var member *MemberError
	_, err := r.judge(&events.Record{Type: events.RequestDenied, Source: Source, Reason: "because"})
	if !errors.As(err, &member) || member.Member != "reason" {
		t.Error(err)
	}
	_, err = r.judge(&events.Record{Type: events.RequestExtended, Source: Source, Reason: "complex", Received: r.Due.AddDate(0, 0, 1).UnixMicro()})
	if !errors.Is(err, ErrTooLate) {
		t.Error(err)
	}
	var state *StateError
	_, err = r.judge(&events.Record{Type: events.RequestVerified, Source: Source})
	if !errors.As(err, &state) || state.State != Verified {
		t.Error(err)
	}
}
