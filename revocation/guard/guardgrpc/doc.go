// Package guardgrpc is package guard as interceptors of a gRPC server. It is a
// package of its own so that an application without gRPC does not build it.
//
// # Guarantees
//
//   - A call without a token that passes is answered with UNAUTHENTICATED, or
//     with UNAVAILABLE and a RetryInfo where the fault is ours. Both carry an
//     ErrorInfo whose reason is that of the guard, in capitals.
//   - A stream ends with that status when its token no longer passes, whether
//     its handler waits for the context, for a message or for room to send. What
//     a handler sends after that does not leave the server.
//   - A unary call that takes long has its context ended, and the status instead
//     of its answer.
//
// # Concurrency
//
// Stream runs the handler in a goroutine of its own: gRPC ends a stream only
// when the interceptor returns. A panic of the handler is passed on to the
// interceptors in front, unless the stream was cut before.
//
// # What it does not do
//
// It does not end a handler that looks at neither its context nor errors: that
// runs on, without a stream.
//
// # Sources
//
// gRPC status codes; google.rpc error_details.proto; RFC 6750.
package guardgrpc
