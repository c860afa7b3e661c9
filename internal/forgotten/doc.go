// Package forgotten proves what is said of forgetting a person, on a whole
// deployment.
//
// # What it is
//
// Its tests play one story on a stack of package dev, observe it at each step, and
// say of each observation what it must be. They are named after the pitfalls of
// erasure in event-sourced systems, E01 to E20; those that one package can prove
// alone stand there. docs/guarantees.md lists all of them.
//
// # Guarantees
//
// None: it holds those of others.
//
// # Shapes and units
//
// The story: people at two tenants are told of, one of them, whom every value
// makes known, in every way in; a hold keeps a part of theirs; the tables are
// backed up; one is forgotten, the stack is stopped and started, the hold is released; a
// hundred are forgotten; everybody is; tables and feed are rebuilt. Nothing is in
// the folder beside what a deployment writes, but what its API answered and what
// its verifiers keep.
//
// # Errors
//
// What goes wrong in the story fails every test of it.
//
// # Concurrency
//
// The story is played once in a process, by the first test that asks.
//
// # What it does not do
//
// The embedded NATS does not cluster, so there is no Raft log to search: what it
// would hold are messages of the same streams.
//
// # Sources
//
// GDPR article 17. Two accounts of what goes wrong: Cratis Chronicle's erasure
// fence and authling's ADR 2.
package forgotten
