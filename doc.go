// Package rescind is the root of Rescind, an event-sourced audit and
// revocation backend for JSON Web Tokens. It holds no code: its tests hold the
// module to its layout and to the direction of its imports.
//
// Issuers and verifiers import events/stream to publish, applications import
// revocation/guard to check tokens; everything else runs in cmd/rescind.
package rescind
