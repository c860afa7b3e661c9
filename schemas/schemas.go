// Package schemas embeds the descriptions of everything that Rescind says to
// others, so that the binary carries what it was built against.
//
// # What it is
//
// events/ holds one JSON Schema (2020-12) for each event type, for the whole
// CloudEvent in structured mode, and $defs that they share. clickhouse/ holds
// the migrations of the audit store, numbered for goose. openapi.yaml
// describes the HTTP interface, asyncapi.yaml what travels over NATS,
// export.schema.json what a data subject gets of their data. proto/ holds the
// data of an event in protobuf, and the official message around it. receipts/
// holds what the receipt of an erasure says, and one that is signed.
//
// # Guarantees
//
//   - Every type of events.Types has a schema, and every schema a type.
//   - A schema and the Go type of an event's data name the same members.
//   - What a schema accepts and refuses is what events.Decode and
//     events.Policy.Validate accept and refuse, but for what a schema cannot
//     state: the deployment's policy, offences, and sizes counted in bytes.
//   - What code made from proto/ writes is decoded, and what events writes in
//     protobuf is read by it.
package schemas

import "embed"

// FS holds events, clickhouse, proto, receipts, openapi.yaml, asyncapi.yaml and
// export.schema.json.
//
//go:embed events clickhouse proto receipts *.yaml *.json
var FS embed.FS
