package store

import (
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
)

// findings folds the finding.* events of a tenant, or of all: what the last opening said,
// and the last event of all for the state.
type findings struct {
	query.FindingSearch
	end uint64 // events below this index
}

// stateOf and typeOf are the state that a finding has after an event of a
// type, and back.
var stateOf = map[string]query.FindingState{
	string(events.FindingOpened):       query.FindingOpen,
	string(events.FindingAcknowledged): query.FindingAcknowledged,
	string(events.FindingClosed):       query.FindingClosed,
}

func typeOf(s query.FindingState) string {
	for t, state := range stateOf {
		if state == s {
			return t
		}
	}
	return "" // no type: nothing has that state
}

func (q findings) SQL() (string, []any) {
	of := new(where)
	of.tenant(q.Tenant, q.AllTenants)
	of.and("shard = {shard:UInt16}", "shard", q.Shard)
	of.and("type IN {types:Array(String)}", "types",
		names([]events.Type{events.FindingOpened, events.FindingAcknowledged, events.FindingClosed}))
	of.and("`index` < {end:UInt64}", "end", q.end)
	if q.ID != "" {
		of.and("attributes['finding'] = {finding:String}", "finding", q.ID)
	}
	sql := "SELECT tenant, attributes['finding'] AS finding, maxIf(`index`, type = {opened:String}) AS opening,\n" +
		"  argMax(type, `index`) AS now, argMaxIf(attributes, `index`, type = {opened:String}) AS said,\n" +
		"  toUnixTimestamp64Micro(argMaxIf(time, `index`, type = {opened:String})),\n" +
		"  toUnixTimestamp64Micro(argMax(time, `index`)), argMax(actor, `index`), argMax(reason, `index`)\n" +
		"FROM events\nWHERE " + of.String() + "\nGROUP BY tenant, finding\nHAVING " + q.having(of).String() +
		"\nORDER BY opening DESC\nLIMIT {limit:UInt32}"
	return sql, append(of.args, clickhouse.Named("limit", limit(q.Limit)))
}

// having is the conditions on the fold; their arguments go to of.
func (q findings) having(of *where) *where {
	w := new(where)
	w.and("countIf(type = {opened:String}) > 0", "opened", string(events.FindingOpened))
	if q.State != "" {
		w.and("now = {now:String}", "now", typeOf(q.State))
	}
	if q.Control != "" {
		w.and("said['control'] = {control:String}", "control", q.Control)
	}
	if q.Before != nil {
		w.and("opening < {before:UInt64}", "before", *q.Before)
	}
	of.args = append(of.args, w.args...)
	return w
}

func scanFinding(scan func(...any) error) (f query.Finding, err error) {
	var last string
	var opened, changed int64
	if err := scan(&f.Tenant, &f.ID, &f.Index, &last, &f.Attributes, &opened, &changed, &f.Actor, &f.Reason); err != nil {
		return f, err
	}
	f.State, f.Opened, f.Changed = stateOf[last], time.UnixMicro(opened).UTC(), time.UnixMicro(changed).UTC()
	f.Control, f.Severity, f.Title = f.Attributes["control"], f.Attributes["severity"], f.Attributes["title"]
	if clauses := f.Attributes["clauses"]; clauses != "" {
		f.Clauses = strings.Split(clauses, "; ")
	}
	if f.State == query.FindingOpen {
		f.Actor, f.Reason = "", ""
	}
	return f, nil
}
