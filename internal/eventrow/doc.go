// Package eventrow is the one place where a record becomes a row of the
// ClickHouse table events and a row becomes a record again.
//
// # What it is
//
// [Insert] and [Block] are the way in: rows travel as an external table in
// simple wire types, and the server turns them into the table's own.
// [Columns] and [Scan] are the way back. One list of columns serves both, so
// that they cannot drift apart.
//
// # Guarantees
//
//   - A record that was inserted and scanned encodes to the same bytes.
//
// # Shapes and units
//
// A record's times are microseconds and its claims milliseconds; they are
// DateTime64(6) and DateTime64(3) in the table, converted by the server as
// integers, so that no date is out of range.
//
// # Errors
//
// Those of the driver. A string that is longer than its fixed column is one.
//
// # Concurrency
//
// Functions keep no state.
//
// # What it does not do
//
// It does not run queries: projector/audit writes, query/store reads. The
// sealed part is not in this table.
//
// # Sources
//
// schemas/clickhouse/0001_events.sql; events.Record.
package eventrow
