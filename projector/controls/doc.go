// Package controls holds compliance rules over events: each looks at one
// record and at what earlier records left behind, and says what is wrong.
//
// # What it is
//
// An [Engine] is fed every record of the log in the order of the log.
// [Engine.Check] asks each rule about a record that is about to be logged;
// [Engine.Apply] folds a logged record into the state that the rules look at.
// A [Finding] becomes a record of type finding.opened ([Finding.Record]), which
// is logged right behind its cause.
//
// The rules, with the clauses they serve, are in [Controls]:
//
//   - alg-allow-list: a token was signed, or a key published, with an algorithm
//     that is not on the list. Critical for none and the symmetric ones.
//     RFC 8725 3.1 and 3.2; GDPR 32(1)(a); HIPAA 164.312(d); SOC 2 CC6.1.
//   - token-lifetime: exp - iat is longer than the limit. HIPAA
//     164.312(a)(2)(iii); SOC 2 CC6.1.
//   - key-known: a token names a key that its issuer never published. Critical.
//     Or a tenant's keys are more than are remembered, so that this is no
//     longer found for it. PCI DSS 3.7.7; HIPAA 164.312(d); SOC 2 CC6.1.
//   - key-retired: a token was issued after its key was retired or revoked, by
//     the times of those events, or the start of a revocation that is scheduled;
//     of several, the earliest. Not after a suspension. PCI DSS 3.7.4 and 3.7.5;
//     SOC 2 CC6.1.
//   - consent-cited: a token with personal claims was issued without citing a
//     consent of that person which is on the log and not withdrawn. Or a
//     tenant's consents are more than are remembered. GDPR 6(1)(a), 7(1) and
//     7(3).
//   - clock-offset: an event's time is ahead of ours by more than the bound.
//     PCI DSS 10.6.1 and 10.6.3.
//   - jti-reissued: a token id was issued a second time before it expired.
//     RFC 7519 4.1.7; HIPAA 164.312(d); SOC 2 CC7.2.
//   - defect: one of the rules failed on a record that is logged all the same
//     ([Engine.Defect]). SOC 2 CC7.2.
//
// # Guarantees
//
//   - Same records in the same order, same findings with the same ids: the
//     state is a fold of the log and can be built again from it.
//   - What a finding is about has at most one open finding: the next one is
//     opened only when the last was closed.
//   - A rule that panics stops nothing: [Engine.Check] says which one it was,
//     and the other rules are still asked. So does [Engine.Apply] where folding
//     panics.
//   - A finding names no person: it carries references, key ids, names of
//     clients and issuers, and numbers.
//   - A key that was retired or revoked stays so, whatever is published of it
//     later. One that was suspended (a revocation with not_after) is not retired.
//   - Memory is bounded by [Config], whatever is published. A rule whose state
//     did not fit says nothing that it cannot be sure of.
//   - A tenant that publishes more keys or consents than are remembered of one
//     silences key-known and consent-cited for itself alone, and a finding says
//     so. Only several together can use up what is remembered of all: a tenant
//     whose key or consent then does not fit is told in the same way.
//
// # Shapes and units
//
// A finding's id is 32 hex digits, made from what it is about and the event
// that caused it. Its record has the attributes finding (the id), control,
// severity, title, clauses (joined by "; "), about and cause (references, in
// hex), and those of its rule: limit_s and lifetime_s, limit_ms and ahead_ms,
// state (of a consent: missing, unknown, withdrawn), limit_keys and
// limit_consents (the bound past which nothing fitted), rule (of a defect).
//
// # Errors
//
// [New] refuses a Config out of bounds. A [Failure] is a fault of ours, in a
// rule or in what is remembered for one; what then becomes of the record is for
// the caller to say.
//
// # Concurrency
//
// An Engine belongs to one goroutine at a time.
//
// # What it does not do
//
// It refuses nothing: an event that breaks a rule is a fact and is logged.
// Publishing a retired key again is no finding by itself, as an issuer may
// announce all that its key set still holds for verification: what is wrong is
// to sign with it, and that is found. Lifting a key's revocation does not make
// the key good again for key-retired: a publisher who needs one takes a new
// key. A token that names no algorithm is no finding: publishers need not say.
//
// Issued tokens and open findings are remembered for all tenants together, the
// latest ones. A tenant that issues MaxTokens/2 tokens between two of another
// with the same id silences jti-reissued about these two; one that opens
// MaxOpen/2 findings makes those of others open a second time, and silences
// none. A share for each tenant would have to be taken from somebody whenever
// one comes or goes, and what is forgotten then would depend on where the part
// of the log begins that the state was built from.
//
// It does not find what is late: an event can be delayed by a retry or a
// replay, which says nothing about a clock. A finding that was opened by an
// event in the access lane and is older than the part of the log that the
// state was built from may be opened again after a restart.
//
// # Sources
//
// CONTROLS in the project's documentation; RFC 7519, RFC 7518, RFC 8725; GDPR;
// 45 CFR 164.312; PCI DSS 4.0.1; SOC 2 trust services criteria.
package controls
