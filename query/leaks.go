package query

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/leak"
)

// ListLeaks shows who accepted what a revocation revokes, after it did.
func (s *Server) ListLeaks(c echo.Context, id ID, params ListLeaksParams) error {
	limit, err := limitOf(params.Limit)
	if err != nil {
		return err
	}
	v, err := s.revocation(c, named{id, params.Tenant, params.Source, params.Position})
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	search := LeakSearch{Revoked: leak.Revoked{Shard: s.shard(v.Record.Tenant), Index: v.Index, Record: v.Record}, Bound: s.cfg.LeakBound, Limit: limit}
	query := []string{"leaks", v.Record.Tenant, strconv.FormatUint(v.Index, 10)}
	if search.After, err = parseCursor(query, params.Cursor); err != nil {
		return err
	}
	if search.Revoked.Lift, err = s.lift(ctx, &v); err != nil {
		return err
	}
	page, err := s.cfg.Reach.Leaks(ctx, search)
	if err != nil {
		return err
	}
	out := leaksView(&search, page)
	if n := len(page.Rows); n == limit {
		out.Next, err = newCursor(query, page.Rows[n-1].Index)
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

// lift is the event that lifted v, as the audit store has it; nil where none
// did.
func (s *Server) lift(ctx context.Context, v *revoked) (*leak.Lift, error) {
	if v.LiftedAt == nil {
		return nil, nil
	}
	row, err := s.cfg.Events.Event(ctx, v.Record.Tenant, s.shard(v.Record.Tenant), *v.LiftedAt)
	if errors.Is(err, ErrNotFound) { // not recorded yet, and so nothing that was accepted behind it
		return &leak.Lift{Index: *v.LiftedAt, Received: math.MaxInt64}, nil
	}
	if err != nil {
		return nil, err
	}
	return &leak.Lift{Index: row.Index, Received: row.Record.Received}, nil
}

func leaksView(search *LeakSearch, page LeakPage) Leaks {
	record := search.Revoked.Record
	out := Leaks{
		Position: page.Position, Ignored: page.Ignored, Late: page.Late, Within: page.Within, BoundMs: search.Bound.Milliseconds(),
		SubjectErased: record.Revocation.Scope == events.ScopeSubject && record.SubjectRef.IsZero(), Leaks: []LeakItem{},
	}
	for i := range page.Rows {
		out.Leaks = append(out.Leaks, leakItem(search, &page.Rows[i]))
	}
	return out
}

func leakItem(search *LeakSearch, row *Row) LeakItem {
	r := &row.Record
	a := leak.Accepted{Index: row.Index, Record: r}
	kind, after := search.Revoked.Judge(&a, search.Bound)
	out := LeakItem{
		Kind: string(kind), Shard: row.Shard, Index: row.Index, ID: r.ID, Source: r.Source,
		Time: time.UnixMicro(r.Time).UTC(), Received: time.UnixMicro(r.Received).UTC(), Accepted: time.UnixMicro(a.At()).UTC(),
		AfterMs: after.Milliseconds(), Decision: r.Attributes["decision"], Iss: r.Issuer, ClientID: r.Client, Kid: r.KeyID,
		SubjectRef: r.SubjectRef.String(), TokenRef: r.TokenRef.String(), SessionRef: r.SessionRef.String(), Iat: r.IssuedAt,
	}
	if r.View > 0 {
		out.View = &r.View
	}
	return out
}
