package export

import (
	"maps"
	"slices"
)

// maxListed bounds each list of a summary.
const maxListed = 500

// summary is what is remembered of the items that went by: little, however many
// they are.
type summary struct {
	count, dropped, unreadable, readings int

	types                                 map[string]int
	purposes, audiences, clients, sources values
	more                                  bool
}

// values is a set of at most maxListed.
type values map[string]bool

func newSummary() *summary {
	return &summary{types: map[string]int{}, purposes: values{}, audiences: values{}, clients: values{}, sources: values{}}
}

func (s *summary) add(it *Item) {
	s.count++
	s.types[it.Type]++
	switch {
	case it.Sealed == Dropped:
		s.dropped++
	case it.Sealed == Unreadable:
		s.unreadable++
	}
	if it.Type == "audit.accessed" || it.Type == "audit.exported" {
		s.readings++
	}
	s.note(s.purposes, it.Purposes...)
	s.note(s.audiences, it.Audience...)
	s.note(s.clients, it.Client)
	s.note(s.sources, it.Source)
}

func (s *summary) note(set values, list ...string) {
	for _, v := range list {
		switch {
		case v == "" || set[v]:
		case len(set) == maxListed:
			s.more = true
		default:
			set[v] = true
		}
	}
}

func (v values) list() []string {
	out := slices.Sorted(maps.Keys(v))
	if out == nil {
		return []string{}
	}
	return out
}

// document is what a summary and an order come to.
func (c *collector) document(s *summary, files []File) Document {
	o := c.order
	out := Document{
		Format: Schema, Kind: o.Kind, Tenant: o.Tenant, Subject: Subject{o.Issuer, o.Subject}, Request: Asking{o.Request, o.Regulation, o.Received},
		Made: c.cfg.Now().UTC(), Shard: o.Shard, Position: c.end, Count: s.count, Files: slices.Concat([]File{}, files), Dropped: s.dropped, Unreadable: s.unreadable,
		LeftOut: leftOut,
	}
	if o.Kind == Portability {
		out.LeftOut = slices.Concat(leftOutPortable, leftOut)
		return out
	}
	out.Access = &Facts{
		Statement: c.cfg.Statement, Purposes: s.purposes.list(), Audiences: s.audiences.list(), Clients: s.clients.list(),
		Sources: s.sources.list(), More: s.more, Readings: s.readings, Recipients: recipients, Retention: retention, Rights: rights,
		Categories: []Tally{}, Requests: slices.Concat([]Asked{}, o.Requests), Holds: slices.Concat([]Hold{}, o.Holds), Restricted: o.Restricted,
	}
	for _, name := range slices.Sorted(maps.Keys(s.types)) {
		out.Access.Categories = append(out.Access.Categories, Tally{name, s.types[name]})
	}
	return out
}
