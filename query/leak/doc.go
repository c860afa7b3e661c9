// Package leak finds tokens that were accepted although they were revoked.
//
// # What it is
//
// A revocation, the log's order, and a token.verified that says success:
// [Revoked.Judge] says whether the one should have kept the other from
// happening, and how grave it is that it did not. A [Worker] looks at each
// token.verified once, in the order of the log, and opens a finding for those
// that may not be passed over.
//
// # Guarantees
//
//   - What is a leak depends on the log alone. It is one where the verifier's
//     position says that it had applied the revocation and not its lift
//     ([Ignored]), whatever clocks say; else where it was accepted at or after
//     the time at which the intake received the revocation, and before its
//     lift: [Late] beyond the bound, [Within] it. Accepted is when the verifier
//     says, or when the intake received the event where that is earlier.
//   - A token matches as in the set: by reference of token, session, grant or
//     subject, by client, key, issuer or tenant; with iat at or before the
//     cut-off in whole seconds, or none. Whether it had expired does not
//     matter: it was accepted.
//   - Whatever arrives late is looked at: a leak stands behind its revocation
//     in the log, and the worker goes through the log, not through revocations.
//   - A finding is opened for each token.verified that is ignored or late,
//     once, whatever is killed or repeated and however many workers there are:
//     its id is made of the event. It names the first revocation that was not
//     heeded.
//   - Of one revocation and one verifier at most [Config.PerVerifier] are opened
//     in a term, about; then one finding says that there are more.
//   - What a worker reads at once and publishes at once is bounded, however
//     much a revocation reaches.
//   - A window in which nothing was accepted, or all of it when every revocation
//     was over by its verifiers' clocks, costs a [Glance] at it and no more; none
//     of those hides a leak.
//
// # Shapes and units
//
// Times are µs of records. Findings have the controls revocation-ignored
// (critical) and revocation-leak (high), and the attributes finding, control,
// severity, title, clauses, revocation (its id), revocation_position, event
// (reference), position, verifier, after_ms, bound_ms, and view where the
// verifier says one.
//
// # Errors
//
// What fails is logged and tried again, for ever.
//
// # Concurrency
//
// Run is called once. Several processes elect by [Config.Lock].
//
// # What it does not do
//
// It cannot see a token that nobody reported, and a verifier whose clock is
// behind and that says no position hides as much as its clock is behind. Of a
// person who was forgotten before they were revoked nothing leads to their
// tokens any more; of one who was forgotten after, as an erasure does, the
// tokens that the log names are known by their own reference. It judges by the
// audit store, so it is as late as that.
//
// # Sources
//
// DESIGN, "Verifier"; package revocation for what matches.
package leak
