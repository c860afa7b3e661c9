// Package query answers the routes of schemas/openapi.yaml: publishing and
// revoking, checking, reading what happened, and the requests of data
// subjects.
//
// # What it is
//
// The specification comes first: types and routes are generated from it, and
// what the tests send and receive is held to it. A [Server] is a handler over
// small interfaces that it declares; the stores, the stream and the keyring
// behind them are put in by the caller. [Mint] and [Roles] make access tokens
// for rescind dev and rescind token.
//
// # Guarantees
//
//   - Every route needs an access token with a scope that the specification names
//     at the route, but those that it says need none: health and readiness, public
//     keys (the JWK set, those of the intake, of receipts and of callbacks, and OpenDSR's
//     certificate and discovery), and an export, whose link is the permission.
//   - A caller gets the feed keys of the tenants in its token and no others. A
//     stream lasts as long as its token, whatever bounds other requests.
//   - A token is accepted only where signature, algorithm, type, issuer,
//     audience and times are right; the algorithm is the one of the key, never
//     the one of the token.
//   - A caller reads and writes only the tenants in its token. One that it names
//     and does not reach is 403; what an id leads to of another tenant's is answered
//     as what is not there.
//   - Each event of a message is judged for itself. One that is counted as
//     accepted is durable; one that is refused is in the quarantine: only the
//     fact where its payload is itself the offence, or its tenant has no key.
//   - Personal data is opened only with the scope for it and a purpose, after
//     the record of the access is durable; where that fails, nothing is opened.
//   - What a subject has had restricted is opened only under a stated exception,
//     which is recorded before. What a hold keeps says which.
//   - Revoking, lifting and checking do not wait for the audit store.
//   - With Prefer: wait=N a revocation is durable before its answer waits for
//     anybody, and goes its way when the caller hangs up. The answer is 200 only
//     where every fresh verifier has applied it, or none is registered. It waits for
//     verifiers within N seconds of its being durable, for the log so long or
//     Config.WaitFor, whichever is longer, and comes with what was known then;
//     what is not on the log by then is not said to be enforced.
//   - A body that was cut off, is over 1 MiB, or holds a member that is not
//     known or is there twice is not acted on. Of a bulk request that holds for
//     each line.
//   - A line of a bulk job revokes once, however often it is sent: its event's id
//     follows from the job, its number and what it says, and tells none of that
//     to who does not know the job's UUID. What a job says is its next line, all
//     before it are durable, repeated or refused, here or in another process before
//     this one: it is folded from the log. Few batches of lines are in memory.
//   - A job that is used again for other lines is told so, where those before were
//     read here, and revokes nothing; elsewhere each line revokes what it says.
//     None is counted as accepted for the line that had its number before.
//   - Any revocation of a job is shown and lifted by its id, however many there are:
//     also the last of a million. Any other is by its id and source, or its id and
//     position, whatever the id looks like and whoever else used it.
//   - A line that repeats another one of its batch of 1,000 is no second revocation.
//   - A bulk job is at most some 20,000 lines ahead of the log while that moves on:
//     it does not fill the intake, and nobody's revocation waits behind all of it.
//   - A job says at how many verifiers the last of its revocations on the log, and
//     so each before it, is enforced.
//   - One caller, by the sub of its tokens, has at most its share of the bulk jobs,
//     streams and decisions as of the past that go on at once.
//   - A revocation that cannot have any effect is refused, and so is one that names
//     what its scope does not look at: it would reach more than it says. One that an
//     erasure made cannot be lifted.
//   - A revocation of scope client, key, issuer or tenant that hits more than
//     ApprovalAbove is made only with an approval of exactly its body, by
//     another principal, once and in time. What cannot be counted in CountFor
//     is revoked, and its event says so; other scopes never ask.
//   - Who approves is shown every member of that body, its note too, after that
//     was recorded. What differs from what is shown is neither approved nor done.
//   - A preview makes nothing, no event and no key. What it says is refused
//     already is exact as of the position that it names, by the revocations in
//     the audit store, or left out where that takes longer than ten seconds.
//   - The leaks of a revocation are complete up to the position that the answer
//     names. A decision of the past is what the log of then amounts to.
//   - A request that was sent by OpenDSR is the same request however often its sender
//     sends it, says one thing, is theirs alone to see and take back there, and is verified
//     and approved like any other. No answer repeats who it is about; each is signed.
//   - Nobody publishes under a source of Rescind's own.
//   - Neither a link to an export nor a byte of one leaves before audit.exported is
//     on the log, naming whose it is; where it cannot be, nothing leaves. Whatever
//     is wrong with a link, the answer is the same.
//   - Identifiers and tokens are in no log line, metric, cursor or URL, and an
//     error that was not foreseen shows nothing of itself. The path of an export
//     holds the secret of its link, and is in none of them either.
//
// # Shapes and units
//
// Those of the specification. A cursor is opaque, belongs to one query, and
// grants nothing.
//
// # Errors
//
// Every error becomes an RFC 9457 problem in one function. Faults of callers
// say what would be right; faults of ours are logged under the problem's
// instance and answered 500 or, where trying again may help, 503.
//
// # Concurrency
//
// A Server may be called from any goroutine. Memory for a request is bounded
// by the size of a body and of a page. What lasts is bounded in number, for all
// and for each caller ([Shares]).
//
// # What it does not do
//
// It opens no listener, ends no TLS and limits no rates. Why lines of a bulk job were refused is forgotten with the process;
// how many is not.
// POST /v1/check looks at claims alone and is no authentication.
//
// # Sources
//
// RFC 9068 and 8725 (access tokens), RFC 6750 (challenges), RFC 7240 (Prefer),
// RFC 9457 (problems), OpenDSR 2.0, Data Rights Protocol 1.0, RFC 7517 (keys), CloudEvents 1.0.2, OpenAPI 3.1.
package query
