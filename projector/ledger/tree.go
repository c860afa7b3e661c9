package ledger

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/transparency-dev/merkle/compact"

	"github.com/rescindhq/rescind/events"
)

// Tree is a Merkle tree that grows at its right edge.
type Tree struct {
	edge *compact.Range
}

var factory = compact.RangeFactory{Hash: hashChildren}

func hashChildren(left, right []byte) []byte {
	var node [1 + 2*sha256.Size]byte
	node[0] = 1
	copy(node[1:], left)
	copy(node[1+sha256.Size:], right)
	sum := sha256.Sum256(node[:])
	return sum[:]
}

// New is the empty tree.
func New() *Tree { return &Tree{edge: factory.NewEmptyRange(0)} }

// FromEdge is the tree of that size whose perfect subtrees have these roots,
// largest first.
func FromEdge(size uint64, edge [][]byte) (*Tree, error) {
	for i, h := range edge {
		if len(h) != sha256.Size {
			return nil, fmt.Errorf("tree size=%d: hash %d of the edge has %d bytes, want %d", size, i, len(h), sha256.Size)
		}
	}
	r, err := factory.NewRange(0, size, cloneAll(edge))
	if err != nil {
		return nil, fmt.Errorf("tree size=%d: %w", size, err)
	}
	return &Tree{edge: r}, nil
}

// Append adds a leaf behind the last one.
func (t *Tree) Append(leaf events.Hash) {
	if err := t.edge.Append(leaf[:], nil); err != nil {
		panic(fmt.Sprintf("ledger: append at size %d: %v", t.Size(), err)) // only a range that was not built here can fail
	}
}

// Size is the number of leaves.
func (t *Tree) Size() uint64 { return t.edge.End() }

// Root is the Merkle tree hash over all leaves.
func (t *Tree) Root() events.Hash {
	if t.Size() == 0 {
		return sha256.Sum256(nil)
	}
	root, err := t.edge.GetRootHash(nil)
	if err != nil {
		panic(fmt.Sprintf("ledger: root at size %d: %v", t.Size(), err)) // every range here begins at 0
	}
	return events.Hash(root)
}

// Edge is the roots of the perfect subtrees, largest first.
func (t *Tree) Edge() [][]byte { return cloneAll(t.edge.Hashes()) }

func cloneAll(hashes [][]byte) [][]byte {
	out := make([][]byte, len(hashes))
	for i, h := range hashes {
		out[i] = slices.Clone(h)
	}
	return out
}
