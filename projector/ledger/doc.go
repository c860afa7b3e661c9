// Package ledger is the Merkle tree over the records of the log: what lets
// somebody who does not trust us check that nothing was lost, changed or
// hidden.
//
// # What it is
//
// A [Tree] holds the right edge of the tree: the roots of the perfect subtrees
// that make it up, at most 64 hashes whatever its size. That is enough to append
// to it and to say its root. Every batch of the log carries the edge after
// it, so that a writer finds its tree in the last batch.
//
// # Guarantees
//
//   - The root is the Merkle tree hash of RFC 6962 section 2.1 over the leaves
//     in the order in which they were appended; that of the empty tree is the
//     SHA-256 of nothing.
//   - A tree from [FromEdge] of a tree's size and edge goes on as that tree
//     would: same roots, same edges.
//   - [FromEdge] refuses an edge that cannot be one of a tree of that size. It
//     cannot know whether the hashes are right: the caller compares the root.
//   - What [Tree.Edge] returns is the caller's: later appends do not change it.
//
// # Shapes and units
//
// A leaf is events.LeafHash of an encoded record. An inner node is
// SHA-256(0x01 || left || right). Size counts leaves. An edge lists the largest
// subtree first.
//
// # Errors
//
// Only [FromEdge] fails, and only on a malformed edge.
//
// # Concurrency
//
// A Tree belongs to one goroutine at a time.
//
// # What it does not do
//
// It keeps no leaves, and so proves nothing by itself; it does no I/O and signs
// nothing.
//
// # Sources
//
// RFC 6962 section 2.1; RFC 9162 section 2.1; the compact ranges of
// github.com/transparency-dev/merkle.
package ledger
