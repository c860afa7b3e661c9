// Package dsr speaks the protocols in which others send us what data subjects ask
// for: OpenDSR 2.0, and the words of the Data Rights Protocol 1.0.
//
// # What it is
//
// A mapping, and a signer. [Parse] reads an OpenDSR request, [Signer] writes and signs
// what is answered and what callbacks say, [ExerciseOf] says where a request stands
// in the Data Rights Protocol's words. The routes are query's, the requests those of
// query/erasure.
//
// # Guarantees
//
//   - A request that cannot be carried out as it stands is refused, and none of what
//     it says is passed over: a member that is not known, is there twice or is
//     another spelling of one of ours, an identity that nobody can be found by, several people.
//   - Identities as md5 or sha1 are refused, and told apart from sha256, which is too:
//     a hash of a name is found by trying, and finds nobody here.
//   - What a request says always reads the same, however its JSON is written.
//   - No answer, callback or error repeats the value of an identity. A receipt repeats
//     the request without it, and without callbacks and the extensions of others. That of
//     an erasure gives its sender the salt of what it will leave (package receipt), as
//     long as the person is not erased.
//   - Every answer and callback verifies under the certificate, over the very bytes of
//     its body, with nothing but a standard library.
//   - Of what is configured as the certificate only certificates are shown, and
//     never a private key that is in the same file.
//   - Every state of a request has one status in each protocol. What was denied is never
//     completed or fulfilled; erased, already_erased and no_match are told apart.
//
// # Shapes and units
//
// Members and header fields are those of the specifications. Beside the OpenDSR 2.0
// fields those of OpenGDPR 1.0 are set, to the same values. Times are RFC 3339 in UTC.
//
// # Errors
//
// [*Fault] says which member is wrong, what would be right, and nothing of what was
// sent.
//
// # Concurrency
//
// A Signer may be used from any goroutine, and does not change.
//
// # What it does not do
//
// It keeps nothing and verifies nobody: a request that comes by OpenDSR is received,
// and somebody still has to find out whether it is who it says. It knows people by
// controller_customer_id, which is sub, and by nothing else. It does not take the
// Data Rights Protocol's signed messages.
//
// # Sources
//
// OpenDSR 2.0 (github.com/opengdpr/OpenDSR), with the header fields and the changes of
// 2.0 as mParticle documents them; Data Rights Protocol 1.0
// (github.com/consumer-reports-innovation-lab/data-rights-protocol) sections 3.02 and
// 3.03; FIPS 186-4; RFC 9562 (UUID version 4); docs/adr/0025.
package dsr
