// Package audit writes the log into ClickHouse, each record exactly once.
//
// # What it is
//
// [New] makes a [Projector] for one shard; its Run reads the log from the
// position that ClickHouse itself holds and inserts records into events and
// sealed parts into payloads, side by side, and when both are there the
// batches they came in into batches: one chunk at a time, while the next is
// read and decoded. Beside that it looks for events that repeat one which the
// intake no longer remembered, and marks them in duplicates. [Migrate] makes
// the tables, [Open] a connection that cannot wait for ever, [Grants] says what
// rights that needs.
//
// ClickHouse neither promises that an insert which failed is not there, nor
// that its deduplication keeps what was acknowledged. So Run relies on neither:
// after a start, a restart or any error it recovers, which is one procedure:
// it takes a fence, ends the inserts of earlier holders, reads back which
// indices are there above the last recorded batch, and then inserts only what
// is missing and compares what is there with the log before it records a
// batch. Every insert carries the condition that its holder still has the
// fence, so one that was given up for lost and arrives after all inserts
// nothing.
//
// # Guarantees
//
//   - Every record of the log is in events once, and every sealed part in
//     payloads once, whatever is killed, cut off, paused or answered late, and
//     however many projectors run at the same time.
//   - What batches covers is in events and payloads whole, without a hole.
//   - After any uncertainty the rows that are there are rebuilt into records
//     and compared with the log byte by byte before they are recorded. A row
//     that differs, or is there twice, stops the projector.
//   - A log that cannot be decoded, has a hole, or goes back stops the
//     projector; it never writes past what it does not understand.
//   - Nothing is acknowledged to the log: a ClickHouse that is down, full or
//     slow holds nobody up, and the projector catches up by itself.
//   - Two chunks of the log are in memory, each at most [Config.MaxBytes] and
//     MaxRows and one message more, one piece of 1 MiB, and what the driver
//     holds of the chunk that it sends. A decoded record takes about 1 KiB
//     beside its bytes: at the defaults that is 130 MiB at most.
//   - An event with the tenant, source and id of an earlier one is in
//     duplicates once, with the index of the first, at the latest
//     [Config.SearchEvery] and one search after it was recorded; it says
//     whether the publisher said the same in both, as long as the log holds
//     both. A search marks a thousand such events at a time, and goes on until
//     it has marked all that were there when it began, also in the next session.
//   - [Projector.Status] says since when ClickHouse has owed an answer, how
//     much of the log is not recorded and how old that is, also while
//     ClickHouse is down.
//   - A projector that lost its fence to another does not take it back after an
//     error of its own. It stands by while that one makes progress or keeps the
//     fence ([Keep]), and takes over when it does neither, or at the next look when
//     it has given the fence up.
//   - Who has taken the fence ([Keep], [Release]) finds tables in which nobody
//     inserts any more, and who keeps it is told whether that is still so.
//
// # Shapes and units
//
// Indices count records of a shard from 0, sequences messages of the log
// stream from 1. Tables are in schemas/clickhouse.
//
// # Errors
//
// Transient: whatever ClickHouse or the log's server answer; Run backs off and
// recovers, without end. Fatal: [ErrLog], [ErrTables]; Run returns. Errors name
// indices and sequences, never what a record holds.
//
// # Concurrency
//
// Run may be called once. Status may be called from any goroutine. Any number
// of processes may run a projector for the same shard; one of them writes.
//
// # What it does not do
//
// A search reads the identities of all events on one thread of the server, once
// or twice for each thousand that it marks, and what takes longer than
// [Config.Stall] is given up: some hundred million events a shard. It is tried
// again after a second, and then ever later, up to [Config.SearchEvery].
//
// It does not check the Merkle roots that it copies (that is for a verifier
// that shares no code with it), does not open what is sealed, and does not
// delete: retention drops partitions. It needs one server for a shard: the
// condition of an insert is not seen across replicas in time.
//
// # Sources
//
// ClickHouse MergeTreeDeduplicationLog.cpp (the token is written before the
// part), clickhouse-go context.go (a deadline becomes max_execution_time) and
// conn_exec.go (a write has no deadline).
package audit
