package checker

import "crypto/sha256"

// tree is the Merkle tree of RFC 6962 as its definition in section 2.1 reads
// from the right edge: the roots of perfect subtrees, largest first, each with
// its height.
type tree struct {
	size  uint64
	edge  [][32]byte
	level []int
}

func node(left, right [32]byte) [32]byte {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func (t *tree) add(record []byte) {
	t.size++
	t.edge = append(t.edge, sha256.Sum256(append([]byte{0}, record...)))
	t.level = append(t.level, 0)
	for n := len(t.edge); n > 1 && t.level[n-1] == t.level[n-2]; n-- {
		t.edge[n-2] = node(t.edge[n-2], t.edge[n-1])
		t.level[n-2]++
		t.edge, t.level = t.edge[:n-1], t.level[:n-1]
	}
}

func (t *tree) root() [32]byte {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	root := t.edge[len(t.edge)-1]
	for i := len(t.edge) - 2; i >= 0; i-- {
		root = node(t.edge[i], root)
	}
	return root
}
