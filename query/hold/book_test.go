package hold

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/lane"
)

var (
	alice = events.Ref{0xa1}
	begin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
)

// placed is the record of a hold on alice, changed.
func placed(change func(*events.Record)) *events.Record {
	r := &events.Record{
		ID: "e", Source: Source, Type: events.HoldPlaced, Tenant: "acme", Actor: "officer", Reason: "lawsuit", SubjectRef: alice, Received: begin.UnixMicro(),
		Attributes: map[string]string{AttrHold: "h", AttrBy: BySubject, AttrArticle: "GDPR 17(3)(e)", AttrOwner: "legal", AttrReview: "2026-06-30"},
	}
	if change != nil {
		change(r)
	}
	return r
}

func with(attributes map[string]string) func(*events.Record) {
	return func(r *events.Record) { maps.Copy(r.Attributes, attributes) }
}

func released(actor, reason string) *events.Record {
	return &events.Record{ID: "f", Source: Source, Type: events.HoldReleased, Tenant: "acme", Actor: actor, Reason: reason, Received: begin.Add(time.Hour).UnixMicro(),
		Attributes: map[string]string{AttrHold: "h"}}
}

func all(string) bool { return true }

// TestWhatIsNoHold: each of these places nothing.
func TestWhatIsNoHold(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*events.Record){
		"another source":            func(r *events.Record) { r.Source = "elsewhere" },
		"no id":                     with(map[string]string{AttrHold: ""}),
		"of everything":             func(r *events.Record) { r.SubjectRef, r.Attributes[AttrBy] = events.Ref{}, "" },
		"of who was forgotten":      func(r *events.Record) { r.SubjectRef = events.Ref{} },
		"a session that is not":     with(map[string]string{AttrBy: "subject session"}),
		"a subject not said":        func(r *events.Record) { r.Client, r.Attributes[AttrBy] = "app", ByClient },
		"an unknown restriction":    with(map[string]string{AttrBy: "subject colour"}),
		"no article":                with(map[string]string{AttrArticle: " "}),
		"no owner":                  with(map[string]string{AttrOwner: ""}),
		"no reason":                 func(r *events.Record) { r.Reason = "" },
		"no review":                 with(map[string]string{AttrReview: ""}),
		"review some day":           with(map[string]string{AttrReview: "soon"}),
		"from no time":              with(map[string]string{AttrBy: "subject time", AttrFrom: "then"}),
		"an empty range":            with(map[string]string{AttrBy: "subject time", AttrFrom: "2026-03-02T00:00:00Z", AttrTo: "2026-03-02T00:00:00Z"}),
		"a type that is none":       with(map[string]string{AttrBy: "subject type", AttrTypes: "token.eaten"}),
		"a type without saying so":  with(map[string]string{AttrTypes: "token.issued"}),
		"a time without saying so":  with(map[string]string{AttrFrom: "2026-03-02T00:00:00Z"}),
		"released and never placed": func(r *events.Record) { r.Type = events.HoldReleased },
	} {
		b := NewBook()
		if b.Apply(lane.Entry{Record: placed(change)}) || len(b.List(all, false)) != 0 {
			t.Errorf("%s: %+v", name, b.List(all, false))
		}
	}
}

// TestReviewThatIsOver: no hold is placed with one; the day itself is not over. One
// that is on the log all the same lasts: to let go of what it keeps would be worse.
func TestReviewThatIsOver(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 6, 30, 23, 59, 59, 0, time.UTC) // of the day of placed
	at := func(now time.Time) *events.Record {
		return placed(func(r *events.Record) { r.Received = now.UnixMicro() })
	}
	if err := Check(at(end)); err != nil {
		t.Errorf("on the day: %v", err)
	}
	late := at(end.Add(time.Second))
	member, is := errors.AsType[*MemberError](Check(late))
	if !is || member.Member != AttrReview || !strings.Contains(member.Detail, "2026-06-30 is over") {
		t.Errorf("after it: %v", member)
	}
	example := member.Detail[strings.LastIndex(member.Detail, " ")+1:]
	late.Attributes[AttrReview] = example
	if err := Check(late); err != nil {
		t.Errorf("the example that the refusal gives: %v", err)
	}
	late = at(end.Add(time.Second))
	if b := NewBook(); !b.Apply(lane.Entry{Record: late}) || len(b.Overdue(end.Add(time.Minute))) != 1 {
		t.Errorf("on the log: %+v", b.List(all, true))
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	b := NewBook()
	b.Apply(lane.Entry{Shard: 1, Index: 5, Record: placed(nil)})
	again := placed(func(r *events.Record) { r.SubjectRef = events.Ref{9} })
	if b.Apply(lane.Entry{Index: 6, Record: again}) {
		t.Error("placed twice under one id")
	}
	for name, r := range map[string]*events.Record{
		"by who placed it": released("officer", "over"), "by who wrote it so": released(" Officer", "over"), "by nobody": released("", "over"), "without a reason": released("other", ""),
		"of another source": func() *events.Record { r := released("other", "over"); r.Source = "elsewhere"; return r }(),
		"of another tenant": func() *events.Record { r := released("other", "over"); r.Tenant = "globex"; return r }(),
	} {
		if b.Apply(lane.Entry{Record: r}) {
			t.Errorf("released %s", name)
		}
	}
	h, err := b.Get("h", all)
	if err != nil || !h.Active() || h.Position != 5 || h.Shard != 1 {
		t.Fatalf("%+v %v", h, err)
	}
	if !b.Apply(lane.Entry{Record: released("other", "over")}) || b.Apply(lane.Entry{Record: released("third", "again")}) {
		t.Error("released not at all, or twice")
	}
	if h, _ := b.Get("h", all); h.Active() || h.ReleasedBy != "other" || h.ReleaseReason != "over" {
		t.Errorf("%+v", h)
	}
	if err := h.MayRelease("officer", "over"); !errors.Is(err, ErrFourEyes) {
		t.Error(err)
	}
	if _, err := b.Get("h", func(tenant string) bool { return tenant == "globex" }); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if active, gone := b.Of("acme", alice); len(active) != 0 || len(gone) != 1 {
		t.Errorf("%v %v", active, gone)
	}
	if len(b.List(all, true)) != 0 || len(b.List(all, false)) != 1 {
		t.Error("the list of active holds has what was released")
	}
}

func TestReviewOverdue(t *testing.T) {
	t.Parallel()
	b := NewBook()
	b.Apply(lane.Entry{Record: placed(nil)})
	last := time.Date(2026, 6, 30, 23, 59, 59, 0, time.UTC)
	if n, m := len(b.Overdue(last)), len(b.Overdue(last.Add(time.Second))); n != 0 || m != 1 {
		t.Errorf("%d on the day, %d after", n, m)
	}
	b.Apply(lane.Entry{Record: &events.Record{Source: Source, Type: events.FindingOpened, Tenant: "acme", Attributes: map[string]string{AttrHold: "h"}}})
	if len(b.Overdue(last.AddDate(1, 0, 0))) != 0 {
		t.Error("found again")
	}
}

// TestKeeps against what a match says, member by member.
func TestKeeps(t *testing.T) {
	t.Parallel()
	refs := []events.Ref{{}, {1}, {2}}
	types := []events.Type{events.TokenIssued, events.TokenVerified}
	times := []time.Time{{}, begin, begin.Add(time.Hour), begin.Add(2 * time.Hour)}
	rapid.Check(t, func(t *rapid.T) {
		m := Match{
			Subject: rapid.SampledFrom(refs).Draw(t, "subject"), Session: rapid.SampledFrom(refs).Draw(t, "session"), Client: rapid.SampledFrom([]string{"", "app", "web"}).Draw(t, "client"),
			Types: rapid.SampledFrom([][]events.Type{nil, types[:1], types[1:], types}).Draw(t, "types"),
			From:  rapid.SampledFrom(times).Draw(t, "from"), To: rapid.SampledFrom(times).Draw(t, "to"),
		}
		r := &events.Record{
			SubjectRef: rapid.SampledFrom(refs[1:]).Draw(t, "of"), SessionRef: rapid.SampledFrom(refs).Draw(t, "in"), Client: rapid.SampledFrom([]string{"", "app", "web"}).Draw(t, "by"),
			Type: rapid.SampledFrom(types).Draw(t, "type"), Time: rapid.SampledFrom(times[1:]).Draw(t, "at").UnixMicro(),
		}
		want := true
		for _, differs := range []bool{
			m.Subject != events.Ref{} && m.Subject != r.SubjectRef, m.Session != events.Ref{} && m.Session != r.SessionRef, m.Client != "" && m.Client != r.Client,
			len(m.Types) == 1 && m.Types[0] != r.Type, m.From != time.Time{} && r.Time < m.From.UnixMicro(), m.To != time.Time{} && r.Time >= m.To.UnixMicro(),
		} {
			want = want && !differs
		}
		if got := m.Keeps(r); got != want {
			t.Fatalf("%+v %+v: %t", m, r, got)
		}
	})
}
