package revocation

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
)

// Many revocations of one target, told in the log's order with rising cut-offs,
// the other way round, and again: they are the same set.
func TestManyOfOneTarget(t *testing.T) {
	t.Parallel()
	const n = 10_000
	key := KeyID{Tenant: "acme", Generation: 1}
	all := make([]Entry, n)
	for i := range all {
		all[i] = Entry{Hash: events.Ref{1}, Index: uint64(i + 1), Scope: events.ScopeSubject, IssuedBefore: events.Timestamp(i+1) * second, At: second, Key: key}
	}
	all[n-1].Index = 1 << 62
	a := NewSet(1)
	a.Apply(all...)
	b := NewSet(1)
	b.Apply(all[n/2:]...)
	for part := range slices.Chunk(all, 1000) {
		slices.Reverse(part)
		b.Apply(append(part, part...)...)
		slices.Reverse(part)
	}
	for _, s := range []*Set{a, b} {
		s.Apply(Entry{Hash: events.Ref{1}, Index: 1 << 62, Lift: true, Key: key})
		s.Apply(all[n-2:]...)
	}
	if a.Len() != n || b.Len() != n {
		t.Errorf("%d and %d rows, want %d", a.Len(), b.Len(), n)
	}
	if d := cmp.Diff(a.Entries(), b.Entries()); d != "" {
		t.Errorf("the order counts: %.500s", d)
	}
}
