// Package ledger is the erasure ledger: which keys of people, of legal holds, and of
// what others are told, were destroyed, in a file that no backup of the data brings back.
//
// # What it is
//
// Whoever restores a copy of all data from before an erasure gets the person's
// key back, and a log that knows nothing of the erasure. The ledger stands
// elsewhere, and says what has to be destroyed again. [Ledger.Append] is called
// by whoever erases; [Ledger.Read] by the restore gate (query/erasure/gate).
//
// # Guarantees
//
//   - What Append returned for is on the disk, and so is the name of the file.
//   - A line that was cut off when its writer was stopped was never said to be
//     written: the next reader passes it over, and the next writer takes it away.
//   - Any other line that is not as it was written, or not behind the one that it
//     was written behind, is [ErrTampered]; nothing can be appended to such a file.
//   - What could not be read is not appended.
//   - Nobody can write a line without the key, which is in the keyring.
//   - Several processes may append at once: each line is whole.
//   - A line holds no identifier of a person, and no key: references that point
//     nowhere any more, and keyed hashes that the log holds as well.
//   - Reading holds one line in memory.
//
// # Shapes and units
//
// The file is text, a line each, which ends with the first 16 bytes of an
// HMAC-SHA-256 over the one of the line before and the line, in hex. The first
// names the format and the ledger. A line of a person has some 230 bytes:
//
//	person <tenant> <reference> <key fingerprint> <request> <shard> <index> <µs> <held> <hash> <feed key> <issued before> <expires>
//	hold <tenant> <key of the hold and person, of an ask, or of notices> <request> <µs>
//	seen <shard> <sequence> <digest> <µs>
//
// Request is the first 16 bytes of the SHA-256 of its id.
//
// # Errors
//
// [ErrTampered] is for callers to branch on. After any other error of Append the
// line may be there: appending it again does no harm.
//
// # Concurrency
//
// A Ledger may be used from any goroutine.
//
// # What it does not do
//
// It does not notice that whole lines are missing at its end, or the whole file:
// the gate writes what the log says anew. It cannot tell whoever has the keyring's
// keys from whoever may write. Where there is no flock, one process may write.
//
// # Sources
//
// Schneier and Kelsey, Secure audit logs to support computer forensics (chained
// authentication); docs/adr/0026.
package ledger
