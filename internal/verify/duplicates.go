package verify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
)

// identities finds events that are in the log twice, and holds the marks of
// them against it: events that came again when the intake no longer remembered
// them stay in the log, and the audit side marks them.
type identities struct {
	spill    *spill // of tenant, source and id
	contents *spill // of what the publisher said
	marked   map[uint64]marking
	known    uint64 // duplicates that are marked
	unmarked uint64 // that are not yet
}

// marking is a row of duplicates.
type marking struct {
	first   uint64
	content string
}

func newIdentities(dir string) *identities {
	return &identities{spill: newSpill(dir, "identities"), contents: newSpill(dir, "contents"), marked: map[uint64]marking{}}
}

func (d *identities) put(id digest, index uint64, said []byte) error {
	part := int(id[0]) % spillParts
	content := digest{}
	if len(said) > 0 {
		content = half(said)
	}
	if err := d.contents.put(part, entry{index, content}); err != nil {
		return err
	}
	return d.spill.put(part, entry{index, id})
}

// of is the step that reads the marks and checks them.
func (d *identities) of(v *verifier) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := d.load(ctx, v); err != nil {
			return fmt.Errorf("read duplicates: %w", err)
		}
		fresh, err := v.fresh(ctx)
		if err != nil {
			return err
		}
		return d.check(v, fresh)
	}
}

const readMarked = "SELECT `index`, first, content FROM duplicates WHERE shard = {shard:UInt16} ORDER BY `index`, found"

// load reads what the audit side has marked.
func (d *identities) load(ctx context.Context, v *verifier) error {
	return v.rows(ctx, readMarked, nil, func(scan func(...any) error) error {
		var index uint64
		var m marking
		if err := scan(&index, &m.first, &m.content); err != nil {
			return err
		}
		if _, twice := d.marked[index]; twice {
			v.found.add(Difference{Place: Duplicates, Kind: Extra, Index: index, Detail: "a second row of this index"})
			return nil
		}
		d.marked[index] = m
		return nil
	})
}

// check looks for what is in the log twice. Fresh is its size after the marks
// were read.
func (d *identities) check(v *verifier, fresh uint64) error {
	for part := range spillParts {
		all, err := d.spill.take(part)
		if err != nil {
			return err
		}
		contents, err := d.contents.take(part)
		if err != nil {
			return err
		}
		d.checkPart(v, all, contents)
	}
	for index := range d.marked {
		if index < v.log.next || index >= fresh {
			v.found.add(Difference{Place: Duplicates, Kind: Extra, Index: index, Detail: "it is marked as a duplicate and is none"})
		}
	}
	return nil
}

func (d *identities) checkPart(v *verifier, all, contents []entry) {
	slices.SortStableFunc(all, func(a, b entry) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	first := 0 // of those with one identity
	for i := 1; i < len(all); i++ {
		if all[i].digest == all[first].digest {
			d.again(v, all[i].index, marking{all[first].index, agreement(contents, all[first].index, all[i].index)})
		} else {
			first = i
		}
	}
}

// agreement is what a mark should say of the contents of two events.
func agreement(contents []entry, a, b uint64) string {
	x, y := contentOf(contents, a), contentOf(contents, b)
	switch {
	case x == digest{} || y == digest{}:
		return "unknown"
	case x == y:
		return "same"
	default:
		return "different"
	}
}

func contentOf(sorted []entry, index uint64) digest {
	i, there := slices.BinarySearchFunc(sorted, index, func(e entry, index uint64) int { return cmp.Compare(e.index, index) })
	if !there {
		return digest{}
	}
	return sorted[i].digest
}

// again judges an event that is in the log a second time, of which the log says
// want.
func (d *identities) again(v *verifier, index uint64, want marking) {
	got, marked := d.marked[index]
	if !marked {
		d.absent(v, index, want.first)
		return
	}
	delete(d.marked, index)
	d.known++
	differences := compare(Duplicates, index,
		pair{"first", fmt.Sprint(want.first), fmt.Sprint(got.first)}, pair{"content", want.content, fmt.Sprintf("%.20s", got.content)})
	for i, c := range differences {
		if i == 0 {
			v.found.add(c)
		} else {
			v.found.show(c)
		}
	}
}

// absent judges a duplicate that is not marked: what the projector has searched
// should be, and what was logged long ago, and is recorded, should have been
// searched. When it was recorded excuses nothing: that is a column which no log
// knows, and whoever takes marks away can write now into it.
func (d *identities) absent(v *verifier, index, first uint64) {
	missing := Difference{Place: Duplicates, Kind: Missing, Index: index}
	switch {
	case index < v.at.searched:
		missing.Detail = fmt.Sprintf("it is the same event as index %d, was searched and is not marked", first)
	case index < min(v.log.aged, v.at.recorded):
		missing.Detail = fmt.Sprintf("it is the same event as index %d and was not searched within %s after it was logged", first, v.cfg.MarkWithin)
	default:
		d.unmarked++
		return
	}
	v.found.add(missing)
}
