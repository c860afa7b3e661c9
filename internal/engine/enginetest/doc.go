// Package enginetest gives tests a real ClickHouse.
//
// # What it is
//
//	func TestMain(m *testing.M) { enginetest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		db := enginetest.Database(t) // db.Addr, db.User, db.Password, db.Database
//	}
//
// Database shares one engine among the tests of a process, started by the first
// that asks. Own starts one for a test that kills, pauses or configures it.
//
// # Guarantees
//
//   - Each Database is empty, belongs to one test, and is dropped at its end.
//   - Its account may do anything in it, read system tables, end queries and use
//     any table engine, and nothing to other tests' databases.
//   - No engine, or too many databases at once, fails the test; nothing skips.
//   - When Main or M.Run is done no process, goroutine or folder is left.
//
// # Shapes and units
//
// Up to 64 databases at a time in a process. The data is in a temporary folder.
//
// # Errors
//
// Everything that goes wrong is a Fatal or Error of the test that asked; an
// engine that does not stop fails the run.
//
// # Concurrency
//
// Parallel tests are what it is for.
//
// # What it does not do
//
// It does not restore what a test changes on the server as a whole. A test that
// checks for leaked goroutines itself calls Database first, and then
// goleak.IgnoreCurrent: the shared engine has some. For a check of the whole
// package there is goleak.VerifyTestMain(enginetest.M{M: m}).
//
// # Sources
//
// None beyond package engine.
package enginetest
