package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

// identities finds events that are in the log twice, and holds the marks of
// them against it: events that came again when the intake no longer remembered
// them stay in the log, and the audit side marks them.
type identities struct {
	spill    *spill // of tenant, source and id
	contents *spill // of what the publisher said
	again    *spill // of the marks that there should be
	marks    *spill // of those that there are
	known    uint64 // duplicates that are marked
	unmarked uint64 // that are not yet
}

// marking is what a row of duplicates says.
type marking struct {
	first   uint64
	content byte // index of says
}

// says is what may be said of the contents of an event and its repetition.
var says = []string{"unknown", "same", "different", "another word"}

func contentIn(row string) byte {
	other := len(says) - 1
	if i := slices.Index(says[:other], row); i >= 0 {
		return byte(i)
	}
	return byte(other)
}

// digest is all of m, so that it can be had back.
func (m marking) digest() (d digest) {
	binary.BigEndian.PutUint64(d[:], m.first)
	d[8] = m.content
	return d
}

func markingOf(d digest) marking { return marking{binary.BigEndian.Uint64(d[:]), d[8]} }

func newIdentities(dir string) *identities {
	return &identities{spill: newSpill(dir, "identities"), contents: newSpill(dir, "contents"),
		again: newSpill(dir, "duplicates-log"), marks: newSpill(dir, "duplicates-rows")}
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
		before := len(v.report.Differences)
		if err := d.load(ctx, v); err != nil {
			return fmt.Errorf("read duplicates: %w", err)
		}
		if err := d.repeated(v); err != nil {
			return err
		}
		err := d.check(v)
		slices.SortStableFunc(v.report.Differences[before:], func(a, b Difference) int { return cmp.Compare(a.Index, b.Index) })
		return err
	}
}

const readMarked = "SELECT `index`, first, content FROM duplicates WHERE shard = {shard:UInt16} ORDER BY `index`, found"

// load reads what the audit side has marked.
func (d *identities) load(ctx context.Context, v *verifier) error {
	beyond := &beyond{v: v, extra: v.extraMark}
	err := v.rows(ctx, readMarked, nil, func(scan func(...any) error) error {
		var index, first uint64
		var content string
		if err := scan(&index, &first, &content); err != nil {
			return err
		}
		e := entry{index, marking{first, contentIn(content)}.digest()}
		if index >= v.log.next {
			return beyond.put(ctx, e)
		}
		return d.marks.put(v.part(index), e)
	})
	if err != nil {
		return err
	}
	return beyond.judge(ctx)
}

// extraMark names a mark of nothing, or one more of what is marked.
func (v *verifier) extraMark(e entry, want *digest) {
	detail := "a second row of this index"
	if want == nil {
		detail = "it is marked as a duplicate and is none"
	}
	v.found.add(Difference{Place: Duplicates, Kind: Extra, Index: e.index, Detail: detail})
}

// repeated looks for what is in the log twice.
func (d *identities) repeated(v *verifier) error {
	for part := range spillParts {
		all, err := d.spill.take(part)
		if err != nil {
			return err
		}
		contents, err := d.contents.take(part)
		if err != nil {
			return err
		}
		if err := d.repeatedIn(v, all, contents); err != nil {
			return err
		}
	}
	return nil
}

func (d *identities) repeatedIn(v *verifier, all, contents []entry) error {
	slices.SortStableFunc(all, func(a, b entry) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	first := 0 // of those with one identity
	for i := 1; i < len(all); i++ {
		if all[i].digest != all[first].digest {
			first = i
			continue
		}
		want := marking{all[first].index, agreement(contents, all[first].index, all[i].index)}
		if err := d.again.put(v.part(all[i].index), entry{all[i].index, want.digest()}); err != nil {
			return err
		}
	}
	return nil
}

// agreement is what a mark should say of the contents of two events.
func agreement(contents []entry, a, b uint64) byte {
	x, y := contentOf(contents, a), contentOf(contents, b)
	switch {
	case x == digest{} || y == digest{}:
		return 0
	case x == y:
		return 1
	default:
		return 2
	}
}

func contentOf(sorted []entry, index uint64) digest {
	i, there := slices.BinarySearchFunc(sorted, index, func(e entry, index uint64) int { return cmp.Compare(e.index, index) })
	if !there {
		return digest{}
	}
	return sorted[i].digest
}

// check holds the marks against what is in the log twice.
func (d *identities) check(v *verifier) error {
	for part := range spillParts {
		want, err := d.again.take(part)
		if err != nil {
			return err
		}
		all, err := d.marks.join(part, want, v.extraMark)
		if err != nil {
			return err
		}
		for i := range all {
			d.judge(v, &all[i])
		}
	}
	return nil
}

// judge judges an event that is in the log a second time.
func (d *identities) judge(v *verifier, m *match) {
	want, got := markingOf(m.digest), markingOf(m.got)
	if !m.right && !m.changed {
		d.absent(v, m.index, want.first)
		return
	}
	d.known++
	if m.right {
		return
	}
	differences := compare(Duplicates, m.index,
		pair{"first", fmt.Sprint(want.first), fmt.Sprint(got.first)}, pair{"content", says[want.content], says[got.content]})
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
