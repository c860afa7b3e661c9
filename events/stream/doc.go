// Package stream is Rescind on NATS JetStream: the streams and who reads and
// writes them. Issuers and verifiers import its [Publisher]; the projector and
// the API read and write through the rest.
//
// # What it is
//
// [Ensure] makes the streams. A [Publisher] puts events into the intake, an
// [Intake] takes them out, in two lanes. A [Log] is appended to by one
// writer and read in order by any number of [Reader]s. A [Quarantine] keeps
// refused events, a [KeyStore] the entries of the keyring, a [Held] what legal
// holds keep, an [Exports] what people asked for of theirs. [AcquireLock] and
// [Elect] let one instance do what two must not do at once.
//
// # Guarantees
//
//   - What is put into [Held] or [Exports] is durable on return and there once; of an
//     export, what was put last. Dropping one touches no other.
//   - What [Publisher.Publish] has returned nil for, and whatever else was
//     acknowledged, survives kill -9 of the server, and power loss where the
//     server syncs every write (internal/natsd does).
//   - A message is in the intake until it was acknowledged and every one before
//     it of its shard, and gone within a second after. One that stays
//     unacknowledged keeps only itself there: after IntakeConfig.HeldFor (10 s)
//     what was acknowledged behind it is removed one by one, and nothing else.
//     One on a subject that nobody foresaw is delivered as well, with a tenant
//     and type that no event on it agrees with.
//   - What [Backlog.Passed] says has passed is on the log or in quarantine, and
//     nobody can log it any more: what others have there delays it only where
//     the tenant has sent more since.
//   - Nothing accepted by the intake is lost where one of its consumers was
//     missing, or had other filters: Ensure makes it anew, and it is delivered
//     all that is there. A reader notices a stream that was made anew
//     ([ErrIntakeReplaced]).
//   - A consumer of the intake that is ahead of its stream when it is opened, or
//     connected again, as after a restored backup, skips nothing: it is set back to
//     the stream's start, and that is logged as an error.
//   - A full intake and a full log refuse; neither drops its oldest.
//   - Where there are several shards, a message is delivered to the reader of its
//     tenant's shard (events.ShardOf) and to no other, and waits for it while
//     the others go on. What names no tenant is the first shard's.
//   - The number of shards is fixed by the first Ensure. Another number changes
//     nothing and is refused with the reason ([ErrShards]).
//   - What arrives in one lane of an [Intake] never waits for the other. What a
//     reader that is gone, or a connection that broke, had taken and not
//     acknowledged is delivered again at once. An Intake whose stream was made
//     again ends: it never goes on with sequences that mean something else.
//   - A lock whose holder is gone is another's within its ttl and the second or
//     so that the server takes to notice. A holder that lives, but cannot renew
//     it, is told before that.
//   - A writer that expects another last sequence than there is writes nothing
//     ([ErrFenced]). [Log.Last] and [Log.Get] see every append that returned.
//   - Nobody can delete from the log or purge it, whatever their credentials:
//     only remove it whole, and a Reader notices ([ErrLogReplaced]). It also
//     notices a log that ends before a position that it was given, that has
//     lost its beginning, and, reading all lanes, one with a hole.
//   - A log that was removed and made anew between two starts is not the one
//     before it ([Anchor]), unless RESCIND_LOCKS was lost as well.
//   - A Reader yields messages in order and without a gap, over restarts of the
//     server and the loss of its consumer.
//   - What Intake, Reader and Publisher hold in memory is bounded in messages
//     and bytes. At its bound the Publisher makes its callers wait; where as much
//     has failed that no Flush has reported, Queue refuses.
//   - What a Publisher sends is encrypted to a key of the intake, as of when it
//     is sent: of what is personal in it nothing is on the disk of the server
//     that could be read or guessed at, while it waits and after. It takes the key
//     for the server's time, whatever its own clock says, and without a key it
//     sends nothing: it asks again, as it tries again after any failure, and what
//     it could not send is reported with its event ([ErrNoIntakeKey]).
//   - A Publisher sends an event again, under one message id, until it is
//     stored, refused or RetryFor is over; where its key has ended meanwhile,
//     encrypted anew; a message that was stored although
//     its acknowledgement was lost is not stored twice within two minutes.
//     Events of one tenant and type arrive in the order they were given in,
//     unless PublisherConfig.Abreast gives that up.
//   - What one Publish is given shares as few messages as it fits in.
//   - An event that the intake would refuse for what is in it does not leave the
//     process of the Publisher, nor one with a source of our own where it is not
//     a service of ours (PublisherConfig.Service).
//   - What a service of ours says in its own name arrives as such
//     (IntakeMessage.Service): its subject is one on which neither issuers nor
//     verifiers may publish ([ServiceSubject]).
//   - [KeyStore.Create] writes entries in their order, more than eight up to 998 at a
//     time all or none, fewer one after the other, and none once an entry is there
//     that they had to come before; [KeyStore.Replace] those that are as they were
//     read, all or none.
//   - [AwaitEviction] returns when every [Holder] that lives has dropped the key. One
//     that has lost its lock says so of itself before nobody waits for it, and drops
//     everybody's before it says that it is one again.
//     [KeyStore.Erase] has the value overwritten in the stream's files on the
//     server that answers. A fence reaches those who listen, without its value.
//   - [KeyStore.Get] sees every entry whose Create returned, and none whose
//     Erase did; an answer that is not whole is an error.
//   - [KeptVerifiers] is the last that each verifier said on [VerifierSubject], for
//     [VerifiersKept], whatever verifiers send: a message is bounded, and so is
//     the stream.
//   - [Quarantine.Put] of the same bytes, subject and reason is one entry,
//     however late and often. One that cannot be decoded is listed as a defect
//     and hides none of the others.
//
// # Shapes and units
//
// A Publisher sends CloudEvents in protobuf batches of one tenant and one type,
// encrypted as events/envelope does, on [EventSubject] or [ServiceSubject]; messages of the log are events.Batch in
// CBOR; an entry of the quarantine is JSON, the event in it as it arrived.
// Sequences are those of JetStream, from 1; 0 means none. All
// of it is in schemas/asyncapi.yaml, which a test holds to the constants here.
//
// # Errors
//
// [ErrNoIntakeKey], [ErrFenced], [ErrShards], [ErrNotFound], [ErrLogReplaced], [ErrIntakeReplaced] and [ErrClosed]
// say what a caller branches on, seal.ErrExists what the keyring does. After any other error of a write its outcome is unknown. A
// [*NotAccepted] lists events with a reason each.
//
// # Concurrency
//
// Publisher, Log, Quarantine and KeyStore may be used from any goroutine; Next
// of a Reader and of a lane of an Intake by one at a time. Intake, Reader and Publisher
// run goroutines of their own until they are closed; Close waits for them.
//
// # What it does not do
//
// A Publisher that starts while no projector runs has no key to encrypt to, and
// waits for one (RetryFor); one that has asked before goes on for half a day.
// It does not decode, open or judge messages. A message that was encrypted and is
// stored later than the grace of its key (projector/intakekey), as one of a process that was
// stopped between the two, is acknowledged and cannot be opened: the intake
// refuses it. It delivers at least once: whoever
// reads the intake must know what it has dealt with. It cannot see
// that a consumer was ahead of its stream once the stream has grown past it:
// after restoring one, open the intake before publishers come back. No other
// reader has a consumer that lasts: they know where they are, and ask from
// there. It does not elect a writer; ErrFenced tells the loser. It delivers no more of a lane of the intake
// while 20,000 messages of it are held. A lane of the log read by itself is not
// checked for holes. On a replicated keyring what was erased stays in the Raft
// log of each server until its next snapshot, and with JetStream's own
// encryption erasing is a plain delete: values are ciphertext for that reason.
// A type that the credentials do not permit is known as such only after the
// request for it has had no answer for a second.
//
// # Sources
//
// NATS JetStream: ADR-8, ADR-22 (message ids), ADR-28 (republish), ADR-31
// (direct get), ADR-43 (message TTL), ADR-50 (atomic batch). CloudEvents 1.0.2
// and its NATS binding.
package stream
