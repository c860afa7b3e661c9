// Package sealtest is for the tests of whoever implements or uses a
// [seal.Store] or a [seal.Root]: conformance suites, and both in memory.
//
// # What it is
//
// [TestStore], [TestRevisions] and [TestRoot] state the contracts of seal.Store,
// seal.Revisions and seal.Root as tests. [Memory] is the simplest store that
// passes the first two, [MemoryRoot] the simplest root; [Fault] makes any store
// fail on purpose.
//
// # Guarantees
//
//   - A store or root that breaks a sentence of its contract fails a subtest, but for
//     durability and overwriting, which need the store's own files.
//
// # Shapes and units
//
// Stores are given empty.
//
// # Errors
//
// None of its own.
//
// # Concurrency
//
// Memory, MemoryRoot and Fault may be used from any goroutine.
//
// # What it does not do
//
// It is not for production: Memory and MemoryRoot keep nothing.
//
// # Sources
//
// The contract in package seal.
package sealtest
