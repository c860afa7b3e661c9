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

// maxDisclosed is how many audiences, and how many recipients of exports, a
// person can have. Beyond, nobody could say who was told.
const maxDisclosed = 10_000

// audiences is whom the tokens of a person were for.
type audiences struct {
	tenant string
	shard  uint16
	person events.Ref
}

func (q audiences) SQL() (string, []any) {
	w := new(where)
	w.tenant(q.tenant, false)
	w.and("subject_ref = unhex({subject_ref:String})", "subject_ref", q.person.String())
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	sql := "SELECT DISTINCT arrayJoin(aud) AS to\nFROM events\nWHERE " + w.String() + "\nORDER BY to\nLIMIT {limit:UInt32}"
	return sql, append(w.args, clickhouse.Named("limit", maxDisclosed+1))
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
	sql := "SELECT DISTINCT attributes['recipient'] AS to\nFROM events\nWHERE " + w.String() + "\n  AND to != ''\nORDER BY to\nLIMIT {limit:UInt32}"
	return sql, append(w.args, clickhouse.Named("limit", maxDisclosed+1))
}

// Disclosed implements erasure.Disclosures.
func (a *Archive) Disclosed(ctx context.Context, tenant string, shard uint16, person events.Ref) (d recipient.Disclosed, err error) {
	of := audiences{tenant, shard, person}
	if d.Audiences, err = a.Store.texts(ctx, of); err != nil {
		return d, fmt.Errorf("audiences of a person: %w", err)
	}
	if d.Exports, err = a.Store.texts(ctx, exportedTo{of}); err != nil {
		return d, fmt.Errorf("recipients of exports: %w", err)
	}
	return d, nil
}

// texts is the one column of an answer that holds texts.
func (s *Store) texts(ctx context.Context, q question) (out []string, err error) {
	err = s.ask(ctx, q, func(scan func(...any) error) error {
		var text string
		if err := scan(&text); err != nil {
			return err
		}
		out = append(out, text)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(out) > maxDisclosed {
		return nil, fmt.Errorf("more than %d", maxDisclosed)
	}
	return out, nil
}
