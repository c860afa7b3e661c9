package ledger_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/projector/ledger"
)

// naive is the definition in RFC 6962 section 2.1, word for word: it shares no
// code with the package.
func naive(leaves []events.Hash) events.Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := naive(leaves[:k]), naive(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func leafAt(i int) events.Hash {
	return events.LeafHash(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

func TestRootIsTheTreeHashOfRFC6962(t *testing.T) {
	t.Parallel()
	tree := ledger.New()
	var leaves []events.Hash
	for i := range 300 {
		if got, want := tree.Root(), naive(leaves); got != want || tree.Size() != uint64(i) {
			t.Fatalf("size %d: root %v, want %v at size %d", tree.Size(), got, want, i)
		}
		leaves = append(leaves, leafAt(i))
		tree.Append(leaves[i])
	}
}

// TestKnownRoots holds the tree to the vectors that Certificate Transparency
// implementations share.
func TestKnownRoots(t *testing.T) {
	t.Parallel()
	inputs := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	tree := ledger.New()
	for i, want := range roots {
		if got := tree.Root().String(); got != want {
			t.Errorf("root of %d leaves: %s, want %s", i, got, want)
		}
		if i < len(inputs) {
			b, err := hex.DecodeString(inputs[i])
			if err != nil {
				t.Fatal(err)
			}
			tree.Append(events.LeafHash(b))
		}
	}
}

func TestTreeGoesOnFromItsEdge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tree := ledger.New()
		for i := range rapid.IntRange(0, 200).Draw(t, "before") {
			tree.Append(leafAt(i))
		}
		again, err := ledger.FromEdge(tree.Size(), tree.Edge())
		if err != nil {
			t.Fatal(err)
		}
		for i := range rapid.IntRange(0, 200).Draw(t, "after") {
			tree.Append(leafAt(1000 + i))
			again.Append(leafAt(1000 + i))
		}
		if tree.Root() != again.Root() || tree.Size() != again.Size() {
			t.Fatalf("size %d root %v, from the edge size %d root %v", tree.Size(), tree.Root(), again.Size(), again.Root())
		}
		if d := cmp.Diff(tree.Edge(), again.Edge()); d != "" {
			t.Fatal(d)
		}
	})
}

func TestEdgeThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	h := make([]byte, sha256.Size)
	for name, tc := range map[string]struct {
		size uint64
		edge [][]byte
	}{
		"hash missing":  {size: 3, edge: [][]byte{h}},
		"hash too many": {size: 4, edge: [][]byte{h, h}},
		"size without":  {size: 1},
		"edge of none":  {size: 0, edge: [][]byte{h}},
		"short hash":    {size: 1, edge: [][]byte{h[:31]}},
	} {
		if _, err := ledger.FromEdge(tc.size, tc.edge); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEdgeIsTheCallers(t *testing.T) {
	t.Parallel()
	tree := ledger.New()
	for i := range 3 {
		tree.Append(leafAt(i))
	}
	edge, root := tree.Edge(), tree.Root()
	again, err := ledger.FromEdge(3, edge)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range edge {
		clear(h)
	}
	if tree.Root() != root || again.Root() != root {
		t.Error("changing a returned edge changed the tree")
	}
	edge = tree.Edge()
	before := cmp.Diff(edge, nil)
	for i := range 5 {
		tree.Append(leafAt(10 + i))
	}
	if cmp.Diff(edge, nil) != before {
		t.Error("an append changed a returned edge")
	}
}

func BenchmarkAppend(b *testing.B) {
	tree, leaf := ledger.New(), leafAt(1)
	b.ReportAllocs()
	for b.Loop() {
		tree.Append(leaf)
	}
}
