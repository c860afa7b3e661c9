// Package recipient is the registry of those to whom personal data was
// disclosed: who has to be told when it is erased, and where.
//
// # What it is
//
// A [Registry] is read from a file that the operator writes. Who applies to a
// person follows from the audiences of the tokens that were issued about them, and
// from exports that name a recipient.
//
// # Guarantees
//
//   - Whoever the file names for an audience, or an export names, is among those
//     that [Registry.Of] lists, in the order of their ids, once; and nobody else.
//   - An audience that nobody in the file is for, and that is not the
//     controller's own, is named. Of a person who has more of them than are looked
//     at, it is named that there are more.
//   - A file that says something it cannot mean is refused, with every fault and
//     its place: a member that is not known, an id or an audience that is there
//     twice, a URL that would never be called, a key that is no
//     public key of P-256, and one that is private.
//   - What is sealed for a recipient opens with its private key alone.
//
// # Shapes and units
//
// YAML:
//
//	own: [https://api.acme.example]      # audiences that are the controller's own
//	recipients:
//	  - id: crm                          # 1 to 32 of a-z 0-9 - : it stands in receipts and on the log
//	    tenants: [acme]                  # default all
//	    audiences: [https://crm.example] # aud of the tokens that it takes
//	    url: https://crm.example/rescind # where notices go; without one a person has to tell them
//	    key: {kty: EC, crv: P-256, x: …, y: …}
//	    contact: privacy@crm.example     # for the person who has to, when it does not answer
//
// # Errors
//
// Faults are joined, one line each, and say which recipient they are of.
//
// # Concurrency
//
// A Registry does not change.
//
// # What it does not do
//
// It sends nothing (query/callback) and decides nothing (query/erasure). It does
// not know who was told by other ways than tokens and exports: list those by hand
// with an audience that their tokens have.
//
// # Sources
//
// GDPR articles 4(9), 17(2) and 19; RFC 7519 section 4.1.3 (aud); RFC 7517 (JWK).
package recipient
