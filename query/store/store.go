package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/leak"
)

var (
	_ query.EventStore   = (*Store)(nil)
	_ query.FindingStore = (*Store)(nil)
	_ query.ReachStore   = (*Store)(nil)
	_ leak.Store         = (*Store)(nil)
)

// ErrSearch says that a search is not one: it names no tenant, or asks for too
// much at once.
var ErrSearch = errors.New("not a search")

// maxTime bounds one query on the server. Half a minute is past what a reader
// waits for, and a scan that takes longer would take the projector's disk.
const maxTime = 30 * time.Second

// settings bound every query. The plan reads wide columns only for the rows of
// the page, which ClickHouse by itself does for short pages only.
var settings = clickhouse.Settings{
	"max_execution_time":                            int(maxTime.Seconds()),
	"max_result_rows":                               query.MaxLimit,
	"result_overflow_mode":                          "throw",
	"query_plan_max_limit_for_lazy_materialization": query.MaxLimit,
}

// Store reads the tables through one connection pool.
type Store struct {
	conn    driver.Conn
	counted int // maxCounted
}

// New makes a store on conn, which stays the caller's to close. Its account
// needs Grants, and must be free to change settings (readonly 0 or 2).
func New(conn driver.Conn) *Store { return &Store{conn: conn, counted: maxCounted} }

// Grants are the rights that a store needs in the database, as the lists after
// GRANT.
func Grants(database string) []string {
	return []string{
		"SELECT ON " + database + ".events", "SELECT ON " + database + ".payloads", "SELECT ON " + database + ".batches",
		"SELECT ON " + database + ".duplicates", "SELECT ON " + database + ".searches",
	}
}

// question is one query: its text, and what is bound into it.
type question interface {
	SQL() (sql string, args []any)
}

// ask runs q and gives each row to scan.
func (s *Store) ask(ctx context.Context, q question, row func(scan func(...any) error) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	sql, args := q.SQL()
	rows, err := s.conn.Query(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), sql, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// events runs q for rows of a shard, and marks those that repeat another.
func (s *Store) events(ctx context.Context, q question, shard uint16) (out []query.Row, err error) {
	err = s.ask(ctx, q, func(scan func(...any) error) error {
		r, err := eventrow.Scan(scan)
		out = append(out, query.Row{Shard: r.Shard, Index: r.Index, Record: r.Record})
		return err
	})
	if err != nil || len(out) == 0 {
		return out, err
	}
	return out, s.mark(ctx, out, shard)
}

func (s *Store) mark(ctx context.Context, rows []query.Row, shard uint16) error {
	q, at := duplicates{shard: shard}, make(map[uint64]*query.Row, len(rows))
	for i := range rows {
		q.indices = append(q.indices, rows[i].Index)
		at[rows[i].Index] = &rows[i]
	}
	return s.ask(ctx, q, func(scan func(...any) error) error {
		var index uint64
		d := new(query.Duplicate)
		if err := scan(&index, &d.Of, &d.Content); err != nil {
			return err
		}
		at[index].Duplicate = d
		return nil
	})
}

// Issuers implements query.EventStore.
func (s *Store) Issuers(ctx context.Context, tenant string, shard uint16, limit int) (out []string, err error) {
	if err := bounded(tenant, false); err != nil {
		return nil, fmt.Errorf("search issuers: %w", err)
	}
	end, err := s.recorded(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("search issuers: %w", err)
	}
	err = s.ask(ctx, issuers{tenant, shard, end, limit}, func(scan func(...any) error) error {
		var issuer string
		err := scan(&issuer)
		out = append(out, issuer)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("search issuers: %w", err)
	}
	return out, nil
}

// bounded refuses what does not say whose rows it is for: one tenant's, or
// those of all in so many words.
func bounded(tenant string, all bool) error {
	switch {
	case all && tenant != "":
		return fmt.Errorf("%w: one tenant, and all", ErrSearch)
	case !all && tenant == "":
		return fmt.Errorf("%w: no tenant", ErrSearch)
	default:
		return nil
	}
}

// Search implements query.EventStore.
func (s *Store) Search(ctx context.Context, q query.Search) ([]query.Row, error) {
	if err := bounded(q.Tenant, q.AllTenants); err != nil {
		return nil, fmt.Errorf("search events: %w", err)
	}
	out, err := s.search(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("search events: %w", err)
	}
	return out, nil
}

func (s *Store) search(ctx context.Context, q query.Search) (out []query.Row, err error) {
	end, err := s.recorded(ctx, q.Shard)
	if err != nil {
		return nil, err
	}
	wanted := limit(q.Limit)
	windows := windowsOf(q, end)
	for len(out) < wanted {
		w, ok := windows.next()
		if !ok {
			break
		}
		q.Limit = wanted - len(out)
		rows, err := s.events(ctx, page{q, w}, q.Shard)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

func (s *Store) recorded(ctx context.Context, shard uint16) (end uint64, err error) {
	err = s.ask(ctx, recorded{shard}, func(scan func(...any) error) error { return scan(&end) })
	return end, err
}

// Count implements query.EventStore.
func (s *Store) Count(ctx context.Context, q query.Search) (n uint64, err error) {
	if err := bounded(q.Tenant, q.AllTenants); err != nil {
		return 0, fmt.Errorf("count events: %w", err)
	}
	end, err := s.recorded(ctx, q.Shard)
	if err == nil {
		err = s.ask(ctx, count{q, end}, func(scan func(...any) error) error { return scan(&n) })
	}
	if err != nil {
		return 0, fmt.Errorf("count events: %w", err)
	}
	return n, nil
}

// Event implements query.EventStore.
func (s *Store) Event(ctx context.Context, tenant string, shard uint16, index uint64) (query.Row, error) {
	var rows []query.Row
	end, err := s.recorded(ctx, shard)
	if err == nil && index < end {
		rows, err = s.events(ctx, event{tenant: tenant, shard: shard, index: index}, shard)
	}
	switch {
	case err != nil:
		return query.Row{}, fmt.Errorf("event shard=%d index=%d: %w", shard, index, err)
	case len(rows) == 0:
		return query.Row{}, fmt.Errorf("event shard=%d index=%d: %w", shard, index, query.ErrNotFound)
	case len(rows) > 1:
		return query.Row{}, fmt.Errorf("event shard=%d index=%d is there twice", shard, index)
	}
	return rows[0], nil
}

// Sealed implements query.EventStore.
func (s *Store) Sealed(ctx context.Context, tenant string, shard uint16, indices []uint64, people []events.Ref) (map[uint64][]byte, error) {
	switch {
	case tenant == "":
		return nil, fmt.Errorf("sealed parts: %w: no tenant", ErrSearch)
	case len(indices) > query.MaxLimit:
		return nil, fmt.Errorf("sealed parts: %w: %d indices, at most %d", ErrSearch, len(indices), query.MaxLimit)
	}
	out := make(map[uint64][]byte, len(indices))
	if len(indices) == 0 {
		return out, nil
	}
	err := s.ask(ctx, sealed{tenant: tenant, shard: shard, indices: indices, people: people}, func(scan func(...any) error) error {
		var index uint64
		var part []byte
		err := scan(&index, &part)
		out[index] = part
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sealed parts: %w", err)
	}
	return out, nil
}

// Findings implements query.FindingStore.
func (s *Store) Findings(ctx context.Context, q query.FindingSearch) (out []query.Finding, err error) {
	if err := bounded(q.Tenant, q.AllTenants); err != nil {
		return nil, fmt.Errorf("findings: %w", err)
	}
	end, err := s.recorded(ctx, q.Shard)
	if err != nil {
		return nil, fmt.Errorf("findings: %w", err)
	}
	err = s.ask(ctx, findings{q, end}, func(scan func(...any) error) error {
		f, err := scanFinding(scan)
		f.Shard = q.Shard
		out = append(out, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("findings: %w", err)
	}
	return out, nil
}

// limit is how many rows a caller who asked for n gets.
func limit(n int) int {
	switch {
	case n <= 0:
		return query.DefaultLimit
	default:
		return min(n, query.MaxLimit)
	}
}

// names are types as a parameter.
func names(types []events.Type) []string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = string(t)
	}
	return out
}
