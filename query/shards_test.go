package query_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
)

const shards = 3

// sharded is parts with findings in every shard, and rows that all have the
// same index.
type sharded struct{ *parts }

func (s sharded) Findings(_ context.Context, f query.FindingSearch) (out []query.Finding, err error) {
	for i := range uint64(4) {
		index := 30 - 10*i + uint64(f.Shard)
		if f.Before != nil && index >= *f.Before || len(out) == f.Limit {
			continue
		}
		out = append(out, query.Finding{
			ID: fmt.Sprintf("%d-%d", f.Shard, index), Tenant: tenantOf(f.Shard), Shard: f.Shard, Index: index, State: query.FindingOpen,
			Opened: time.Unix(int64(index), 0),
		})
	}
	return out, nil
}

// tenantOf is a tenant of a shard.
func tenantOf(shard uint16) string {
	for i := 0; ; i++ {
		if name := fmt.Sprintf("tenant-%d", i); events.ShardOf(name, shards) == shard {
			return name
		}
	}
}

func newSharded(t *testing.T) (*api, *parts) {
	t.Helper()
	p := new(parts)
	for k := range uint16(shards) {
		p.rows = append(p.rows, query.Row{Shard: k, Index: 5, Record: events.Record{ID: fmt.Sprint("e-", k), Tenant: tenantOf(k)}})
	}
	cfg := p.config()
	cfg.Shards, cfg.Findings = shards, sharded{p}
	return serve(t, cfg), p
}

func TestSearchIsInTheShardOfTheTenant(t *testing.T) {
	t.Parallel()
	a, p := newSharded(t)
	officer := a.token("officer", query.AllTenants)
	for k := range uint16(shards) {
		var got struct{ Events []query.AuditEvent }
		a.call(officer, "POST", "/v1/audit/search", map[string]any{"tenant": tenantOf(k)}).want(t, http.StatusOK).into(t, &got)
		if len(got.Events) != 1 || got.Events[0].ID != fmt.Sprint("e-", k) || got.Events[0].Shard != k {
			t.Errorf("shard %d: %+v", k, got.Events)
		}
		if s := p.searches[len(p.searches)-1]; s.Shard != k {
			t.Errorf("searched shard %d, want %d", s.Shard, k)
		}
	}
}

// An index alone is in the first shard; another tenant's event is not shown in
// any.
func TestEventIsFoundByShardAndIndex(t *testing.T) {
	t.Parallel()
	a, _ := newSharded(t)
	officer := a.token("officer", query.AllTenants)
	for path, want := range map[string]string{
		"/v1/audit/events/5": "e-0", "/v1/audit/events/5?shard=0": "e-0", "/v1/audit/events/5?shard=2": "e-2",
	} {
		var got query.AuditEvent
		a.call(officer, "GET", path, nil).want(t, http.StatusOK).into(t, &got)
		if got.ID != want {
			t.Errorf("%s: %s, want %s", path, got.ID, want)
		}
	}
	a.call(officer, "GET", "/v1/audit/events/5?shard=3", nil).want(t, http.StatusNotFound)
	a.call(a.token("officer", tenantOf(1)), "GET", "/v1/audit/events/5?shard=2", nil).want(t, http.StatusNotFound)
}

func TestFindingsOfEveryShardAreListedOnce(t *testing.T) {
	t.Parallel()
	a, _ := newSharded(t)
	for name, token := range map[string]string{
		"all tenants": a.token("officer", query.AllTenants), "one of each shard": a.token("officer", tenantOf(0), tenantOf(1), tenantOf(2)),
	} {
		seen, last := map[string]bool{}, uint64(99)
		for path := "/v1/findings?limit=5"; path != ""; {
			var got query.Findings
			a.call(token, "GET", path, nil).want(t, http.StatusOK).into(t, &got)
			for _, f := range got.Findings {
				if seen[f.ID] || f.Index > last || f.Shard != events.ShardOf(f.Tenant, shards) {
					t.Errorf("%s: %+v is there twice, not by time or in another shard", name, f)
				}
				seen[f.ID], last = true, f.Index
			}
			if path = ""; got.Next != "" {
				path = "/v1/findings?limit=5&cursor=" + got.Next
			}
		}
		if len(seen) != 4*shards {
			t.Errorf("%s: %d findings, want %d", name, len(seen), 4*shards)
		}
	}
}
