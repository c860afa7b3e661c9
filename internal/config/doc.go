// Package config is the configuration of `rescind serve`: one struct whose
// comments are the manual, read from flags, then RESCIND_* environment
// variables, then a YAML file, then defaults, the first that speaks winning.
//
// # What it is
//
// [Config] is plain data; [Load] fills it; [Config.Validate] reports every
// fault at once. A key of the file such as nats.url is RESCIND_NATS_URL in the
// environment and --nats-url as a flag.
//
// # Guarantees
//
//   - A RESCIND_* variable or a key of the file that names no field is an
//     error: a misspelt setting never falls back to a default in silence. What
//     Kubernetes sets of a Service named rescind… is no setting.
//   - A secret is never written into the configuration itself: fields of type
//     [Secret] take file:PATH or env:NAME and nothing else.
//   - Profile production refuses every connection without TLS.
//
// # Shapes and units
//
// Durations are Go durations ("5s"), sizes are bytes.
//
// # Errors
//
// Faults name the key, what it holds (unless it is a secret) and what it may
// hold.
//
// # Concurrency
//
// A loaded Config is not changed.
//
// # What it does not do
//
// It connects to nothing: a valid configuration can still name a server that
// is not there.
//
// # Sources
//
// PCI DSS 8.6.2 (no secrets in configuration files), HIPAA 164.312(e) (transport).
package config
