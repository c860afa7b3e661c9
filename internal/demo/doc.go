// Package demo plays what Rescind is for, once, on a running stack: a token is
// issued, verified, revoked and refused, its trail is read, the subject is
// forgotten, and the trail and the refusal are still there.
//
// # What it is
//
// [Play] is the issuer, three verifiers on connections of their own, the
// operator, the officer, the handler and the approver, all in one program. It
// uses nothing but what they have: NATS credentials, the SDK, the guard and the
// HTTP API.
//
// # Guarantees
//
//   - The outcome is nil only if every step was observed; the first one that
//     was not is the error.
//
// # Shapes and units
//
// A [Story] is what was observed, times in milliseconds.
//
// # Errors
//
// An error names the step and what was seen instead.
//
// # Concurrency
//
// Play once at a time on a stack: it takes the tenant "demo".
//
// # What it does not do
//
// It is no benchmark: see `rescind bench revoke`.
//
// # Sources
//
// README.md.
package demo
