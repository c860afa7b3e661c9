// Package bench measures Rescind against floors on the same machine in the
// same run: what `rescind bench` prints.
//
// # What it is
//
// [Ingest], [Revoke] and [Forget] run a real stack in a temporary folder, measure it, and
// measure beside it the least that the same bytes could cost: a bare JetStream
// publish and consume, a bare insert of the same columns, a bare RePublish hop.
// Events are those of internal/workload.
//
// # Guarantees
//
//   - Figure and floor come from the same run, alternating, on the same
//     engine, and on NATS servers that sync alike.
//   - Floors send the bytes that the SDK sends, captured from the SDK, in
//     batches that are full.
//   - Every rate counts only what was read back afterwards: each event has one
//     row.
//   - Latencies under load are those of a load that comes when it is due: a
//     slow answer does not make the next event wait for its turn.
//   - Memory is that of a process that runs intake, audit and revoke, and
//     nothing else.
//   - A run of any length holds the same number of events in memory.
//
// # Shapes and units
//
// A [Result] has a median, the least and the greatest of n runs (for
// latencies and memory: of n events or looks), and the ratio to its floor. For
// a rate the ratio is value/floor: 1 is as fast as the floor. For a time too: 1
// is as fast, 2 takes twice as long. Rates are events/s, times ms, memory MiB,
// sizes bytes for each event that was published.
//
//   - batch, growth, memory: from the first Queue of the SDK, in batches of 500,
//     until ClickHouse answers with every row.
//     Batch tells people what processor time this process had for an event, user and system:
//     with --apart that is without intake and audit.
//     The ratio of growth is the median of the last quarter of the parts to that
//     of the first.
//   - batch/clickhouse: user and system time of ClickHouse's process for an event
//     of batch, until the merges that followed have ended. It says more than a
//     rate where other work shares the machine. The bare pipe's is beside it.
//   - single, concurrent: from the first Publish until the last is acknowledged,
//     while the projector works on what is there already. A hundred goroutines
//     share one publisher and one connection, in the floor a connection.
//   - lone: from the acknowledgement until a query finds the row, its own time
//     included. It is asked every 5 ms, and not before the least time that a floor
//     took: a question costs what an insert needs, and a floor is not asked meanwhile.
//   - latency: one event of 200 is followed. Its row counts as there when
//     ClickHouse's own record of its position has passed it, which is looked at
//     every 20 ms; after the run its index is looked up. from_ack counts from
//     its acknowledgement, from_due from when it should have been published.
//   - propagate: one revocation at a time, of a verifier that is asked whenever it
//     tells its listeners. from_ack counts from the acknowledgement until it refuses, and
//     is below 0 where the publisher learns of it later than that; position
//     until the position of its view has moved, asked every 50 µs from then on.
//   - fanout: the same of many verifiers, each with a connection, while events
//     come at a rate; the rate is what there was. One goroutine asks them all, so
//     a figure includes its round. The worst verifier is the one with the
//     greatest p99.
//   - bulk: from the first Queue of the SDK until the verifier refuses every one.
//   - set: memory is the growth of the heap. Lookups are of tokens all over the
//     set and of others; decisions are about tokens that are not revoked and name
//     everything that a scope is made of.
//   - readers: the 99.9th percentile of single decisions, the clock's reading
//     included, while 50,000 revocations a second are applied and while none are,
//     alternating.
//   - cold: from starting a feed without a folder until it decides, with one
//     snapshot on a real server.
//   - forget: from sending the approval of a person's erasure. unreadable until the
//     API answers, to somebody who may open it and asks again and again, that an
//     event of theirs is erased; completed until the request is. The floor is the same
//     of a person with the least events. All of their events have rows before.
//   - keyring: people are met a thousand at a time. disk is what the files of NATS
//     have grown by, memory_nats the heap of this process, which NATS is in,
//     memory_cached that of a keyring that has everybody's key at hand.
//   - sealing: personal parts of events of the workload, one at a time, of people
//     whose ciphers are ready, beside AES-256-GCM of the same bytes in turns. Value
//     is the round in the middle, the greatest the one disturbed least.
//   - dictionary: the whole folder of a stack, its keys and ClickHouse's columns
//     decompressed among it; what internal/canary tries of each candidate. It fails where
//     a person is found, and where a digest that was put there is not.
//   - memory: RSS of the process every 250 ms; the slope is that of the second
//     half. The heap is what the collector found in use at its start.
//   - stored: bytes on disk after OPTIMIZE FINAL, with projections, indices and
//     marks. What is not about published events (findings, batches) is divided
//     among them.
//
// # Errors
//
// A run that loses an event, or has one twice, is an error, not a slow figure.
//
// # Concurrency
//
// One benchmark at a time: they would measure each other.
//
// # What it does not do
//
// It sets no targets, and it is no capacity test: machines differ, so compare
// ratios. The floor of batch is measured with 100,000 events at most: it keeps
// no state. The first run meets more people for the first time than the others.
// Memory needs Linux, and so does batch/clickhouse, which is 0 elsewhere.
//
// # Sources
//
// docs/benchmarks.md. Tene, "How NOT to Measure Latency" (coordinated omission).
package bench
