// Package crash runs a whole deployment as real processes, hurts them under
// load, and checks what is left.
//
// # What it is
//
// A [Site] is NATS, ClickHouse and each role of `rescind serve` in a process of
// its own, started again whenever it ends. They are built for the run without the
// race detector, the two servers as command server. A [Load] publishes through the SDK and
// the API and notes what was acknowledged. [Site.Harness] kills processes, or
// makes them stand still, as a [Plan] says; a [Wire] disturbs their connections. [Site.Verify] reads the log,
// the tables and the feed with code of its own (package checker) and fails the
// test for whatever is missing, there twice, changed or made up.
//
//	go test ./internal/crash -run TestKillEverything -v
//	RESCIND_CRASH_KILLS=1000 RESCIND_CRASH_SEED=7 go test ./internal/crash -run TestKillEverything -v -timeout 60m
//
// # Guarantees
//
//   - The tests of this package hold the deployment to: every acknowledged event
//     is in the log once and in ClickHouse once, nothing is there that nobody
//     published, the index has no hole, every root recomputes, batches agree,
//     every acknowledged revocation is enforced by a verifier that was there all
//     the time and by one that starts then, and no token is refused that nobody
//     revoked. That is so
//     · whatever is killed with SIGKILL, one or all at once, at any moment;
//     · when what writes stands still until another has taken over, and then goes on;
//     · when ClickHouse is killed between its deduplication log and the rename of
//     a part, in an insert into each of the tables;
//     · when connections are cut, half closed, slow or refused;
//     · when the disk of NATS or of ClickHouse is full for a while;
//     · on a copy of the disks, file by file or of one instant, and of that only
//     what was synced.
//   - A rebuild that is killed at any moment leaves the database that it was to
//     replace, or the new one, and ends well when it is run again; readers never
//     see fewer events than before.
//   - A log that is removed and made anew under the site stops every role, and
//     makes no revoked token active; an intake that is goes on with the new one.
//   - One seed, number of kills and number of processes give one sequence of
//     victims and pauses, each so many acknowledged events or so much time at
//     most. What the victims are doing when they are struck differs from run to
//     run: a seed that failed may pass.
//   - A failure reports the seed, every strike with the time and what was
//     acknowledged by then, why processes ended by themselves, the last lines of
//     each log, and the events in question.
//
// # Shapes and units
//
// The environment tells TestKillEverything RESCIND_CRASH_KILLS (at least so many
// processes are killed, default 200: a few minutes),
// RESCIND_CRASH_SEED (default: at random) and RESCIND_CRASH_COPIES (processes of
// intake, audit and revoke each, of which one works; default 2). A kill comes
// every 0.4 s on average, and every 0.6 s where nothing is acknowledged in
// between; one strike in ten is a stand-still of 2.5 to 5 s. Everything that is
// said to a server there is 10 ms on its way, so that most of the time something
// is under way.
//
// # What was found out
//
// A full disk under NATS: nobody is told that an event was stored that was not,
// but nats-server (2.15) takes no more writes to a stream whose file it could
// not write, also when there is room again. It must be started anew; then
// everything goes on by itself. Its /healthz says so meanwhile.
//
// A full disk under ClickHouse: inserts end with NOT_ENOUGH_SPACE before
// anything is written, the log goes on, and the projector catches up by itself.
// Not so where the limit is one of the process (RLIMIT_FSIZE): then libchdb
// 26.7 acknowledges inserts of which no byte was written, so that limit must
// not be set for it.
//
// Power loss: as JetStream syncs every write before it is acknowledged, and our
// tables sync parts, what is on the disk at one instant holds all that was
// acknowledged. Pages that were written and not synced are zeros in that copy. What
// stands behind it in a block, half a message, is cut off, and an index that is
// old or cut is made again from the blocks. A copy that is made file by file
// while everything runs is as good if it is made in the right order: ClickHouse
// and the feed before the log; of the intake what its consumers acknowledged
// before its messages, and both before the log; the keyring last. A consumer
// that is ahead of its stream takes what is published next for what it has had.
// In another order the copy of the tables may be ahead of that of the log, and
// the projector stops (ErrLogReplaced); or an event is gone from the copy of the
// intake before it is in that of the log.
//
// # What finds what
//
// sabotage_test.go has faults that are put into the code on purpose, each with
// the test that has to fail. They are run by hand, each in a build of its own:
//
//	RESCIND_CRASH_KILLS=60 go test -tags sabotage -run TestSabotage -v -timeout 60m ./internal/crash
//
// By TestKillEverything, in 60 kills:
//
//	publisher does not wait for the answer       an acknowledged event is not in the log
//	intake acknowledges what it takes            an acknowledged event is not in the log
//	append without an answer is taken for done   an acknowledged event is not in the log
//	a new writer does not remember the log       an event is in the log twice
//	batches are recorded before their records    rows of events are missing
//	inserts are not read back                    rows are there twice: the projector stops
//	inserts without their fence                  rows are there twice
//	the projector resumes one batch too late     the projector stops
//	the feed resumes one batch too late          an acknowledged revocation is not enforced
//	the feed skips what it had not published     a verifier that was there misses a revocation
//
// By TestStandsStill: append without the expected sequence (two writers make a
// log that contradicts itself, and its readers stop). By TestPowerLoss: JetStream
// answers before it syncs (the log is behind the tables, and the projector stops),
// and ClickHouse answers before it syncs a part (rows of events are missing).
//
// Two leave so short a time for harm that only a failure made on purpose finds
// it, in the tests of their packages: an acknowledgement right before its append
// (both leave in one write, and whoever takes over is given again what was not
// logged), and a fence that does not wait for inserts under way.
//
// With processes killed alone, none standing still, one audit and nothing under
// way, the first form of this harness missed acknowledging before appending,
// appending without the expected sequence, and not waiting for an append's answer; and a
// copy of files as they are in memory could not miss a sync.
//
// # Errors
//
// What goes wrong fails the test.
//
// # Concurrency
//
// A Site belongs to the goroutine of its test; its processes, and a Load, run
// beside it.
//
// # What it does not do
//
// Of what was not synced it loses the contents of files, not their names and
// lengths: for that it would need a file system of its own. It does not cut the
// power of a cluster. What is on the disk is told by Linux 6.5 and later; where
// TMPDIR is memory, /var/tmp has to be on a disk. Traces of
// system calls work on linux/amd64 only, pauses and limits of processes on
// Linux.
//
// To have something else look at a site as well, such as `rescind verify`, add
// a [Check] to those of [Site.Checks].
//
// # Sources
//
// jepsen.io, analyses of NATS 2.12.1; ClickHouse MergeTreeDeduplicationLog.cpp;
// ptrace(2), prlimit(2).
package crash
