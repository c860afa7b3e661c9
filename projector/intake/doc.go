// Package intake is the one writer of the log: it takes what was published,
// decides what of it is a fact, takes the personal data out, and appends it.
//
// # What it is
//
// [Intake.Run] takes messages from a [Source], and for each event in them:
// opens what was encrypted to the intake, decodes and validates it; asks the [Keyring] for references and data keys;
// seals the personal part; turns a revocation into what verifiers compare;
// compares the event with what was logged before; asks the controls; and
// appends batches of records to the [Log]. Only then are the messages
// acknowledged. What cannot be accepted goes to the [Quarantine] first.
//
// Each lane has two goroutines, one that takes and decodes, with one chunk of
// messages in hand, and one that gets keys and seals, with up to three. One more, the writer,
// does for both lanes what needs the order of the log: comparing, controls, tree
// and append. So while one batch is being appended the next ones are prepared.
//
// Of several intakes one is elected to write. The others stand by: they fold
// what it appends into the state that a writer needs, with the code that a
// start uses. That state is the log's: where a writer stands is in the last
// batch, and what it remembers is read from the log's end.
//
// # Guarantees
//
//   - Nothing is lost: a message is acknowledged only when each of its events is
//     in the log, in quarantine, or was in the log before. Whatever stops the
//     writer, at whatever point, what was not acknowledged comes again.
//   - Nothing is logged twice: an event with the (tenant, source, id) of one
//     that was logged within the de-duplication window is dropped if it says the
//     same, and quarantined as a conflict if it does not.
//   - An append whose outcome is unknown is settled by reading the log: the same
//     bytes are there, or are appended again, or another writer was faster.
//   - Two writers never interleave: one of them is fenced, has written nothing
//     that is not whole and in its place, and stands by.
//   - What was prepared and not appended when a term ends is thrown away and
//     delivered again. A batch whose outcome is not known then is settled before
//     anything else, by whoever writes next.
//   - A standby takes over without reading the log again: it catches up.
//   - The log has one order: the first index of a batch is the last of the one
//     before plus one, its root is the Merkle root over every record up to its
//     last, and a writer never continues a log in which that does not hold
//     ([ErrCorrupt]).
//   - A record holds no personal value. The personal part is sealed under the
//     person's own data key, or the tenant's where no person is named; the
//     record has its SHA-256. Of a person who was erased neither part nor
//     reference is kept.
//   - A record that is appended can be read: it was decoded again before.
//   - One event's fault stops no other: not its neighbours in a message, not
//     when it makes our code panic, in a decoder, a step or a control. It is
//     quarantined as a defect, before the tree or the window has it. An event
//     that revokes is logged although a control failed on it, with a finding
//     that says so: a fault in a rule must not keep a revoked token good.
//   - What is inside an encrypted message is judged as though it had come in clear:
//     by the subject that it was published on, each event for itself. Personal
//     data that came in clear is refused, and nothing of it is kept, unless
//     Config.Plaintext; nor of what came in clear, is refused for something
//     else, and could not be read as far as to tell.
//   - A message whose key cannot be read is held, and opened when it can. Only one
//     whose key is surely not there is refused, and it is kept as it came; a key
//     that any process has made before the message was sent is found.
//   - A source of our own (events.OwnSources) is accepted from our own services
//     alone, as the subject tells them apart; that of findings from nobody.
//   - A refused event is kept as a fact, and its payload sealed, except where
//     the payload is the offence: then it is dropped. So is one that is larger
//     than the quarantine takes, and the fact says so; one whose subject names no
//     tenant, as there is no key to seal it under; and one on which our code fails
//     there too. The same bytes, refused again on the same subject for the same
//     reason, are one fact.
//   - The fact is in clear and holds nothing personal: of the event its id and
//     source, withheld where they may hold such, its type and subject, withheld where
//     the type is none of ours, and a detail that repeats nothing else of it
//     (events.Refusal).
//   - Control never waits for access but for the batch that is being appended
//     and the one that is being made. A lone event waits for nothing. Small
//     chunks of the access lane that follow each other are at most 50 ms apart.
//   - An event of access is logged behind every control event that was stored
//     before it, unless that takes longer than 250 ms on its way or is held.
//   - A finding is logged right behind the record that caused it, in the same
//     batch: there is never one without the other.
//   - A revocation outlives every token that it revokes, as long as tokens live
//     no longer than Config.MaxLifetime or say when they expire.
//   - Memory is bounded, whatever is published: the source's buffers (16 MiB
//     a lane), eight chunks a lane in hand and eight that wait for a batch (512
//     KiB of messages each, or one message of 1.4 MiB; decoded and sealed about
//     ten times that, and up to thirty times where somebody means it), one batch, the window (24 bytes an id and 5 to 10 for its
//     slots), and what the controls remember.
//   - What is to be logged does not wait for what is refused beside it.
//   - What is in hand when the context ends is finished and acknowledged, within
//     Config.Grace.
//
// # Shapes and units
//
// A batch has 1 to events.MaxBatchRecords records and about 900 kB (a larger
// single record passes). Header.Covered lists at most 256 ranges of intake
// sequences, the highest; a message that was dealt with and is in none of them
// is recognised by its events. Received is the intake's clock when the message
// was taken. An event's time is judged by that clock, or by when its message was
// stored where that is later.
//
// What a revocation carries: the hash under the tenant's current feed key, or where it
// has no end that is near under the standing one (seal.Tenant.FeedKeyFor); for
// subject, client, issuer and tenant a cut-off, which is issued_before or, where
// that is missing, the event's time or when it starts, whichever is later; for
// token, session, grant and key none, even where the event has issued_before, as an
// earlier publisher may say: whatever was issued is revoked, and a line of the log
// of this process tells of it; and when it may be forgotten: for a token
// at exp, for a session or grant at exp but not before MaxLifetime has passed,
// for a cut-off MaxLifetime after it, each plus Skew; for a key never, as
// whoever has a stolen key goes on signing with it. A lift carries the hash and
// reference that it names, and lasts as long as the revocation could: until the
// exp that it repeats, but not before MaxLifetime has passed, plus Skew; or, where
// it repeats none, for ever. That of a key repeats one in the name of our own
// services only.
//
// # Errors
//
// [Intake.Run] returns the context's error when it was told to stop,
// [ErrCorrupt] where the log contradicts itself, and stream.ErrLogReplaced where
// it was made again. Everything else is transient: it is tried again with
// back-off, and what it concerns waits in the intake stream, which answers a
// publisher with an error when it is full. Being fenced, or not being elected
// any more, is no error: the intake stands by.
//
// # Concurrency
//
// Run is called once at a time; [Intake.Stats] and [Intake.Ready] from any
// goroutine.
//
// # What it does not do
//
// It does not choose which of several instances writes: Config.Elect does, and
// all is safe without. It does not find a duplicate of an event that is not
// among the latest Config.DedupIDs, or that was logged longer than
// Config.DedupWindow before a start and is not among the latest 100,000: the
// audit side marks that. It does not authenticate
// publishers: the subjects that each may publish on do.
//
// # Sources
//
// CloudEvents 1.0.2; RFC 7516 (JWE, by events/envelope); RFC 6962 (tree); RFC 7519 (claims); the guarantees in the
// project's design.
package intake
