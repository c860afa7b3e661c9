package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Kind is how something differs.
type Kind string

// The kinds.
const (
	Missing   Kind = "missing"   // the log has it, the store does not; or the log itself has a hole
	Extra     Kind = "extra"     // nothing in the log accounts for it, or it is there twice
	Changed   Kind = "changed"   // it is not what the log says
	Reordered Kind = "reordered" // it is what the log has at another index
)

// Place is what differs.
type Place string

// The places.
const (
	Log         Place = "log"
	Events      Place = "events"
	Payloads    Place = "payloads"
	Batches     Place = "batches"
	Duplicates  Place = "duplicates"
	Revocations Place = "revocations" // the set that snapshot and deltas amount to
	Snapshot    Place = "snapshot"
	Deltas      Place = "deltas"
)

// Difference is one fault that was found.
type Difference struct {
	Place  Place  `json:"place"`
	Kind   Kind   `json:"kind"`
	Shard  uint16 `json:"shard,omitempty"`  // whose index it is; left out where it is the first
	Index  uint64 `json:"index"`            // of the record; of a range, its first
	Last   uint64 `json:"last,omitempty"`   // last index of a range; 0 where there is none
	Seq    uint64 `json:"seq,omitempty"`    // of the message, in the stream that the place is
	Column string `json:"column,omitempty"` // that differs
	Want   string `json:"want,omitempty"`   // by the log
	Got    string `json:"got,omitempty"`    // in the store
	Detail string `json:"detail,omitempty"`
}

// String is d as a line for people.
func (d Difference) String() string {
	s := fmt.Sprintf("index %d", d.Index)
	if d.Shard > 0 {
		s = fmt.Sprintf("shard %d %s", d.Shard, s)
	}
	if d.Last > d.Index {
		s += fmt.Sprintf("-%d", d.Last)
	}
	s += fmt.Sprintf("  %s  %s", d.Kind, d.Place)
	if d.Seq > 0 {
		s += fmt.Sprintf(" seq %d", d.Seq)
	}
	if d.Column != "" {
		s += fmt.Sprintf(" column %s: log %s, %s %s", d.Column, d.Want, d.Place.store(), d.Got)
	}
	if d.Detail != "" {
		s += ": " + d.Detail
	}
	return s
}

func (p Place) store() string {
	switch p {
	case Events, Payloads, Batches, Duplicates:
		return "clickhouse"
	default:
		return "feed"
	}
}

// Reports is what was compared and what differs, a report a shard.
type Reports []*Report

// Clean reports whether nothing differs anywhere.
func (r Reports) Clean() bool {
	return !slices.ContainsFunc(r, func(one *Report) bool { return !one.Clean })
}

// MarshalJSON is the report itself where there is one, else clean,
// differences_total and the reports as shards.
func (r Reports) MarshalJSON() ([]byte, error) {
	if len(r) == 1 {
		return json.Marshal(r[0])
	}
	all := struct {
		Clean  bool      `json:"clean"`
		Total  uint64    `json:"differences_total"`
		Shards []*Report `json:"shards"`
	}{Clean: r.Clean(), Shards: r}
	for _, one := range r {
		all.Total += one.Total
	}
	return json.Marshal(all)
}

// Report is what was compared and what differs in one shard. What differs in
// the feed and concerns no shard more than another, and rows under a shard that
// does not exist, are in the first report.
type Report struct {
	Shard       uint16          `json:"shard"`
	Clean       bool            `json:"clean"`
	Total       uint64          `json:"differences_total"`
	Counts      []Count         `json:"counts"`
	Differences []Difference    `json:"differences"` // the first of them, up to the limit
	Log         LogReport       `json:"log"`
	ClickHouse  TablesReport    `json:"clickhouse"`
	Feed        RevocationsPart `json:"revocations"`
}

// Count is how many differences of one kind a place has.
type Count struct {
	Place Place  `json:"place"`
	Kind  Kind   `json:"kind"`
	Count uint64 `json:"count"`
}

// LogReport is what the log holds.
type LogReport struct {
	Records uint64 `json:"records"`
	Batches uint64 `json:"batches"`
	LastSeq uint64 `json:"last_seq"`
	Root    string `json:"root"` // recomputed, in hex
}

// TablesReport is what ClickHouse holds, up to the end of the log that was
// read.
type TablesReport struct {
	Position     uint64 `json:"position"` // recorded: the index below which everything should be there
	Events       uint64 `json:"events"`
	Payloads     uint64 `json:"payloads"`
	Batches      uint64 `json:"batches"`
	Duplicates   uint64 `json:"duplicates"`    // records that repeat an event and are marked so
	NotMarked    uint64 `json:"not_marked"`    // records that repeat an event and are to be marked: lag, no difference
	NotProjected uint64 `json:"not_projected"` // records at and above the position, which were not compared: lag, no difference

	Since *time.Time `json:"not_projected_since,omitempty"` // when the first of those was logged
}

// RevocationsPart is what the feed holds.
type RevocationsPart struct {
	Position    uint64 `json:"position"` // index of the last control record that the feed has
	Entries     uint64 `json:"entries"`  // living, in the log up to that position
	Deltas      uint64 `json:"deltas"`   // of all shards
	SnapshotSeq uint64 `json:"snapshot_seq"`
	NotInFeed   uint64 `json:"not_in_feed"` // revocations and lifts behind the position: lag, no difference

	Since *time.Time `json:"not_in_feed_since,omitempty"` // when the first of those was logged
}

// findings collects differences: all are counted, the first are kept.
type findings struct {
	report *Report
	limit  int
	counts map[Count]uint64
}

func newFindings(r *Report, limit int) *findings {
	return &findings{report: r, limit: limit, counts: map[Count]uint64{}}
}

// full reports whether further differences are only counted.
func (f *findings) full() bool { return len(f.report.Differences) >= f.limit }

// add notes a difference in the shard of the report.
func (f *findings) add(d Difference) {
	d.Shard = f.report.Shard
	f.addAs(d)
}

// addAs notes a difference in the shard that it names.
func (f *findings) addAs(d Difference) {
	f.count(d.Place, d.Kind)
	if !f.full() {
		f.report.Differences = append(f.report.Differences, d)
	}
}

// show keeps d without counting it: it is one more thing to say of a
// difference that was counted.
func (f *findings) show(d Difference) {
	if !f.full() {
		d.Shard = f.report.Shard
		f.report.Differences = append(f.report.Differences, d)
	}
}

func (f *findings) count(p Place, k Kind) {
	f.report.Total++
	f.counts[Count{Place: p, Kind: k}]++
}

// close sums up.
func (f *findings) close() {
	for _, p := range []Place{Log, Events, Payloads, Batches, Duplicates, Snapshot, Deltas, Revocations} {
		for _, k := range []Kind{Missing, Extra, Changed, Reordered} {
			if n := f.counts[Count{Place: p, Kind: k}]; n > 0 {
				f.report.Counts = append(f.report.Counts, Count{p, k, n})
			}
		}
	}
	f.report.Clean = f.report.Total == 0
}
