package verify

import (
	"cmp"
	"context"
	"slices"
)

// match is what the rows of a table have at an index of the log. However many
// there are, it is one that is as the log says, one that is not, or one of each.
type match struct {
	entry
	right   bool
	changed bool
	got     digest // of the one that is not
}

// join holds the rows of a part against what the log says of it, which is sorted
// by index. Extra is given every further row of an index, with what the log says
// of that, and rows of which it says nothing. One row is in memory at a time:
// whoever may insert may insert any number at one index.
func (s *spill) join(part int, want []entry, extra func(e entry, want *digest)) ([]match, error) {
	all := make([]match, len(want))
	for i, e := range want {
		all[i].entry = e
	}
	err := s.each(part, func(e entry) {
		i, known := slices.BinarySearchFunc(all, e.index, func(m match, index uint64) int { return cmp.Compare(m.index, index) })
		if !known {
			extra(e, nil)
		} else if !all[i].take(e.digest) {
			extra(e, &all[i].digest)
		}
	})
	for i := range all {
		if m := &all[i]; m.right && m.changed {
			extra(entry{m.index, m.got}, &m.digest)
			m.changed = false
		}
	}
	return all, err
}

// take is false where m has such a row.
func (m *match) take(got digest) bool {
	switch {
	case got == m.digest && !m.right:
		m.right = true
	case got != m.digest && !m.changed:
		m.changed, m.got = true, got
	default:
		return false
	}
	return true
}

// maxBeyond is how many rows behind the end of the log are held until it is asked
// where that is now.
const maxBeyond = 100_000

// beyond is rows at indices that the log did not have when it was read. Those
// which it has now may have come since, and are not compared; the others are
// extra.
type beyond struct {
	v     *verifier
	extra func(e entry, want *digest)
	held  []entry
}

func (b *beyond) put(ctx context.Context, e entry) error {
	if b.held = append(b.held, e); len(b.held) < maxBeyond {
		return nil
	}
	return b.judge(ctx)
}

func (b *beyond) judge(ctx context.Context) error {
	if len(b.held) == 0 {
		return nil
	}
	fresh, err := b.v.fresh(ctx)
	if err != nil {
		return err
	}
	for _, e := range b.held {
		if e.index >= fresh {
			b.extra(e, nil)
		}
	}
	b.held = b.held[:0]
	return nil
}
