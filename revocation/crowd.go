package revocation

import (
	"cmp"
	"slices"
	"sort"
)

// crowd is the revocations of one target that has many. In the page of its hash
// stands one row in their place, of the kind crowded, whose index is the crowd's
// number. It is never changed, but replaced.
type crowd struct {
	hash hash
	tree tree
}

const (
	crowded   = uint32(1) << 31 // no kind has that number
	crowdRows = 16              // what a target may have in its page
	leafRows  = 32
	fanout    = 16
)

// tree is rows by their index, and what can be said of all of them.
type tree struct {
	rows  []row  // of a leaf
	parts []tree // of what is none; all leaves are as deep

	last  uint64 // index
	sweep int64  // the least expiry

	// Of those that are neither lifted nor mere lifts.
	cutoff  int64 // the latest; none where there is none of these
	starts  int64 // the least
	expires int64 // the greatest
}

// none is before every cut-off.
const none = int64(-1)

// effective reports whether rows of a kind have effect while they last.
func (t *kinds) effective(n uint32) (*kind, bool) {
	k := t.get(n)
	return k, k != nil && k.effective() // nil: it was taken away meanwhile, and taken says so
}

func leaf(rows []row, of *kinds) tree {
	t := tree{rows: rows, last: rows[len(rows)-1].index, sweep: endless, cutoff: none, starts: endless}
	for i := range rows {
		r := &rows[i]
		t.sweep = min(t.sweep, r.expires)
		if _, ok := of.effective(r.kind); ok {
			t.cutoff, t.starts, t.expires = max(t.cutoff, r.cutoff), min(t.starts, r.starts), max(t.expires, r.expires)
		}
	}
	return t
}

func branch(parts []tree) tree {
	t := tree{parts: parts, last: parts[len(parts)-1].last, sweep: endless, cutoff: none, starts: endless}
	for i := range parts {
		p := &parts[i]
		t.sweep, t.cutoff = min(t.sweep, p.sweep), max(t.cutoff, p.cutoff)
		t.starts, t.expires = min(t.starts, p.starts), max(t.expires, p.expires)
	}
	return t
}

// evenly is all in parts of about the same length, none longer than most.
func evenly[T any](all []T, most int, yield func([]T)) {
	for n := (len(all) + most - 1) / most; n > 0; n-- {
		cut := len(all) / n
		yield(all[:cut:cut])
		all = all[cut:]
	}
}

func leaves(rows []row, of *kinds) (out []tree) {
	evenly(rows, leafRows, func(part []row) { out = append(out, leaf(part, of)) })
	return out
}

func branches(parts []tree) (out []tree) {
	evenly(parts, fanout, func(part []tree) { out = append(out, branch(part)) })
	return out
}

// grown is one tree of several that are as high.
func grown(parts []tree) tree {
	for len(parts) > 1 {
		parts = branches(parts)
	}
	return parts[0]
}

// newCrowd is one of rows of a hash, which it keeps.
func newCrowd(rows []row, of *kinds) *crowd {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.index, b.index) })
	return &crowd{rows[0].hash, grown(leaves(rows, of))}
}

// with is c with rows, which are in the order of their index. They take the
// place of those with the same.
func (c *crowd) with(rows []row, of *kinds) *crowd {
	return &crowd{c.hash, grown(c.tree.with(rows, of))}
}

func (t *tree) with(rows []row, of *kinds) []tree {
	if t.parts == nil {
		return leaves(merged(t.rows, rows), of)
	}
	var parts []tree
	for i := range t.parts {
		p := &t.parts[i]
		cut := len(rows)
		if i < len(t.parts)-1 {
			cut = sort.Search(len(rows), func(k int) bool { return rows[k].index > p.last })
		}
		if cut == 0 {
			parts = append(parts, *p)
			continue
		}
		parts = append(parts, p.with(rows[:cut], of)...)
		rows = rows[cut:]
	}
	return branches(parts)
}

// merged is a and b in the order of their index, and of two with the same that
// of b.
func merged(a, b []row) []row {
	out := make([]row, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].index < b[0].index:
			out, a = append(out, a[0]), a[1:]
		case a[0].index > b[0].index:
			out, b = append(out, b[0]), b[1:]
		default:
			a = a[1:]
		}
	}
	return append(append(out, a...), b...)
}

// find is the row with an index.
func (t *tree) find(index uint64) (row, bool) {
	for t.parts != nil {
		i := slices.IndexFunc(t.parts, func(p tree) bool { return p.last >= index })
		if i < 0 {
			return row{}, false
		}
		t = &t.parts[i]
	}
	i, there := slices.BinarySearchFunc(t.rows, index, func(r row, index uint64) int { return cmp.Compare(r.index, index) })
	if !there {
		return row{}, false
	}
	return t.rows[i], true
}

// decides makes best the row that decides of those with effect at now, if it
// does rather than best, whose cut-off is none where there is none yet. What
// cannot hold such a row is not looked at: lifted ones cost nothing, and of the
// rest the part with the latest cut-off is looked at first.
func (t *tree) decides(now int64, of *kinds, best *row) {
	if !t.may(now, best) {
		return
	}
	for i := range t.rows {
		r := &t.rows[i]
		if r.expires <= now || r.starts > now || r.cutoff <= best.cutoff && (r.cutoff < best.cutoff || r.index > best.index) {
			continue
		}
		if _, ok := of.effective(r.kind); ok {
			*best = *r
		}
	}
	first := -1
	for i := range t.parts {
		if t.parts[i].may(now, best) && (first < 0 || t.parts[i].cutoff > t.parts[first].cutoff) {
			first = i
		}
	}
	if first < 0 {
		return
	}
	t.parts[first].decides(now, of, best)
	for i := range t.parts {
		if i != first {
			t.parts[i].decides(now, of, best)
		}
	}
}

// may reports whether t may hold a row with effect at now that decides rather
// than best, which is not in it.
func (t *tree) may(now int64, best *row) bool {
	return t.cutoff != none && t.starts <= now && t.expires > now && (t.cutoff > best.cutoff || t.cutoff == best.cutoff && t.last < best.index)
}

// without is t without what has expired by a limit, in so many leaves, and what
// is given back for those that are gone.
func (t *tree) without(limit int64, budget *int, of *kinds, gone []former) ([]tree, []former) {
	switch {
	case t.sweep > limit || *budget == 0:
		return []tree{*t}, gone
	case t.parts == nil:
		*budget--
		var left []row
		for i := range t.rows {
			if t.rows[i].expires > limit {
				left = append(left, t.rows[i])
			} else {
				gone = append(gone, t.rows[i].former())
			}
		}
		return leaves(left, of), gone
	}
	var parts, some []tree
	for i := range t.parts {
		some, gone = t.parts[i].without(limit, budget, of, gone)
		parts = append(parts, some...)
	}
	return branches(parts), gone
}

// visit visits so many leaves from an index on, and says from where to go on: 0
// where that was all.
func (t *tree) visit(from uint64, budget *int, visit func([]row)) (next uint64) {
	if t.parts == nil {
		*budget--
		visit(t.rows)
		return t.last + 1
	}
	for i := range t.parts {
		if p := &t.parts[i]; p.last >= from {
			if from = p.visit(from, budget, visit); *budget == 0 {
				return from
			}
		}
	}
	return t.last + 1
}
