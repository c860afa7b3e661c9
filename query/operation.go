package query

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events/stream"
)

// GetHealth answers that the process does.
func (s *Server) GetHealth(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

// GetJWKS shows the keys that access tokens are verified with.
func (s *Server) GetJWKS(c echo.Context) error {
	return c.JSONBlob(http.StatusOK, s.jwks)
}

// GetMetrics shows the registry.
func (s *Server) GetMetrics(c echo.Context) error {
	s.metrics.ServeHTTP(c.Response(), c.Request())
	return nil
}

// Probe is one thing that readiness depends on.
type Probe struct {
	Name     string
	Required bool // whether the process is not ready without it
	// Check answers how it stands. It may be called from any goroutine and
	// should return soon after ctx ends, which is after two seconds.
	Check func(ctx context.Context) Condition
}

// Condition is how one thing stands.
type Condition struct {
	OK       bool
	Position uint64 // log index reached, where that means something
	Lag      uint64 // records behind the log
	Detail   string // for people; names no tenant and no person
}

const probeTimeout = 2 * time.Second

// GetReadiness asks every probe at once.
func (s *Server) GetReadiness(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), probeTimeout)
	defer cancel()
	out := Readiness{Ready: true, Checks: make([]ReadinessCheck, len(s.cfg.Probes))}
	var asking sync.WaitGroup
	for i, p := range s.cfg.Probes {
		asking.Go(func() {
			k := p.Check(ctx)
			out.Checks[i] = ReadinessCheck{Name: p.Name, Required: p.Required, Ok: k.OK, Position: k.Position, Lag: k.Lag, Detail: k.Detail}
		})
	}
	asking.Wait()
	status := http.StatusOK
	if slices.ContainsFunc(out.Checks, func(k ReadinessCheck) bool { return k.Required && !k.Ok }) {
		out.Ready, status = false, http.StatusServiceUnavailable
	}
	return c.JSON(status, out)
}

// limitOf is a page's size; nil where it was left out.
func limitOf(n *int) (int, error) {
	switch {
	case n == nil:
		return DefaultLimit, nil
	case *n < 1 || *n > MaxLimit:
		return 0, invalid("limit", "want 1 to %d", MaxLimit)
	default:
		return *n, nil
	}
}

// allTenants stands for every tenant there is where tenants lists what to ask
// the stores for: one question instead of one for each.
const allTenants = ""

// tenants lists the tenants that a caller means: the one named, or those that
// they reach.
func tenants(p *Principal, named string) ([]string, error) {
	if named != "" {
		t, err := p.tenant(named)
		return []string{t}, err
	}
	if p.ReachesAll() {
		return []string{allTenants}, nil
	}
	return p.Tenants, nil
}

// reaches is who may see things of a tenant, for lists that are filtered.
func reaches(p *Principal, named string) (func(tenant string) bool, error) {
	if named == "" {
		return p.Reaches, nil
	}
	if _, err := p.tenant(named); err != nil {
		return nil, err
	}
	return func(tenant string) bool { return tenant == named }, nil
}

// ListFindings lists findings of the caller's tenants, the last opened first.
func (s *Server) ListFindings(c echo.Context, params ListFindingsParams) error {
	limit, err := limitOf(params.Limit)
	if err != nil {
		return err
	}
	var k check
	if params.State != "" {
		oneOf(&k, "state", params.State, []FindingState{FindingOpen, FindingClosed})
	}
	if k.err != nil {
		return k.err
	}
	query := params
	query.Cursor, query.Limit = "", nil
	from, err := s.places(query, params.Cursor)
	if err != nil {
		return err
	}
	of, err := tenants(caller(c), params.Tenant)
	if err != nil {
		return err
	}
	search := FindingSearch{State: params.State, Control: params.Control, Limit: limit}
	found, err := s.findings(c.Request().Context(), of, search, from)
	if err != nil {
		return err
	}
	out := Findings{Findings: make([]FindingItem, len(found))}
	for i, f := range found {
		out.Findings[i] = findingItem(f)
		from.passed(f.Shard, f.Index)
	}
	if len(found) == limit {
		if out.Next, err = newCursor(query, from...); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, out)
}

// findings merges the findings of several tenants that are behind from.
func (s *Server) findings(ctx context.Context, tenants []string, search FindingSearch, from places) ([]Finding, error) {
	lists := make([][]Finding, s.cfg.Shards)
	for _, w := range s.where(tenants) {
		search.Tenant, search.AllTenants, search.Shard, search.Before = w.tenant, w.tenant == allTenants, w.shard, from.before(w.shard)
		found, err := s.cfg.Findings.Findings(ctx, search)
		if err != nil {
			return nil, err
		}
		lists[w.shard] = append(lists[w.shard], found...)
	}
	for _, of := range lists {
		slices.SortFunc(of, func(a, b Finding) int { return cmp.Compare(b.Index, a.Index) })
	}
	return newest(lists, search.Limit, func(f Finding) time.Time { return f.Opened }), nil
}

func findingItem(f Finding) FindingItem {
	return FindingItem{
		ID: f.ID, Tenant: f.Tenant, Shard: f.Shard, Index: f.Index, State: string(f.State), Control: f.Control, Severity: f.Severity,
		Title: f.Title, Clauses: f.Clauses, Attributes: f.Attributes, Opened: f.Opened.UTC(), Changed: f.Changed.UTC(),
		Actor: f.Actor, Reason: f.Reason,
	}
}

// ListQuarantine lists what was refused of the caller's tenants, the oldest
// first. What names no tenant is for those who reach all.
func (s *Server) ListQuarantine(c echo.Context, params ListQuarantineParams) error {
	limit, err := limitOf(params.Limit)
	if err != nil {
		return err
	}
	sees, err := reaches(caller(c), params.Tenant)
	if err != nil {
		return err
	}
	query := params
	query.Cursor, query.Limit, query.Count = "", nil, false
	at, err := parseCursor(query, params.Cursor)
	if err != nil {
		return err
	}
	if at == nil {
		at = new(uint64)
	}
	out := Quarantine{Quarantined: []QuarantinedEvent{}}
	if params.Count {
		if out.Counts, err = s.countQuarantined(c.Request().Context(), sees); err != nil {
			return err
		}
	}
	end, err := s.quarantined(c.Request().Context(), *at, limit, sees, &out.Quarantined)
	if err != nil {
		return err
	}
	if end > 0 {
		if out.Next, err = newCursor(query, end); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, out)
}

// maxPassed bounds what one answer may pass over because it is others'.
const maxPassed = 10 * MaxLimit

// quarantined adds to out what sees lets through, and returns where to go on
// behind, or 0 where there is no more now.
func (s *Server) quarantined(ctx context.Context, after uint64, limit int, sees func(string) bool, out *[]QuarantinedEvent) (uint64, error) {
	for passed := 0; passed < maxPassed; {
		page, err := s.cfg.Quarantine.List(ctx, after, limit)
		if err != nil {
			return 0, err
		}
		for _, q := range page {
			after = q.Seq
			if sees(q.Tenant) {
				*out = append(*out, quarantinedEvent(q))
			}
			if len(*out) == limit {
				return after, nil
			}
		}
		if len(page) < limit {
			return 0, nil
		}
		passed += len(page)
	}
	return after, nil
}

func quarantinedEvent(q stream.Quarantined) QuarantinedEvent {
	return QuarantinedEvent{
		Seq: q.Seq, Time: q.Time.UTC(), Tenant: q.Tenant, Source: q.Source, ID: q.ID, Type: q.Type,
		Reason: string(q.Reason), Detail: q.Detail, Sha256: q.SHA256.String(),
		Kept: !q.Reason.Offence(), Sealed: len(q.Sealed) > 0,
	}
}
