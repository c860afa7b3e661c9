package eventrow

import (
	"fmt"

	"github.com/rescindhq/rescind/events"
)

// Row is one record with its place in the log.
type Row struct {
	Shard  uint16
	Index  uint64
	Record events.Record
}

// Columns is the select list over events that [Scan] reads.
var Columns = selected()

// flat is a row that is being read, with the members that have no column of
// their own laid out.
type flat struct {
	Row
	revokes    bool
	revocation events.Revocation
	names      []string // of attributes
	texts      []string
}

// Scan reads one row of Columns with the Scan of a driver's row.
func Scan(scan func(dest ...any) error) (Row, error) {
	f := new(flat)
	dests := make([]any, 0, len(columns)+1)
	for i := range columns {
		for _, r := range columns[i].read {
			dests = append(dests, r.dest(f))
		}
	}
	if err := scan(dests...); err != nil {
		return Row{}, fmt.Errorf("scan event row: %w", err)
	}
	return f.gather(), nil
}

// gather puts what was laid out where it belongs. An empty list is none, as in
// a record decoded from its bytes.
func (f *flat) gather() Row {
	for _, list := range []*[]string{&f.Record.Audience, &f.Record.Claims, &f.Record.Purposes} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	if f.revokes {
		f.Record.Revocation = &f.revocation
	}
	if len(f.names) > 0 {
		f.Record.Attributes = make(map[string]string, len(f.names))
		for i, name := range f.names {
			f.Record.Attributes[name] = f.texts[i]
		}
	}
	return f.Row
}
