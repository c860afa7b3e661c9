// Package erasure is the workflow of what data subjects ask for, and the
// worker that forgets those whose erasure was approved.
//
// # What it is
//
// A request is folded from the request.* events on the control lane of the
// log: nothing else knows its state, and every process that reads the log
// comes to the same one. [Workflow] adds to it by publishing events, and
// carries out approved erasures: revoke the subject's tokens, destroy their
// key and reference, state completion.
//
// # Guarantees
//
//   - A request, its subject and all that happens to them are in one shard's log,
//     that of the tenant: the order in it is all that counts.
//   - An event that a request's state does not allow changes nothing,
//     whoever published it: an identity that was not verified is never
//     approved, and of two decisions the first on the log stands.
//   - Who received or verified a request cannot approve it, in whatever case
//     their name is written.
//   - Tokens of the subject are revoked, and the revocation is on the log,
//     before their key is destroyed.
//   - Stopped at any step, the worker resumes and the request is completed
//     once. Two workers at once do no more than one.
//   - Nobody else can take the id of an event of the worker, and what is on
//     the log under it is looked at before it is believed.
//   - Outcomes are told apart: erased, already_erased (another request was
//     first) and no_match (nothing was known of the subject when the request
//     came; what the request itself said is destroyed all the same).
//   - What a method answers after it published is folded from the log with
//     that event in it; where the log took too long the error wraps
//     [ErrPending].
//
// # Shapes and units
//
// Times are UTC. [Due] is one calendar month after receipt, at the last day of
// a shorter month; 45 days under the CCPA.
//
// # Errors
//
// [ErrNotFound], [ErrFourEyes], [ErrPending] and [*StateError] are for
// callers to branch on; a *events.Refusal says which member of a request
// cannot be accepted. Everything else may be tried again. The worker tries
// again by itself, with back-off, for ever.
//
// # Concurrency
//
// Methods may be called from any goroutine. Run is called once.
//
// # What it does not do
//
// It carries out erasure only; access, portability, restriction and objection
// are recorded and their deadlines kept. It does not extend deadlines, know
// holds, or tell recipients. Deleting sealed bytes is left to their retention:
// this is erasure by destruction of the only key.
//
// # Sources
//
// GDPR articles 12(3) and 17; CCPA regulations § 7021; DESIGN, "Audit".
package erasure
