// Package rebuild makes the stores anew from the log and puts them in the place
// of those that are there.
//
// # What it is
//
// [Tables] builds a second database from the logs of all shards with the
// ordinary projector, has it verified, and gives it the name of the first. [Feed] takes away the snapshot
// and the deltas of the revocation feed, so that its ordinary writer makes them
// from the logs.
//
// # Guarantees
//
//   - What is put in place was verified against the log, by code that shares
//     nothing with the projector; what does not verify is not put in place.
//   - An event that is in the log twice is marked in the new tables, with what
//     the log says of both.
//   - The database that was there is kept under another name, unless it is to be
//     dropped, and then only after the new one is in place. Killed before it was,
//     the next rebuild drops it.
//   - The new tables have the rows of every shard, and none beside them.
//   - A projector at work meanwhile loses nothing and doubles nothing: it is
//     fenced before the change, resyncs from the position of the new tables, and
//     goes on in them within seconds: their fence was given up.
//   - Readers see the old database until the new one is in its place, and never
//     fewer events than before, however long reading the rest takes: the fence of
//     the old tables is kept meanwhile, and where it was lost, be it between the
//     two renames, the old ones keep their name and the rest is read again.
//   - Killed at any step or moment, running it again ends well. Killed between the
//     two renames it leaves no database of the name until then, and at any other
//     moment the old one or the new one.
//   - A rename whose answer was lost counts for what it did: the rebuild goes on
//     where it was carried out.
//   - Verifiers resync by themselves: the stream of deltas is another one.
//   - A feed is taken away only where the control lanes of all logs could be read
//     to their ends; where its writer stops later, that is the error.
//
// # Shapes and units
//
// For a database d: d_rebuild while it is built, d_old_YYYYMMDDhhmmss what it
// replaced, in UTC, and with _drop behind it where that is to be dropped.
//
// # Errors
//
// [ErrDiffers] where the new database is not what the log says, and only then:
// nothing was changed.
//
// Where ClickHouse refuses what the projector asks ten times in a row, what it
// answers is the error, and running it again goes on.
//
// Where projectors take the fence of the old tables back five times, it gives up:
// what was built stays, and running it again goes on with it.
//
// # Concurrency
//
// One rebuild at a time; the caller sees to that with a lock, and ends the context
// when it is lost. One that finds its new database gone all the same leaves what
// is there its name.
//
// # What it does not do
//
// It cannot mend a log. Between two renames there is no database of the name
// for some milliseconds: a reader gets an error it can retry. From the moment
// the deltas are taken away until the first snapshot, verifiers answer unknown
// as they do when the feed is silent.
//
// # Sources
//
// ClickHouse RENAME DATABASE for Atomic databases. EXCHANGE TABLES was
// rejected: it is atomic for one table, and events beside the batches of
// another build are what the projector must never see.
package rebuild
