// Package guard is what an application imports to refuse tokens that are not
// valid or no longer valid: RFC 9068 access tokens, checked by signature and
// claims, and then against the revocation feed.
//
// # What it is
//
// A [Guard] checks one kind of token of one issuer for one audience.
// [Guard.Check] does it for a token, [Guard.Handler] for net/http, and package
// guardecho for Echo.
//
// # Guarantees
//
//   - The algorithm comes from the configuration and the key, never from the
//     token alone: none, HS* and an algorithm other than the key's are refused.
//     A token of another typ is refused, and so is one with crit. jku, x5u and
//     jwk are not looked at.
//   - iss, aud and exp are required and checked; iat may not be in the future;
//     iat and jti are required unless AllowIncomplete. A lifetime beyond
//     MaxLifetime is refused, because a revocation is kept for no longer.
//   - A key is revoked by the id that it has in the key source, whether or not
//     the token names it.
//   - A revoked token is refused under every policy.
//   - Under Strict a token that the feed cannot vouch for is refused, under
//     BestEffort it passes and is reported. Where policies differ the stricter
//     counts.
//   - A claim counts under its exact name only, and one with a value of the
//     wrong kind refuses the token.
//   - Reporting never delays a request. What does not fit is counted.
//   - An answer holds nothing of the token.
//
// # Shapes and units
//
// A refusal is RFC 9457 application/problem+json with a WWW-Authenticate of
// RFC 6750: 401 where the token is at fault, 503 with Retry-After where ours
// is the fault. Reasons are the constants that begin with Reason.
//
// # Errors
//
// [Refusal] is the only error of Check.
//
// # Concurrency
//
// All of it may be used from any goroutine.
//
// # What it does not do
//
// It grants no permissions: scope is handed on as the token has it. It reads
// tokens from the Authorization header only.
//
// # Sources
//
// RFC 6750, RFC 7517, RFC 7519, RFC 8725, RFC 9068, RFC 9457.
package guard
