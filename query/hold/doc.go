// Package hold folds legal holds from the control lane: what must be kept
// although somebody asks for it to be forgotten.
//
// # What it is
//
// A hold names what it keeps, by subject, session, client, time range and type
// of event, in any combination; the article that it rests on, its owner, and the
// day on which somebody has to look whether it is still needed. A [Book] knows
// every hold that was placed and released.
//
// # Guarantees
//
//   - Holds are a fold of the log: the same in every process, whatever is
//     replayed. Events of another source than [Source] change nothing.
//   - A hold keeps only what matches everything that it names, and it names
//     something: there is none of everything.
//   - A hold whose subject had been forgotten before keeps nothing, and is not
//     taken for one of everybody.
//   - Who placed a hold cannot release it, in whatever case their name is
//     written; what was released stays so.
//   - What is asked before an event is published is what the fold says of it. A review
//     whose day is over is refused then, and no sooner: a hold that is on the log with
//     one lasts, and is overdue.
//   - A hold whose review is overdue is found once.
//
// # Shapes and units
//
// From and To are times of publishers, as in a search; a day of review ends at
// midnight UTC.
//
// # Errors
//
// [ErrNotFound], [ErrFourEyes], [ErrReleased] and [*MemberError] are for callers
// to branch on.
//
// # Concurrency
//
// A Book is guarded by its owner; package erasure owns it.
//
// # What it does not do
//
// It does not keep anything itself: package erasure does before it destroys a
// key. It does not say whether a hold is lawful.
//
// # Sources
//
// GDPR article 17(3)(b) and (e), and article 18(1)(c); docs/adr/0022.
package hold
