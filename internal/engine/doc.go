// Package engine finds, installs, starts and stops a real ClickHouse for
// `rescind dev`, `rescind demo` and tests.
//
// # What it is
//
// An engine is either a clickhouse executable, run as `clickhouse server`, or
// libchdb: the whole of ClickHouse as a shared library, from an ordinary npm
// package. The library runs in a child process, which is this executable
// started again (MainIfChild), so that a crash or kill -9 of ClickHouse does not
// take us with it, and can be tested.
//
// Start looks in this order: clickhouse on PATH (25.8 or later), the file named
// by RESCIND_LIBCHDB, the user's cache folder, /usr/local/lib/libchdb.so; and
// then installs with npm. A server that runs already is none of its business:
// that is what `rescind serve` works with.
//
// # Guarantees
//
//   - Start returns when the server answers on both ports. With an installed
//     library that is well under two seconds, 0.1 to 0.2 as a rule.
//   - What was acknowledged survives Kill and a new start on the same folder.
//     (Not power loss: ClickHouse leaves syncing to the operating system.)
//   - The child ends when this process ends, however that happens: on Linux the
//     kernel kills it, elsewhere its stdin closes and it ends in good order.
//   - With Config.Restart it comes back by itself on the same ports; Died
//     reports each time.
//   - Nobody can log in as "default", over any port; every other account has a
//     password and its grants only. A user without grants may do nothing.
//   - A wrong password, garbage or an aborted connection does not end the server.
//   - No password is on a command line, in an environment or in a file: users.xml
//     holds SHA-256 sums, and it and its folder are readable by the owner alone.
//   - One engine a folder; several engines at once.
//   - An install is whole or not there; processes that need one at the same time
//     install once. Where the package is pinned nothing else is accepted. A
//     damaged library is noticed by size or hash, and replaced, not loaded.
//   - With Config.Nice it stands back, on Linux, for whatever else wants the
//     cores: every thread of it, and its session.
//   - async_insert is 0 in every profile, unless a user's Settings say otherwise.
//
// # Shapes and units
//
// Both listeners are on 127.0.0.1. Dir holds config.xml, users.xml, start.sql,
// data/, tmp/, files/ (what the file() function sees of a server), engine.lock
// and log/engine.log, at most 16 MB in two files. Caches and pools are set for a
// laptop with two cores: 2 GiB for queries unless Config.MaxMemory says
// otherwise, 64 MiB of marks, two merge threads; about 230 MB resident when
// idle. There are no system log tables (query_log and its kin): they grow
// without bound, and what they tell is in the log file. The time zone is UTC.
// The server asks for every grant a strict one asks for; creating a table takes
// TABLE ENGINE as well.
//
// Accounts are fixed at Start. CREATE USER works on no engine of ours: the
// library has no writable user directory, so the server gets none either.
//
// The cache is os.UserCacheDir()/rescind/engine/<version>: libchdb.so (566 MB)
// and libchdb.so.stamp.json, {size, sha256, mtime_ns}. Hashing takes half a
// second, so a file that matches its stamp in size and time is not hashed again.
//
// # Errors
//
// ErrNotFound is in the error when there is no engine and none could be
// installed; its text names the three ways to get one. A start that fails quotes
// the last lines of the child's stderr and of the log. A taken port, a folder
// in use and a wrong Config (all faults at once) say so.
//
// # Concurrency
//
// All methods may be called from any goroutine. One goroutine a child waits for
// it, on a thread of its own; one supervises. Both have ended when Stop returns.
//
// # What it does not do
//
// No replication, Keeper or interserver port: two engines make two shards. No
// TLS. No backup disk. It is not for production, where ClickHouse is somebody's
// server.
//
// It does not run on Windows. On macOS a `clickhouse server` outlives us when we
// are killed; the library does not.
//
// A binary that can load a library is linked against the system's glibc, even
// without cgo, and starts neither in an empty container nor on musl. Build with
// -tags nolibchdb for a static one; it still runs `clickhouse server`.
//
// # Sources
//
// ClickHouse's programs/local/LocalServer.cpp and programs/server/Server.cpp,
// and the same files of chdb-io/chdb-core, release 26.7; prctl(2) on
// PR_SET_PDEATHSIG, whose parent is a thread; Subresource Integrity, section
// 3.5, for npm's integrity strings.
package engine
