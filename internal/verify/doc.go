// Package verify rebuilds from the log what ClickHouse and the revocation feed
// should hold, and says where they differ.
//
// # What it is
//
// [Run] reads the log of each shard from its beginning, its rows in the tables
// events, payloads, batches and duplicates, and the newest snapshot and the deltas, which
// are of all shards, and compares. It is
// a second reader of everything, written against the formats and not against
// the code that writes them: its own CBOR, its own Merkle tree, its own SQL,
// its own fold of revocations. A fault in a writer is therefore not repeated
// here. It shares with verifiers how deltas and snapshots are decoded and their
// signatures checked.
//
// # Guarantees
//
//   - A row of events, payloads or batches that is missing, there twice,
//     changed in any column that the log determines, or in another's place is
//     named with its index, and with its column where one changed.
//   - A row under a shard that does not exist is named with that and its index.
//   - A log is named at fault where a record was changed, or a header but in what
//     it covers of the intake, a record is of a tenant of another shard, a batch is
//     missing, repeated or out of order, an epoch goes back, or a tree root is not
//     that of the records. What is covered of the intake is out of order, goes
//     back from one batch to the next, or is of another stream although the writer
//     is the same: then it is named, too.
//   - A feed is named at fault where the snapshot or a delta was changed, a
//     delta is missing or out of order, there is no snapshot and not the first
//     delta, or the set that both amount to lacks a
//     living revocation or lift of a log, has one that no log has, or says
//     something else of it, or of how far a log is in it.
//   - A mark of a duplicate that names another first event than the log has, or
//     says otherwise whether both say the same, is named; and so is one that is
//     missing although a search of its index is recorded, or its record is, and
//     was logged longer than [Config.MarkWithin] ago. Before it is counted as not
//     marked yet. So a ClickHouse that was down for longer shows a difference
//     for an event that came twice meanwhile, until the projector has searched:
//     when it was recorded is what ClickHouse says of itself, and no excuse.
//   - What has not been projected or told to verifiers yet was not compared. It
//     is counted as lag, with the age of the oldest, and is no difference: a
//     deployment at work can be verified. It is missing, by index, where a
//     projector has recorded that it had it, or where a run has waited for it
//     ([Config.Wait]); and in one difference, with its first and last index, when
//     it is older than [Config.MaxLag]. So rows that somebody takes from the end
//     of every table, however many, pass for lag no longer than that.
//   - How old something is goes by when the server of the logs stored it, and not
//     by the clock of who wrote it. What is said to be of more than a minute from
//     now is older than anything.
//   - Rows beyond what is recorded are named where, after [Config.Settle], not
//     all of them are.
//   - Nothing is written: not to the stores, which need no right to write, and
//     to the disk only digests.
//   - Memory is bounded: some 130 MiB, one byte for each record (a part of 128 of
//     what the log says is in memory at a time), 16 bytes for each 64 batches,
//     what the living revocations take, and 100,000 of the rows that differ. Rows
//     take none, however many are at one index or behind the end of the log: 24
//     bytes of disk each at most. A log of a million records was verified in 129
//     MiB.
//   - A value that may be an identifier is never in a difference: columns that
//     may hold one are shown as the beginning of a SHA-256.
//
// # Shapes and units
//
// [Reports] is the result, a [Report] a shard; what differs in the feed and is
// of no shard is in the first. Indices are those of a shard: they count records from 0, sequences messages of a
// stream from 1. The first [Config.Limit] differences are kept, all are counted.
// A row is one difference however many of its columns changed; of one that
// changed every column is listed.
//
// # Errors
//
// An error means that something could not be read, not that it differs.
//
// # Concurrency
//
// Any number of runs may go on at the same time. One reads a shard after the
// other.
//
// # What it does not do
//
// It does not open what is sealed. It cannot see a log that was rewritten whole,
// with a tree that fits, before anybody kept a root of it: that takes a
// checkpoint from elsewhere, compared with the root in the report. Nor does it see
// that the last batch covers more of the intake than was dealt with: what of that
// still waits in the intake is logged by nobody. It does not look at the table
// fences, which holds no facts.
//
// # Sources
//
// RFC 6962 section 2.1 (the tree), RFC 8949 section 4.2 (deterministic CBOR);
// Boulder's and Tessera's checkers, which share no code with their writers.
package verify
