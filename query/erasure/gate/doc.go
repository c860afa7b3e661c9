// Package gate is the restore gate: before anything is served it compares what is
// there with what was erased, and destroys again what a backup has brought back.
//
// # What it is
//
// [Pass] reads the erasure ledger (package ledger), which no backup of the data
// brings back, and the control lane of every log. It is called on start, by each
// process that opens personal data, before it does.
//
// # Guarantees
//
//   - Once Pass has returned nil, no key opens anything of a person who was erased,
//     as the ledger or a log says: neither where the keyring was restored, nor where
//     everything was, log and all. Somebody who was renewed keeps their new key.
//   - Where a hold may keep a part of a person, their key is fenced and not
//     destroyed: nothing of theirs opens but what holds keep.
//   - The key of a hold that was released, and is back, is destroyed.
//   - What was exported of somebody who was erased, and is there, is removed from the
//     exports that this process serves, whether their key is back or not. Others' stay.
//   - Where a log ends before what was erased, the revocations of those erasures
//     are published again until their tokens have expired.
//   - What came back is recorded before it is destroyed: findings for each tenant,
//     request.reapplied for each person, which names the request that erased them
//     first, when, and the mark of the key. Killed in between, it is recorded twice.
//   - So is each request that a restored log does not say to be answered, of somebody
//     who is in the ledger, whether their key is back or gone. One that was denied,
//     cancelled, or joined another that was carried out is answered.
//   - What a log says was erased, and the ledger does not, is written into the
//     ledger: one that was lost is made anew.
//   - An error means that nothing may be served: a ledger that was changed, a
//     keyring or log that cannot be reached, a key that cannot be destroyed.
//   - Memory does not grow with what was ever erased, but with what is back, and with
//     whose exports are there.
//
// # Shapes and units
//
// A pass reads each line of the ledger once, asks the keyring for a thousand
// references in a request, and reads what is on the control lanes since the pass
// before. Figures are in docs/benchmarks.md.
//
// # Errors
//
// They say what to do where somebody has to. ledger.ErrTampered is wrapped.
//
// # Concurrency
//
// Passes of several processes exclude each other where Config.Lock does.
//
// # What it does not do
//
// It does not set the fence of somebody of whom the restored keyring holds
// nothing: nothing leads to who they are, and they are taken for somebody new.
// It does not bring back other revocations that a restored log has lost. It cannot
// look into a keyring that is restored while processes run: stop all of them first.
// Where ledger and log are both from before an erasure, nobody knows of it.
//
// # Sources
//
// EDPB, coordinated enforcement action 2025 on erasure (backups); docs/adr/0026.
package gate
