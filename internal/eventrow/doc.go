// Package eventrow is the one place where a record becomes a row of the
// ClickHouse table events and a row becomes a record again.
//
// # What it is
//
// [Insert] and [Block] are the way in: rows travel as an external table whose
// columns have the types of the table, dictionaries included, so that the
// server converts nothing. [Columns] and [Scan] are the way back. One list of
// columns serves both, so that they cannot drift apart.
//
// # Guarantees
//
//   - A record that was inserted and scanned encodes to the same bytes.
//
// # Shapes and units
//
// A record's times are microseconds and its claims milliseconds; they are
// DateTime64(6) and DateTime64(3) in the table, written and read as integers,
// so that no date is out of range.
//
// # Errors
//
// Those of the driver.
//
// # Concurrency
//
// Functions keep no state. A block is sent by one goroutine, and its rows must
// not change before it was.
//
// # What it does not do
//
// It does not run queries: projector/audit writes, query/store reads. The
// sealed part is not in this table.
//
// # Sources
//
// schemas/clickhouse/0001_events.sql; events.Record; ClickHouse's native format,
// SerializationLowCardinality.cpp and SerializationMap.cpp.
package eventrow
