// Package app wires the roles of one process together: the intake, the audit
// projector, the revoke projector and the API, against a NATS and a ClickHouse
// given by the configuration.
//
// # What it is
//
// [Run] connects, brings streams and tables up to date, runs the roles that
// the configuration names and returns when they have ended.
//
// # Guarantees
//
//   - Nothing but the audit role waits for ClickHouse: with it down, intake
//     and revocation start and run, and the API answers what needs no records.
//   - A log that was lost and made anew is not taken for the one before it: no
//     role works on it, and none starts, until somebody says that it is meant.
//   - Nothing that opens personal data is at work before the restore gate was passed
//     (query/erasure/gate). What only revokes or records has nobody's key, and waits
//     for nothing.
//   - Every process answers how it is: by its API, or at http.operation_addr. One
//     that finds the default address taken says so and does without; where another
//     was set, it ends.
//   - A role that fails for good ends the process, with its error.
//   - A process whose configuration has another number of shards than the streams
//     were made for does not start, whatever roles it has.
//   - Database and tables are made only under the lock of migrations: never between
//     the two renames of a rebuild, which has it.
//   - An intake that is elected and hears nothing over the connection it writes
//     over leaves its place to another within seconds.
//   - The first record of every log is the start of its writer. Where there are
//     others, an intake that publishers have filled keeps no writer from starting,
//     and so from emptying it: the start is said later.
//   - On stop each role finishes what it has in hand before its connections
//     are closed.
//
// # Shapes and units
//
// See internal/config.
//
// # Errors
//
// Run joins the errors of the roles.
//
// # Concurrency
//
// Run may be called once a configuration and process; several processes may
// run the same roles, or each the intake and audit of another shard. In one
// process, a shard's writer that fails for good takes the others with it.
//
// # What it does not do
//
// It starts no servers: that is internal/dev.
//
// # Sources
//
// DESIGN, "The house".
package app
