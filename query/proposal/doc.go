// Package proposal is how a second person has a say in a wide revocation, and in
// its lift: it is proposed, approved by somebody else, and made once.
//
// # What it is
//
// A proposal is folded from the events revocation.proposed, revocation.approved
// and revocation.denied on the control lane, and from the revocation that used
// it. [Book] is the fold: every process that reads the log comes to the same
// state.
//
// # Guarantees
//
//   - Who proposed cannot approve, in whatever case their name is written,
//     whoever published the event.
//   - A proposal carries everything that its revocation would do and say, in
//     [Terms] and its sealed note.
//   - An approval is for one body: it names the digest that the proposal named,
//     and [Proposal.Permits] compares it with that of what is to be done.
//   - A proposal that was not approved, and an approval that was not used,
//     within Config.TTL has expired. Both times are the intake's.
//   - An approval is used once: the revocation has the id of the proposal, and
//     of two events with one id the log takes one. One of a lift permits no
//     revocation, and the reverse.
//   - Of two decisions the first on the log stands; a denial takes back an
//     approval that was not used.
//   - Only what our own services published counts.
//   - Memory is bounded by Config.Keep: the oldest proposals are forgotten.
//
// # Shapes and units
//
// Attributes of the events: proposal (its id) and body (a keyed digest of the
// revocation's tenant, terms and note, 32 hex digits). Of revocation.proposed
// also scope; lifts, where it is the lift of a revocation with that id; issued_before, starts and not_after in ms, where they are said;
// tokens and reach, where they were known. Its other terms are the members iss,
// client_id, kid, exp, reason and ticket, and the note is in the sealed part. A
// revocation that used a proposal has the attribute proposal.
//
// # Errors
//
// [ErrNotFound], [ErrFourEyes], [ErrBody] and [*StateError].
//
// # Concurrency
//
// A Book may be used from any goroutine.
//
// # What it does not do
//
// It publishes nothing and counts nothing, and does not say when a second person
// is needed: package query does.
//
// # Sources
//
// PCI DSS 7.2, SOC 2 CC6.3 (segregation of duties); docs/adr/0015.
package proposal
