// Package checker reads the log and the tables of a deployment and says what
// is wrong with them.
//
// # What it is
//
// [ReadLog] reads RESCIND_LOG from its beginning into a [Log] and checks it
// against itself. [Log.Holds] compares it with what publishers were told,
// [Log.Tables] with ClickHouse.
//
// # Guarantees
//
//   - It shares no code with what wrote: not the codecs, not the tree, not the
//     names of streams and columns. What it knows is the format.
//   - It reports a message missing, a batch that does not follow the one before,
//     an index that is missing or there twice, an event that is there twice, a
//     root that does not recompute, a sealed part that is not the one that its
//     record names, an epoch that goes back.
//   - It reports an acknowledged event that is not there, and one that nobody
//     published.
//   - It reports a row that is missing, there twice, extra or about another
//     event, a sealed part likewise, and batches that differ from the log's.
//
// # Shapes and units
//
// A [Fault] is one line for a person. Of one kind at most [MaxFaults] are kept;
// the last one says how many there were.
//
// # Errors
//
// An error says that something could not be read. What was read and is wrong is
// a Fault.
//
// # Concurrency
//
// A Log may be read from any goroutine once ReadLog has returned.
//
// # What it does not do
//
// It holds the identities of the whole log in memory: it is for tests, not for
// a log of years. It does not rebuild records from their rows.
//
// # Sources
//
// RFC 6962, section 2.1; the CDDL of the log is in events (batch and record).
package checker
