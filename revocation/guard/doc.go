// Package guard is what an application imports to refuse tokens that are not
// valid or no longer valid: RFC 9068 access tokens, checked by signature and
// claims, and then against the revocation feed.
//
// # What it is
//
// A [Guard] checks one kind of token of one issuer for one audience. [Dial]
// makes one with all that it needs, [New] one of parts. [Guard.Handler] is for
// net/http, package guardecho for Echo, package guardgrpc for gRPC;
// [Guard.Admit] and [Guard.Watch] for anything else, and [Guard.Check] for a
// token alone.
//
// # Guarantees
//
//   - The algorithm comes from the configuration and the key, never from the
//     token alone: none, HS* and an algorithm other than the key's are refused.
//     A token of another typ is refused, and so is one with crit or b64. jku,
//     x5u, jwk and x5c are not looked at.
//   - A token that two readers could take for different ones is refused: a
//     member twice, in header or claims and at any depth; what is not UTF-8; white
//     space, padding or loose bits around the three parts.
//   - What is parsed is bounded: 16 KiB, 32 levels.
//   - iss, aud, exp and iat are required and checked; iat may not be in the
//     future; jti, sub and client_id are required unless AllowIncomplete. A lifetime
//     beyond MaxLifetime is refused, because a revocation is kept for no longer,
//     and so is an identifier that no revocation could name, of the token or of
//     its key.
//   - A key is revoked by the id that it has in the key source, whether or not
//     the token names it.
//   - A revoked token is refused under every policy.
//   - Under Strict a token that the feed cannot vouch for is refused, under
//     BestEffort it passes and is reported. Where policies differ the stricter
//     counts.
//   - A claim counts under its exact name only, and one with a value of the
//     wrong kind refuses the token.
//   - A stream is cut when its token is revoked: at once where the feed tells of
//     it, within 100 ms where the feed has a new view or new keys, within a second
//     in any case. It is cut when its token expires, and under Strict when nobody
//     vouched for its token for StreamGrace.
//   - Cut means: the context has ended, with the [Refusal] as its cause; reading
//     and writing fail; a connection that was taken over is closed. Who waits for
//     an answer that had not begun is answered as if the call came now; who has a
//     part of it sees that it is not whole.
//   - A revocation costs the feed one lookup for each entry, however many
//     streams are open, and the streams that it is about a decision each.
//   - Reporting never delays a request. What does not fit, or could not be
//     published, is counted and not kept, and so is what VerifiedOneIn left out: of
//     one token all is reported or nothing. Cuts, what passed in doubt and refusals
//     of tokens whose signature was good are always reported. Other refusals, which
//     anybody can cause, are reported UnverifiedPerSecond times a second at most: the
//     next one says how many were not, and [Guard.Untold] counts them.
//   - The time of a report is from right before its token was decided: where it is
//     after the start of a revocation, so was the decision.
//   - An answer holds nothing of the token.
//
// # Shapes and units
//
// A refusal is RFC 9457 application/problem+json with a WWW-Authenticate of
// RFC 6750: 401 where the token is at fault, 503 with Retry-After where ours
// is the fault. Reasons are the constants that begin with Reason. A call counts
// as a stream from 100 ms on; before that its end is seen then.
//
// # Errors
//
// [Refusal] is the only error of Check and Admit, and the cause of a context
// that was cut.
//
// # Concurrency
//
// All of it may be used from any goroutine. Every watched call has a timer; no
// goroutine waits for it. A Guard and its routes have one place in the feed, until
// Close. [Verifier.Close] waits for reports no longer than its context lasts.
//
// # What it does not do
//
// It grants no permissions: scope is handed on as the token has it. It reads
// tokens from the Authorization header only. A key that the issuer withdrew ends
// no stream: revoke the key. A revocation that starts later cuts streams within a
// second of its start. A handler that took a connection over must close the one
// it was given, or it is watched until the token expires. One that looks at
// neither its context nor errors runs on, with nobody to talk to.
//
// # Sources
//
// RFC 6750, RFC 7515, RFC 7517, RFC 7519, RFC 7797, RFC 8725, RFC 9068, RFC 9457.
package guard
