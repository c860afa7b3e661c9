// Package sealtest is for the tests of whoever implements or uses a
// [seal.Store]: a conformance suite, and a store in memory.
//
// # What it is
//
// [TestStore] states the contract of seal.Store as tests. [Memory] is the
// simplest store that passes it; [Fault] makes any store fail on purpose.
//
// # Guarantees
//
//   - A store that breaks a sentence of the contract fails a subtest, but for
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
// Memory and Fault may be used from any goroutine.
//
// # What it does not do
//
// It is not for production: Memory keeps nothing.
//
// # Sources
//
// The contract in package seal.
package sealtest
