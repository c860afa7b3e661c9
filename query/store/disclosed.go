package store

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/recipient"
)

var _ erasure.Disclosures = (*Archive)(nil)

// maxDisclosed is how many audiences, and how many ids in exports, are found beside
// those of recipients: what leads to nobody is told of, and nobody reads more.
const maxDisclosed = 10_000

// audiences is whom the tokens of a person were for, those that are known first.
type audiences struct {
	tenant string
	shard  uint16
	person events.Ref
	known  []string
}

func (q audiences) SQL() (string, []any) {
	w := new(where)
	w.tenant(q.tenant, false)
	w.and("subject_ref = unhex({subject_ref:String})", "subject_ref", q.person.String())
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	return q.firstOf("arrayJoin(aud)", w)
}

// exportedTo is the recipients that exports name: of what a person is in, or of
// nobody in particular.
type exportedTo struct{ audiences }

func (q exportedTo) SQL() (string, []any) {
	w := new(where)
	w.tenant(q.tenant, false)
	w.and("subject_ref IN (unhex({subject_ref:String}), toFixedString('', 16))", "subject_ref", q.person.String())
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	w.and("type = {type:String}", "type", string(events.AuditExported))
	w.conditions = append(w.conditions, "to != ''")
	return q.firstOf("attributes['recipient']", w)
}

// firstOf is one row: of what is asked for, all that is known and maxDisclosed
// others, and one more where there are more.
func (q audiences) firstOf(what string, w *where) (string, []any) {
	sql := "SELECT groupArray(to)\nFROM (\n  SELECT DISTINCT " + what + " AS to\n  FROM events\n  WHERE " + w.String() +
		"\n  ORDER BY has({known:Array(String)}, to) DESC, to\n  LIMIT {limit:UInt32}\n)"
	return sql, append(w.args, clickhouse.Named("known", q.known), clickhouse.Named("limit", q.most()+1))
}

func (q audiences) most() int { return len(q.known) + maxDisclosed }

// Disclosed implements erasure.Disclosures.
func (a *Archive) Disclosed(ctx context.Context, tenant string, shard uint16, person events.Ref) (d recipient.Disclosed, err error) {
	of := audiences{tenant, shard, person, a.Recipients.Names()}
	if d.Audiences, err = a.disclosed(ctx, of, of.most(), &d.More); err != nil {
		return d, fmt.Errorf("audiences of a person: %w", err)
	}
	if d.Exports, err = a.disclosed(ctx, exportedTo{of}, of.most(), &d.More); err != nil {
		return d, fmt.Errorf("recipients of exports: %w", err)
	}
	return d, nil
}

// disclosed is the texts of one answer, and whether there were more than most.
func (a *Archive) disclosed(ctx context.Context, q question, most int, more *bool) (out []string, err error) {
	err = a.Store.ask(ctx, q, func(scan func(...any) error) error { return scan(&out) })
	switch {
	case err != nil || len(out) <= most:
		return out, err
	case a.Recipients == nil:
		return nil, fmt.Errorf("more than %d, and no recipients to look for among them", most)
	default:
		*more = true
		return out[:most], nil
	}
}
