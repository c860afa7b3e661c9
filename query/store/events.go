package store

import (
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/eventrow"
	"github.com/rescindhq/rescind/query"
)

// where is conditions and what is bound into them.
type where struct {
	conditions []string
	args       []any
}

// and adds a condition with one parameter of the given name.
func (w *where) and(condition, name string, value any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, clickhouse.Named(name, value))
}

func (w *where) String() string { return strings.Join(w.conditions, "\n  AND ") }

// tenant is the condition that is always there, unless all tenants are meant.
func (w *where) tenant(name string, all bool) {
	if !all {
		w.and("tenant = {tenant:String}", "tenant", name)
	}
}

func (w *where) text(column, value string) {
	if value != "" {
		w.and(column+" = {"+column+":String}", column, value)
	}
}

// ref compares a reference. It is bound as hex: a parameter is text.
func (w *where) ref(column string, value events.Ref) {
	if !value.IsZero() {
		w.and(column+" = unhex({"+column+":String})", column, value.String())
	}
}

func (w *where) instant(condition, name string, value time.Time) {
	if !value.IsZero() {
		w.and("time "+condition+" fromUnixTimestamp64Micro({"+name+":Int64}, 'UTC')", name, value.UnixMicro())
	}
}

// matching is what search and count have in common. The tenant is first, as it
// is in the order of the table.
func matching(q query.Search) *where {
	w := new(where)
	w.tenant(q.Tenant, q.AllTenants)
	w.and("shard = {shard:UInt16}", "shard", q.Shard)
	w.ref("subject_ref", q.SubjectRef)
	w.ref("token_ref", q.TokenRef)
	w.ref("session_ref", q.SessionRef)
	w.ref("lifts", q.Lifts)
	w.text("id", q.ID)
	w.text("source", q.Source)
	w.text("issuer", q.Issuer)
	w.text("client", q.Client)
	w.text("kid", q.KeyID)
	w.text("outcome", q.Outcome)
	if len(q.Types) > 0 {
		w.and("type IN {types:Array(String)}", "types", names(q.Types))
	}
	w.instant(">=", "from", q.From)
	w.instant("<", "to", q.To)
	return w
}

// page is the events of one window of indices that match.
type page struct {
	query.Search
	window
}

func (q page) SQL() (string, []any) {
	w, order := matching(q.Search), "ASC"
	if q.Descending {
		order = "DESC"
	}
	w.and("`index` >= {first:UInt64}", "first", q.first)
	w.and("`index` < {end:UInt64}", "end", q.end)
	sql := "SELECT " + eventrow.Columns + "\nFROM events\nWHERE " + w.String() +
		"\nORDER BY `index` " + order + "\nLIMIT {limit:UInt32}"
	return sql, append(w.args, clickhouse.Named("limit", limit(q.Limit)))
}

// count is how many events below an index match.
type count struct {
	query.Search
	end uint64
}

func (q count) SQL() (string, []any) {
	w := matching(q.Search)
	w.and("`index` < {end:UInt64}", "end", q.end)
	return "SELECT count()\nFROM events\nWHERE " + w.String(), w.args
}

// issuers is the issuers that a tenant's events below an index name.
type issuers struct {
	tenant string
	shard  uint16
	end    uint64
	limit  int
}

func (q issuers) SQL() (string, []any) {
	w := new(where)
	w.and("tenant = {tenant:String}", "tenant", q.tenant)
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	w.and("`index` < {end:UInt64}", "end", q.end)
	w.conditions = append(w.conditions, "issuer != ''")
	return "SELECT DISTINCT issuer\nFROM events\nWHERE " + w.String() + "\nLIMIT {limit:UInt32}",
		append(w.args, clickhouse.Named("limit", limit(q.limit)))
}

// recorded is the index up to which a shard is recorded: whole, without a hole
// and compared with the log where that was in doubt. What is above it may still
// be under way, and is not shown.
type recorded struct {
	shard uint16
}

func (q recorded) SQL() (string, []any) {
	w := new(where)
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	return "SELECT max(first + count)\nFROM batches\nWHERE " + w.String(), w.args
}

// event is the row of one index, of any tenant where tenant is empty.
type event struct {
	tenant string
	shard  uint16
	index  uint64
}

func (q event) SQL() (string, []any) {
	w := new(where)
	w.text("tenant", q.tenant)
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	w.and("`index` = {index:UInt64}", "index", q.index)
	return "SELECT " + eventrow.Columns + "\nFROM events\nWHERE " + w.String(), w.args
}

// sealed is the personal parts of some events.
type sealed struct {
	tenant  string
	shard   uint16
	indices []uint64
	people  []events.Ref
}

// SQL looks among the parts of those people, and among those of nobody, which
// are sealed under the tenant's own key.
func (q sealed) SQL() (string, []any) {
	w := new(where)
	people := []string{events.Ref{}.String()}
	for _, p := range q.people {
		people = append(people, p.String())
	}
	slices.Sort(people)
	w.and("tenant = {tenant:String}", "tenant", q.tenant)
	w.and("subject_ref IN arrayMap(p -> toFixedString(unhex(p), 16), {people:Array(String)})", "people", slices.Compact(people))
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	w.and("`index` IN {indices:Array(UInt64)}", "indices", q.indices)
	return "SELECT `index`, sealed\nFROM payloads\nWHERE " + w.String(), w.args
}

// duplicates is which of some events repeat an earlier one.
type duplicates struct {
	shard   uint16
	indices []uint64
}

func (q duplicates) SQL() (string, []any) {
	w := new(where)
	w.and("shard = {shard:UInt16}", "shard", q.shard)
	w.and("`index` IN {indices:Array(UInt64)}", "indices", q.indices)
	return "SELECT `index`, first, content\nFROM duplicates\nWHERE " + w.String(), w.args
}
