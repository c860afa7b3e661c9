package eventrow

import (
	"maps"
	"slices"

	"github.com/rescindhq/rescind/events"
)

// Row is one record with its place in the log.
type Row struct {
	Shard  uint16
	Index  uint64
	Digest [8]byte // keyed digest of the event as published; written, not read back
	Record events.Record
}

// flat is a row with the members that have no column of their own laid out.
type flat struct {
	Row
	revokes    bool
	revocation events.Revocation
	names      []string // attributes, in the order of their names
	values     []string
}

func (f *flat) spread(r *Row) {
	f.Row = *r
	if r.Record.Revocation != nil {
		f.revokes, f.revocation = true, *r.Record.Revocation
	}
	f.names = slices.Sorted(maps.Keys(r.Record.Attributes))
	for _, name := range f.names {
		f.values = append(f.values, r.Record.Attributes[name])
	}
}

// gather undoes spread. An empty list is none, as in a record decoded from its
// bytes.
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
			f.Record.Attributes[name] = f.values[i]
		}
	}
	return f.Row
}
