// Package deployment makes what a deployment on servers of one's own starts
// from: keys, passwords, and the server configurations that know them.
//
// # What it is
//
// [Init] fills three folders, each for one reader: secrets for Rescind, a
// configuration for NATS, accounts for ClickHouse. docker-compose.yml runs it
// before anything else.
//
// # Guarantees
//
//   - A key or password that is there is kept; the configurations are written
//     anew, so that a new version's permissions arrive. What the operator writes
//     into local.conf beside nats.conf, which reads it, is kept.
//   - The folders of NATS and ClickHouse hold no secret: public keys,
//     permissions, and SHA-256 of random passwords of 128 bits.
//
// # Shapes and units
//
// nats.conf is a nats-server configuration; rescind.xml goes into ClickHouse's
// users.d.
//
// # Errors
//
// A file that cannot be written is an error that names it.
//
// # Concurrency
//
// Run it once at a time.
//
// # What it does not do
//
// It starts nothing, and makes no certificates.
//
// # Sources
//
// PCI DSS 2.2.2 (no vendor defaults), 7.2 (least privilege).
package deployment
