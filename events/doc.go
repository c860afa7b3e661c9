// Package events is the model that every other room of Rescind shares: the
// event as it is published, the record as it is logged, the types and
// identifiers of both, and the codecs between their shapes and bytes. It is
// pure: no I/O, no clock, no randomness but the ids that a caller asks for.
//
// # What it is
//
// An [Event] is what an issuer or a verifier says happened to a token. It
// travels as a CloudEvents 1.0 message: structured JSON, protobuf, a batch of
// either, or binary mode; [Decode] reads them all. A [Record] is what the log keeps of it: the
// same facts with every personal value taken out, and the SHA-256 of a sealed
// [Personal] part that travels beside it. A [Batch] is one message of the log:
// up to [MaxBatchRecords] records that share a lane, with a [Header] that says
// where they stand.
//
// # Guarantees
//
//   - One type decides one [Lane]; an unknown type decides none and is refused.
//   - [Decode] judges each event of a message that it reads (see Errors) for itself: a
//     faulty event yields a [Refusal], and the valid ones beside it are returned.
//   - A record, a batch and a personal part have exactly one encoding each (RFC
//     8949 section 4.2, core deterministic). Nothing else is decoded. The Merkle
//     leaf is SHA-256(0x00 || encoding).
//   - A message is read in one way only: names are compared as they are, null
//     means absent, and numbers among personal claims keep all their digits.
//     What is not UTF-8 is refused, and so is an event in which an object has
//     two members of one name: its readers would not all take the same one.
//   - In protobuf too: a field said twice that is not repeated, and a field that
//     the schema does not have, refuse the event. What it says could not be kept.
//   - A record never holds sub, jti, sid, grant_id, ip, user_agent, note or a member of
//     personal{}: they are in [Personal], which is sealed before it is stored.
//     An event that repeats sub, jti, sid, grant_id or ip, or an e-mail address or
//     telephone number (with its +) among the texts of personal{} (64 of them at most), of six
//     bytes or more, in a member that is kept in clear is refused. But for its id,
//     which may be made of a jti, sid or grant_id; the id of a consent, which is
//     the publisher's to choose; what names services: source, rescindenv, iss,
//     client_id, kid, alg and outcome, which are not looked into, as whoever is
//     called as a word in one could not be revoked; and actor, who is "subject" in
//     the record where it is the person, and "[withheld]" where it is named by one of
//     those addresses, or as the person but for capital letters. What is escaped as in a URL, once or twice, is
//     looked for too, and an address with an @ in capital and small letters. Other texts of personal{} and user_agent
//     are not looked for: whoever may choose theirs would choose which events
//     about them are refused. Nor is a sub or the like that is a standard scope, a
//     word of a revocation's reason or one that verifiers use, for the same cause; an
//     address that is the client_id; and an ip that begins with 127.
//   - A revocation with a cut-off that its scope does not have is refused: it would
//     reach more than it says. The intake, where it may have come from an earlier
//     publisher, takes it as though it had none.
//   - What is accepted can be kept: its record is smaller than 64 KiB, and its
//     personal part decodes to what was sealed.
//   - A raw JWT, a payment card number or a listed health claim in any member
//     of an event refuses that event ([Reason.Offence]); the value is not
//     repeated in the refusal.
//   - A [Refusal] names an event by its id and source, cut to 128 bytes, and
//     withheld where they hold what must not be stored or what the record of the
//     event may not repeat, whatever the event was refused for. Its detail repeats
//     names, types, environments and content types of at most 80 plain characters,
//     withheld where they hold an address or such a value.
//
// # Shapes and units
//
// Times in a [Record] are microseconds since the Unix epoch; iat, exp and
// cut-offs are milliseconds, zero meaning absent. On the wire of a publisher
// iat, exp, nbf, issued_before, starts and not_after are NumericDate (RFC 7519:
// seconds, fractions allowed). Limits are in the constants that begin with Max.
//
// # Errors
//
// [Decode] returns an error only where no event can be told apart from the
// next (neither JSON nor protobuf, unknown content type), or where a message is
// too large or has more events than [MaxMessageEvents] or than its bytes can hold;
// everything else is a [Refusal] with a [Reason].
//
// # Concurrency
//
// Values are plain data. Functions keep no state but the texts that they met
// last, at most 256 KiB of them, so that what repeats is one string. They may be
// called from any goroutine. A [Batch] that was decoded is made of parts of its
// input; nothing else keeps any of it but [Decoded.Raw].
//
// # What it does not do
//
// It does not judge an event against others (duplicates, unknown keys, missing
// consent): that is projector/intake and projector/controls. It does not seal.
//
// # Sources
//
// CloudEvents 1.0.2, its JSON and protobuf formats and NATS binding
// (schemas/proto); RFC 8259 (JSON); RFC 7519, RFC 9068 (claim names); RFC 8949
// (CBOR); RFC 6962 (leaf hash).
package events
