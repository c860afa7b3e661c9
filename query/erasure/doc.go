// Package erasure is the workflow of what data subjects ask for, and the
// worker that carries out what was approved.
//
// # What it is
//
// A request is folded from the request.* events on the control lane of the
// log: nothing else knows its state, and every process that reads the log
// comes to the same one. [Workflow] adds to it by publishing events, and
// carries out what was approved: of an erasure, revoke the subject's tokens,
// keep what a legal hold matches, prepare notices to recipients, destroy their
// key and reference, state that, tell the recipients, and completion with a
// signed receipt; of access and portability, have an export made ([Exports]). It
// folds legal holds (package hold) beside them, and opens
// findings about requests and holds that somebody has to look at.
//
// # Guarantees
//
//   - A request, its subject and all that happens to them are in one shard's log,
//     that of the tenant: the order in it is all that counts.
//   - An event that a request's state does not allow changes nothing,
//     whoever published it: an identity that was not verified is never
//     approved, and of two decisions the first on the log stands. Events of
//     another source than [Source] change nothing at all.
//   - What is asked before an event is published is what the fold says of it.
//     Every step says who, when, and why.
//   - Who received, joined or verified a request cannot approve it, in whatever
//     case their name is written.
//   - A denial names one of [DenialReasons].
//   - Where the same subject asks for the same under the same regulation while
//     that is open, the second joins the first, and brings it no step further.
//   - A deadline is stated when a request is received, by the rules of that day. It
//     moves by an extension: once, with a reason, of which the subject
//     was told, told and recorded within the first period. And while a request is not
//     carried out, by who joins it with an ask that had reached the controller before: it runs
//     from there.
//   - A request that is due within [SoonDays], late, or whose receipt was not
//     confirmed in time, and a hold whose review is overdue, is found: once for
//     each deadline, however many processes look and start. What was found of a
//     request is closed, once, when it is answered, extended or confirmed.
//   - From its approval until it is lifted, a restriction or objection is named
//     by [Workflow.Restrictions], which has seen all that was on the log.
//   - Tokens of the subject are revoked, and the revocation is on the log,
//     before their key is destroyed.
//   - What a hold matches of a subject opens, at every moment of their erasure,
//     until the last hold that keeps it is released; nothing else of theirs does. A hold that is on the log before
//     the key goes is heeded, also one that is placed while an erasure is
//     carried out. A hold that is placed later keeps what others still keep; one that
//     names somebody whose key goes is refused.
//     What an intake had sealed before the fence is kept too, however late it
//     logs it.
//   - A request that a hold keeps from being complete is partial and says by
//     what; released, it is completed by itself. Where a hold cannot be heeded,
//     nothing is destroyed and the worker tries again.
//   - An erasure that needs the archive waits until it has what was on the log when that was
//     first tried, however far behind it always is; others wait for it some seconds a round.
//   - With a registry, each recipient of what was disclosed of a person is on the
//     log, and a notice to them is prepared, before the key goes; the key stays
//     while it is not known who they are. None is sent before the key is gone.
//   - An erasure is complete when each of them has answered, with 2xx or with a
//     refusal that says it is one, or a person has said how they were told or why
//     not: until then it is partial and names them. Each is settled once.
//   - A notice is sent at least once: the same message, under one id. A recipient
//     that does not answer is tried again with back-off, whoever goes on; no erasure
//     and no other recipient waits for them. Up to 64 are told at once, half of them such
//     of whom the last attempt failed; each of one thing after the other, the oldest
//     request first. Nothing is remembered of what was settled. A process that has lost
//     Notifying.Lock or Telling.Lock sends no more.
//   - When all are settled no byte of ours opens to a notice. Before that nobody
//     but its recipient can read it.
//   - What was destroyed is in the erasure ledger before the request is said to be
//     carried out, and keys of callbacks and notices before the log says the last of them.
//   - However many requests wait, some of them are carried out at a time, those of
//     one person in their order.
//   - Stopped at any step, the worker resumes and the request is completed
//     once. Two workers at once do no more than one.
//   - An access or portability is completed once its export can be fetched, and
//     with one export. An erasure does not wait for it, and ends those of its
//     person; who was forgotten before theirs is made has none.
//   - An erasure that was carried out, in part or whole, has a receipt on the log. It
//     follows from what is there before it: whoever signs it, signs the same bytes.
//     Nothing in it leads to the subject but a commitment, whose salt Receive
//     returns and the log keeps only sealed.
//   - What the receipt names of the key is on the log before the key goes.
//   - The receipt of an erasure that the restore gate had found undone says so, and
//     when the key was destroyed first; no other does.
//   - Nobody else can take the id of an event of the worker, and what is on
//     the log under it is looked at before it is believed.
//   - A request that was sent from elsewhere under an id of its sender's is one request,
//     in every process and after an erasure too; what says something else under that id
//     is refused. Several who ask for the same are joined, each takes back their own, and
//     the last one cancels it.
//   - Whoever asked to be told is told of every step to another state or deadline, once
//     it is on the log and in order: at least once, or until the next step or for
//     Telling.For where they do not answer. Where they are told is sealed under a key of
//     its own, which is destroyed before the last of it is on the log, and when the
//     person is erased by another request.
//   - What can be asked to be told is bounded: [MaxCallbacks] URLs, [MaxAsks] asks of one
//     request, and nothing that package callback would not call.
//   - Outcomes are told apart: exported, erased, already_erased (another request was
//     first) and no_match (nothing was known of the subject when the request
//     came; what the request itself said is destroyed all the same).
//   - A renewal that was stopped between the new key and its event is completed by the
//     next one of the same person on the same basis, and is one. Nobody waits for one that
//     was stopped before the key: it has no deadline, and is counted apart from requests.
//   - Who was forgotten is known again only after [Workflow.Renew], which is on
//     the log with who, why and on what basis, before and after; under a new
//     reference, and what was erased stays so.
//   - What a method answers after it published is folded from the log with
//     that event in it; where the log took too long the error wraps
//     [ErrPending].
//
// # Shapes and units
//
// Times are UTC, but for deadlines, which are in the zone of the controller.
// Package deadline says how they are counted. A request that was answered is
// not late any more: denied, cancelled, carried out, or carried out but for what
// a hold keeps.
//
// # Errors
//
// [ErrNotFound], [ErrFourEyes], [ErrTooLate], [ErrPending], [ErrTaken], [ErrManyAsks], [ErrNoReceipt],
// [*EarlyError], [*StateError] and [*MemberError] are for callers to branch on, and those of package hold; a
// *events.Refusal says which member of a request cannot be accepted. Everything
// else may be tried again. The worker tries again by itself, with back-off, for
// ever.
//
// # Concurrency
//
// Methods may be called from any goroutine. Run is called once.
//
// # What it does not do
//
// Without [Config.Exports] it does not carry out access and portability, which are
// recorded and their deadlines kept. It tells recipients of erasures alone, and does not know whom
// somebody told by other ways than tokens and exports. A hold that names nobody, but a
// client or a time, can be placed while a person's key goes: it keeps what else it matches, and nothing of theirs;
// so does one by subject that an intake had taken before the fence and logs after the key has gone. Deleting sealed bytes is left to their
// retention: this is erasure by destruction of the only key.
//
// # Sources
//
// GDPR articles 12, 17, 18 and 21; CCPA regulations § 7021; Data Rights Protocol
// 1.0 (reasons of denials); DESIGN, "Audit"; article 19; docs/adr/0022, 0023,
// 0024 and 0026.
package erasure
