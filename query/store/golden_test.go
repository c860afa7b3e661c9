package store

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/leak"
)

var update = flag.Bool("update", false, "write testdata/queries.sql anew")

// questions are one of each kind, with every member that it has.
func questions() map[string]question {
	out := map[string]question{
		"event":             event{tenant: "acme", index: 7},
		"event, any tenant": event{index: 7},
		"sealed":            sealed{tenant: "acme", indices: []uint64{1, 2}, people: []events.Ref{{3}, {1}, {3}}},
		"findings":          findings{query.FindingSearch{Tenant: "acme"}, 100},
		"findings, all of it": findings{query.FindingSearch{
			Tenant: "acme", ID: "f1", State: query.FindingOpen, Control: "key-known", Before: ptr(9), Limit: 5,
		}, 100},
		"count, all of it":     count{searches()["all"], 100},
		"findings, any tenant": findings{query.FindingSearch{AllTenants: true, State: query.FindingOpen}, 100},
		"search, any tenant":   page{query.Search{AllTenants: true, Types: []events.Type{events.TokenRevoked}, Descending: true}, window{40, 100}},
		"recorded":             recorded{},
		"duplicates":           duplicates{indices: []uint64{1, 2}},
		"issuers":              issuers{"acme", 0, 100, 33},
		"audiences":            audiences{"acme", 2, events.Ref{1}, []string{"crm"}},
		"exported to":          exportedTo{audiences{"acme", 2, events.Ref{1}, nil}},
	}
	r := leak.Revoked{Index: 7, Record: &events.Record{Tenant: "acme", Issuer: "i", SubjectRef: events.Ref{1}, TokenRef: events.Ref{2}, SessionRef: events.Ref{3}, GrantRef: events.Ref{4},
		Client: "c", KeyID: "k", Received: 5, Revocation: &events.Revocation{Scope: events.ScopeSubject, IssuedBefore: 1700000000_500, Starts: 1700000000_500, Expires: 1700001000_000}}}
	lifted := r
	lifted.Lift = &leak.Lift{Index: 9, Received: 8}
	out["leaks"] = leaks{query.LeakSearch{Revoked: r, After: ptr(8), Limit: 5}, nil, 100}
	out["leaks, lifted, forgotten"] = leaks{query.LeakSearch{Revoked: lifted}, []string{"02"}, 100}
	out["leaks, counted"] = leakCounts{query.LeakSearch{Revoked: lifted, Bound: leakBound}, nil, 100}
	out["tokens of"] = tokensOf{"acme", 0, events.Ref{1}, 100}
	out["glance, any tenant"] = glance{first: 1, end: 9}
	out["suspects, none forgotten, any tenant"] = suspects{leak.Window{First: 1, End: 9, Bound: leakBound, Limit: 5, NoneForgotten: true}}
	out["suspects, any tenant"] = suspects{leak.Window{First: 1, End: 9, Behind: leak.Place{Accepted: 4, Revoked: 3}, Bound: leakBound, Limit: 5}}
	out["by indices, any tenant"] = byIndices{0, []uint64{1, 2}}
	out["lifts, any tenant"] = lifts{0, []uint64{1}, 9}
	out["openings"] = openings{tenant: "acme", finding: "f"}
	out["openings, about"] = openings{tenant: "acme", revocation: "r", verifier: "v"}
	out["refused"] = refused{query.HitSearch{Tenant: "acme", Scope: events.ScopeClient, Issuer: "i", Client: "c", Now: day, MaxLifetime: time.Hour}, 100, 50}
	for _, scope := range []events.Scope{events.ScopeToken, events.ScopeSession, events.ScopeGrant, events.ScopeSubject, events.ScopeClient, events.ScopeKey, events.ScopeIssuer, events.ScopeTenant} {
		out["reach, "+string(scope)] = reach{query.HitSearch{Tenant: "acme", Scope: scope, Ref: events.Ref{5}, Issuer: "i", Client: "c", KeyID: "k", Now: day, MaxLifetime: time.Hour}, 100, 50}
		out["hits, "+string(scope)] = hits{query.HitSearch{Tenant: "acme", Scope: scope, Ref: events.Ref{5}, Issuer: "i", Client: "c", KeyID: "k", Cutoff: 9000, Now: day, MaxLifetime: time.Hour}, 100, 50}
	}
	for _, relation := range []export.Relation{export.OfPerson, export.OfToken, export.ReadingOf} {
		out["exported, "+string(relation)] = exported(export.Selection{Tenant: "acme", Person: events.Ref{1}, Relation: relation, From: 40, End: 100, Limit: 5})
	}
	for _, name := range []string{"tenant", "subject", "token", "session", "id", "its id", "lifts", "types", "window", "descending", "all"} {
		out["search, "+name] = page{searches()[name], window{40, 100}}
	}
	return out
}

func TestQueriesAreTheseAndNoOthers(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	all := questions()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sql, args := all[name].SQL()
		fmt.Fprintf(&b, "-- %s\n%s;\n", name, sql)
		for _, a := range args {
			n := a.(driver.NamedValue)
			fmt.Fprintf(&b, "--   %s = %v\n", n.Name, n.Value)
		}
		b.WriteString("\n")
	}
	const file = "testdata/queries.sql"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Fatalf("run with -update after reading this:\n%s", d)
	}
}

// TestNoValueIsInTheTextOfAQuery asks with values that would be seen.
func TestNoValueIsInTheTextOfAQuery(t *testing.T) {
	t.Parallel()
	for name, q := range questions() {
		sql, args := q.SQL()
		for _, a := range args {
			n := a.(driver.NamedValue)
			if !strings.Contains(sql, "{"+n.Name+":") {
				t.Errorf("%s: parameter %s is not used", name, n.Name)
			}
			if s, ok := n.Value.(string); ok && strings.Contains(sql, "'"+s+"'") {
				t.Errorf("%s: the value of %s is in the text", name, n.Name)
			}
		}
		_, position := q.(recorded)
		_, marks := q.(duplicates) // of rows that were found for a tenant
		if !strings.HasSuffix(name, ", any tenant") && !position && !marks && !strings.Contains(sql, "tenant = {tenant:String}") {
			t.Errorf("%s: no tenant", name)
		}
	}
}
