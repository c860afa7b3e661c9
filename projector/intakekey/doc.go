// Package intakekey keeps the keys that publishers encrypt to: it makes one a
// day, gives the public halves to whoever asks, and destroys each when nothing
// can need it any more.
//
// # What it is
//
// Every process that runs intakes runs a [Keeper]. The keys are in the keyring,
// so all keepers and all intakes have the same ones. The days begin at the same
// moments for all: the time since 1970 is cut into pieces of Config.Period, and
// a key is for one of them. It takes messages from Config.Overlap before its
// piece until its end, and is there Config.Ahead earlier. Time is that of the
// NATS server, which stamps the messages too.
//
// # Guarantees
//
//   - While a keeper runs, there is always a key that takes messages, and it is
//     published at least Config.Ahead before the one before it ends: a publisher
//     that has asked once can go on for that long without a keeper.
//   - Keepers that make a key at once make one. A keeper that is killed at any
//     point leaves nothing half: what was given to a publisher is in the keyring.
//   - A key is destroyed only once Config.Grace has passed since its end, and no
//     message is in the intake stream that was stored before that: whether it
//     waits, is in hand, is held or is delivered again.
//   - It is destroyed then, without anybody's doing, and its bytes are overwritten
//     on the disk: what was encrypted to it opens nowhere.
//   - A stream of the intake that was made anew, or a keeper that is new, makes a
//     key live longer, never shorter. No clock of a keeper or a publisher makes
//     one end early.
//   - Requests are answered by whichever keeper is asked, with the keys that have
//     not ended and the server's time.
//
// # Shapes and units
//
// The answer to a request on stream.IntakeKeysSubject is an envelope.Set in
// JSON.
//
// # Errors
//
// [Keeper.Run] returns the context's error. What fails is logged and tried again
// after Config.Every; a request that cannot be answered is not, and the publisher
// asks again.
//
// # Concurrency
//
// Run is called once. [Keeper.Ready] and [Keeper.Status] may be called from any
// goroutine.
//
// # What it does not do
//
// It does not open messages: projector/intake does. It does not shorten the life
// of a key that leaked: make Config.Period smaller for that, or destroy it by
// hand. While a message is held for longer than a day its key lives on, and
// everything else that was encrypted to it can be opened by whoever has the
// keyring and its key-encryption key: [Status.Overdue] counts such keys. A
// message that is stored later than Config.Grace after its key's end is refused
// by the intake (intake_key).
//
// # Sources
//
// NIST SP 800-57 part 1, 5.3 (cryptoperiods); RFC 7517 (JWK sets); the design's
// intake.
package intakekey
