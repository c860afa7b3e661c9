package verify

import (
	"bytes"
	"crypto/sha256"
	"math/bits"
)

// tree is the Merkle tree of RFC 6962 section 2.1 as a stack of its perfect
// subtrees, largest first. It is written from the RFC and shares no code with
// the writer's.
type tree struct {
	size  uint64
	stack []subtree
}

type subtree struct {
	level int // 2^level leaves
	hash  [32]byte
}

func leafOf(record []byte) [32]byte {
	return sha256.Sum256(append([]byte{0}, record...))
}

func parent(left, right [32]byte) [32]byte {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func (t *tree) add(leaf [32]byte) {
	t.size++
	t.stack = append(t.stack, subtree{hash: leaf})
	for n := len(t.stack); n > 1 && t.stack[n-1].level == t.stack[n-2].level; n-- {
		t.stack[n-2] = subtree{t.stack[n-1].level + 1, parent(t.stack[n-2].hash, t.stack[n-1].hash)}
		t.stack = t.stack[:n-1]
	}
}

func (t *tree) root() [32]byte {
	if len(t.stack) == 0 {
		return sha256.Sum256(nil)
	}
	h := t.stack[len(t.stack)-1].hash
	for i := len(t.stack) - 2; i >= 0; i-- {
		h = parent(t.stack[i].hash, h)
	}
	return h
}

// hasEdge reports whether edge is the roots of the subtrees of t.
func (t *tree) hasEdge(edge [][]byte) bool {
	if len(edge) != len(t.stack) {
		return false
	}
	for i := range edge {
		if !bytes.Equal(edge[i], t.stack[i].hash[:]) {
			return false
		}
	}
	return true
}

// treeOf is the tree of that size with that edge. It is false where there can
// be none.
func treeOf(size uint64, edge [][]byte) (tree, bool) {
	t := tree{size: size}
	if bits.OnesCount64(size) != len(edge) {
		return t, false
	}
	for level := 63; level >= 0; level-- {
		if size>>level&1 == 0 {
			continue
		}
		h := edge[len(t.stack)]
		if len(h) != 32 {
			return t, false
		}
		t.stack = append(t.stack, subtree{level, [32]byte(h)})
	}
	return t, true
}
