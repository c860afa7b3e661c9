// Package client calls the HTTP API of a running Rescind, for the command line
// and the demo.
//
// # What it is
//
// A [Client] and the bodies that the commands read, with the names of the
// OpenAPI document. A body here may leave out members that no command shows.
//
// # Guarantees
//
//   - An answer of 400 or more is an error that wraps a [*Problem].
//   - No identifier is put into a URL.
//
// # Shapes and units
//
// As in schemas/openapi.yaml.
//
// # Errors
//
// A server that cannot be reached is an error that names its base URL.
//
// # Concurrency
//
// A Client may be used from any goroutine.
//
// # What it does not do
//
// It does not retry: a command line that failed is for a person to repeat.
//
// # Sources
//
// RFC 9457 (problem documents).
package client
