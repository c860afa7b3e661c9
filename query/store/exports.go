package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/export"
)

var _ export.Archive = (*Archive)(nil)

// Select implements export.Archive.
func (a *Archive) Select(ctx context.Context, s export.Selection) ([]export.Part, error) {
	if s.Tenant == "" || s.Person.IsZero() || s.Limit < 1 || s.Limit > query.MaxLimit {
		return nil, fmt.Errorf("select for an export: %w", ErrSearch)
	}
	rows, err := a.Store.events(ctx, exported(s), s.Shard)
	if err != nil {
		return nil, fmt.Errorf("select for an export: %w", err)
	}
	out := make([]export.Part, len(rows))
	var indices []uint64
	for i := range rows {
		out[i] = export.Part{Index: rows[i].Index, Record: &rows[i].Record}
		if !rows[i].Record.PayloadHash.IsZero() {
			indices = append(indices, rows[i].Index)
		}
	}
	parts, err := a.Store.Sealed(ctx, s.Tenant, s.Shard, indices, []events.Ref{s.Person})
	for i := range out {
		out[i].Sealed = parts[out[i].Index]
	}
	return out, err
}

// exported is a page of the records of a tenant that have a relation to a
// person.
type exported export.Selection

func (q exported) SQL() (string, []any) {
	w := new(where)
	w.and("tenant = {tenant:String}", "tenant", q.Tenant)
	w.and("shard = {shard:UInt16}", "shard", q.Shard)
	w.and("`index` >= {first:UInt64}", "first", q.From)
	w.and("`index` < {end:UInt64}", "end", q.End)
	switch q.Relation {
	case export.OfPerson:
		w.ref("subject_ref", q.Person)
	case export.OfToken:
		w.linked(q.Person)
	case export.ReadingOf:
		w.conditions = append(w.conditions, nobody)
		w.and("type IN {types:Array(String)}", "types", names([]events.Type{events.AuditAccessed, events.AuditExported}))
	default:
		w.conditions = append(w.conditions, "false")
	}
	sql := "SELECT " + eventrow.Columns + "\nFROM events\nWHERE " + w.String() + "\nORDER BY `index` ASC\nLIMIT {limit:UInt32}"
	return sql, append(w.args, clickhouse.Named("limit", q.Limit))
}

// nobody is the condition that a record names no person.
const nobody = "subject_ref = toFixedString('', 16)"

// linked is the condition that a record names nobody, but what a record of the
// person names.
func (w *where) linked(person events.Ref) {
	var named []string
	for _, column := range []string{"token_ref", "session_ref", "grant_ref"} {
		named = append(named, column+" IN (SELECT "+column+" FROM events WHERE tenant = {tenant:String} AND shard = {shard:UInt16}"+
			" AND subject_ref = unhex({person:String}) AND `index` < {end:UInt64} AND "+column+" != toFixedString('', 16))")
	}
	w.conditions = append(w.conditions, nobody)
	w.conditions = append(w.conditions, "("+strings.Join(named, "\n    OR ")+")")
	w.args = append(w.args, clickhouse.Named("person", person.String()))
}
