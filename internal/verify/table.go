package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// table is one table of ClickHouse and what the log says it should hold. Both
// are reduced to a digest an index, spilled, and compared part by part: rows
// come in the order of the table, which is not that of the log.
type table struct {
	v     *verifier
	place Place
	query string // its first expression is the index
	// scan reads a row.
	scan func(scan func(...any) error) (entry, error)
	// explain says what differs in the rows at an index.
	explain func(ctx context.Context, index uint64) ([]Difference, error)

	log, rows *spill
	count     uint64 // rows
	reach     uint64 // index behind the last row at or above the recorded position that is in the log; 0: none
	lag       uint64 // records that are not there, at and above that position
	behind    uint64 // the first of them
	suspects  []suspect
}

// suspect is an index at which something differs.
type suspect struct {
	kind      Kind
	index     uint64
	want, got *digest // nil: none
}

// maxSuspects bounds the suspects that are looked at closely. The others are
// counted.
const maxSuspects = 100_000

func (t *table) open(v *verifier, dir string) *table {
	t.v = v
	t.log, t.rows = newSpill(dir, string(t.place)+"-log"), newSpill(dir, string(t.place)+"-rows")
	return t
}

func (t *table) expect(e entry) error { return t.log.put(t.v.part(e.index), e) }

// load reads the rows.
func (t *table) load(ctx context.Context) error {
	beyond := &beyond{v: t.v, extra: t.extra}
	err := t.v.rows(ctx, t.query, t.v.bounds(), func(scan func(...any) error) error {
		e, err := t.scan(scan)
		if err != nil {
			return err
		}
		t.count++
		t.v.tell(string(t.place), t.count, 0)
		if e.index >= t.v.log.next {
			return beyond.put(ctx, e)
		}
		return t.rows.put(t.v.part(e.index), e)
	})
	if err == nil {
		err = beyond.judge(ctx)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", t.place, err)
	}
	return nil
}

// compare compares rows and log.
func (t *table) compare(ctx context.Context, position uint64) error {
	for part := range spillParts {
		want, err := t.log.take(part)
		if err != nil {
			return err
		}
		all, err := t.rows.join(part, want, t.extra)
		if err != nil {
			return err
		}
		for i := range all {
			t.judge(&all[i], position)
		}
	}
	return t.resolve(ctx)
}

// judge judges one index of the log.
func (t *table) judge(m *match, position uint64) {
	if !m.right && !m.changed {
		t.absent(m.entry, position)
		return
	}
	if m.index >= position {
		t.reach = m.index + 1
	}
	if m.changed {
		t.suspect(suspect{Changed, m.index, &m.entry.digest, &m.got})
	}
}

func (t *table) extra(e entry, want *digest) { t.suspect(suspect{Extra, e.index, want, &e.digest}) }

func (t *table) absent(want entry, position uint64) {
	if want.index >= position {
		if t.lag == 0 {
			t.behind = want.index
		}
		t.lag++
		return
	}
	t.suspect(suspect{Missing, want.index, &want.digest, nil})
}

func (t *table) suspect(s suspect) {
	if len(t.suspects) == maxSuspects {
		t.v.found.count(t.place, s.kind)
		return
	}
	s.want, s.got = cloned(s.want), cloned(s.got) // and not a part
	t.suspects = append(t.suspects, s)
}

func cloned(d *digest) *digest {
	if d == nil {
		return nil
	}
	its := *d
	return &its
}

// resolve tells what is merely in another's place from what was changed, and
// reports.
func (t *table) resolve(ctx context.Context) error {
	slices.SortStableFunc(t.suspects, func(a, b suspect) int { return cmp.Compare(a.index, b.index) })
	at := map[digest]uint64{}
	for _, s := range t.suspects {
		if s.want != nil {
			at[*s.want] = s.index
		}
	}
	for _, s := range t.suspects {
		if s.got != nil {
			if other, ok := at[*s.got]; ok && other != s.index {
				t.v.found.add(Difference{Place: t.place, Kind: Reordered, Index: s.index, Detail: fmt.Sprintf("it holds what the log has at index %d", other)})
				continue
			}
		}
		if err := t.report(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) report(ctx context.Context, s suspect) error {
	d := Difference{Place: t.place, Kind: s.kind, Index: s.index}
	switch {
	case s.kind == Extra && s.want != nil:
		d.Detail = "a second row of this index"
	case s.kind == Extra:
		d.Detail = "the log has nothing at this index"
	case s.kind == Missing:
		d.Detail = "the row is not there"
	}
	if s.kind != Changed || t.v.found.full() {
		t.v.found.add(d)
		return nil
	}
	columns, err := t.explain(ctx, s.index)
	if err != nil {
		return err
	}
	if len(columns) == 0 {
		d.Detail = "the row is not in the encoding of the log"
		columns = []Difference{d}
	}
	// One difference a row is counted, every column of it is shown.
	t.v.found.add(columns[0])
	for _, c := range columns[1:] {
		t.v.found.show(c)
	}
	return nil
}

// rows runs a query over this shard and gives each row to scan. It changes
// nothing: the account may only select.
func (v *verifier) rows(ctx context.Context, sql string, args []any, each func(scan func(...any) error) error) (err error) {
	var rows driver.Rows
	if rows, err = v.cfg.ClickHouse.Query(ctx, sql, append(args, clickhouse.Named("shard", v.shard))...); err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// bounds are the parameters of the range that is compared.
func (v *verifier) bounds() []any {
	return []any{clickhouse.Named("from", v.cfg.From), clickhouse.Named("to", v.to())}
}
