package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query"
)

// lifecycle is finding.* events: which finding, what happened to it, and who
// did it.
func lifecycle(steps ...[3]string) (rows []eventrow.Row) {
	for i, s := range steps {
		r := events.Record{
			Version: 1, Source: "rescind:controls", ID: s[0] + s[1], Tenant: "acme", Type: events.TypeNamed("finding." + s[1]),
			Time: day.Add(time.Duration(i) * time.Hour).UnixMicro(), Actor: s[2], Attributes: map[string]string{"finding": s[0]},
		}
		if s[1] == "opened" {
			r.Attributes = map[string]string{
				"finding": s[0], "control": "control-" + s[0], "severity": "critical", "title": "t", "clauses": "PCI DSS 4.0.1 3.3.1; SOC 2 CC6.1",
			}
		} else {
			r.Reason = "because"
		}
		rows = append(rows, eventrow.Row{Index: uint64(10 + i), Record: r})
	}
	return rows
}

func TestFindingsAreFoldedFromTheirEvents(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	insert(t, conn, lifecycle(
		[3]string{"a", "opened", "controls"}, [3]string{"b", "opened", "controls"}, [3]string{"c", "opened", "controls"},
		[3]string{"b", "acknowledged", "olga"}, [3]string{"c", "acknowledged", "olga"}, [3]string{"c", "closed", "hans"},
		[3]string{"d", "opened", "controls"}, [3]string{"d", "closed", "hans"}, [3]string{"d", "opened", "controls"},
		[3]string{"never-opened", "closed", "hans"},
	))
	insert(t, conn, []eventrow.Row{{Index: 99, Record: events.Record{Version: 1, Tenant: "umbrella", Type: events.FindingOpened, Attributes: map[string]string{"finding": "a"}}}})
	got := func(q query.FindingSearch) (out []string) {
		q.Tenant = "acme"
		fs, err := New(conn).Findings(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fs {
			out = append(out, f.ID+":"+string(f.State))
		}
		return out
	}
	for name, c := range map[string]struct {
		q    query.FindingSearch
		want []string
	}{
		"all, last opened first": {query.FindingSearch{}, []string{"d:open", "c:closed", "b:acknowledged", "a:open"}},
		"open":                   {query.FindingSearch{State: query.FindingOpen}, []string{"d:open", "a:open"}},
		"acknowledged":           {query.FindingSearch{State: query.FindingAcknowledged}, []string{"b:acknowledged"}},
		"closed":                 {query.FindingSearch{State: query.FindingClosed}, []string{"c:closed"}},
		"unknown state":          {query.FindingSearch{State: "lost"}, nil},
		"control":                {query.FindingSearch{Control: "control-b"}, []string{"b:acknowledged"}},
		"one":                    {query.FindingSearch{ID: "c"}, []string{"c:closed"}},
		"limit":                  {query.FindingSearch{Limit: 2}, []string{"d:open", "c:closed"}},
		"before":                 {query.FindingSearch{Before: ptr(12)}, []string{"b:acknowledged", "a:open"}},
		"quote":                  {query.FindingSearch{ID: "' OR 1 --"}, nil},
	} {
		if d := cmp.Diff(c.want, got(c.q)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestFindingsOfAllTenants: the same id at two tenants is two findings.
func TestFindingsOfAllTenants(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	rows := lifecycle([3]string{"a", "opened", "controls"}, [3]string{"b", "opened", "controls"}, [3]string{"a", "opened", "controls"}, [3]string{"a", "closed", "hans"})
	rows[2].Record.Tenant, rows[3].Record.Tenant = "umbrella", "umbrella"
	insert(t, conn, rows)
	got, err := New(conn).Findings(t.Context(), query.FindingSearch{AllTenants: true})
	var names []string
	for _, f := range got {
		names = append(names, f.Tenant+" "+f.ID+" "+string(f.State))
	}
	if d := cmp.Diff([]string{"umbrella a closed", "acme b open", "acme a open"}, names); d != "" || err != nil {
		t.Fatal(d, err)
	}
}

func TestFindingSaysWhatItsOpeningSaid(t *testing.T) {
	t.Parallel()
	conn := tables(t)
	insert(t, conn, lifecycle([3]string{"a", "opened", "controls"}, [3]string{"a", "closed", "hans"}, [3]string{"b", "opened", "controls"}))
	got, err := New(conn).Findings(t.Context(), query.FindingSearch{Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	attributes := func(id string) map[string]string {
		return lifecycle([3]string{id, "opened", ""})[0].Record.Attributes
	}
	clauses := []string{"PCI DSS 4.0.1 3.3.1", "SOC 2 CC6.1"}
	want := []query.Finding{
		{
			ID: "b", Tenant: "acme", Index: 12, State: query.FindingOpen, Control: "control-b", Severity: "critical", Title: "t",
			Clauses: clauses, Attributes: attributes("b"), Opened: day.Add(2 * time.Hour), Changed: day.Add(2 * time.Hour),
		},
		{
			ID: "a", Tenant: "acme", Index: 10, State: query.FindingClosed, Control: "control-a", Severity: "critical", Title: "t",
			Clauses: clauses, Attributes: attributes("a"), Opened: day, Changed: day.Add(time.Hour), Actor: "hans", Reason: "because",
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}
