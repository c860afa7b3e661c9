// Package callback posts signed messages to URLs that others have named, and
// says what came back.
//
// # What it is
//
// A [Sender] makes one attempt: a POST, signed by the deployment's Ed25519 key.
// When to try again is the caller's to say; [Backoff] counts how long to wait.
// [Verify] is the other side: what a receiver does with what it was sent. Recipients
// of personal data are told of an erasure this way (query/erasure), and so are
// those who asked for a request's status.
//
// # Guarantees
//
//   - Method, URL, content type, body, id and kind of a message are signed, with
//     when and until when: what was changed, sent elsewhere or kept for longer
//     than [Window] is refused by Verify, and by any implementation of RFC 9421.
//   - Every attempt at a message has the same id. A receiver may get a message more
//     than once, under one id: at least once is what there is.
//   - Outside Config.Insecure, only https is spoken.
//   - No connection is made to an address that is not of the public Internet,
//     but for those in Config.Allow: what counts is the address that is
//     dialled, whatever name led to it, and whatever that resolved to before.
//   - No redirect is followed, and no proxy asked.
//   - An attempt ends within Config.Timeout, and holds no more than [MaxAnswer]
//     bytes of an answer's body and [MaxHeader] of its header.
//   - Only a status from 200 to 299, in an answer that was read as far as it is
//     kept, is [Accepted].
//   - No error and no log line holds anything of body, answer or the query of a URL.
//
// # Shapes and units
//
// A message has these fields, and what Message.Header adds, which is not signed:
//
//	Content-Type, Content-Digest: sha-256=:…: (RFC 9530)
//	Idempotency-Key: "<id>"
//	Rescind-Kind: <kind>
//	Signature-Input: rescind=("@method" "@target-uri" "content-type" "content-digest"
//	    "idempotency-key" "rescind-kind");created=…;expires=…;keyid="…";alg="ed25519";tag="rescind-callback"
//	Signature: rescind=:…:
//
// The keyid is the key's RFC 7638 thumbprint. Times are whole seconds.
//
// # Errors
//
// [ErrForbidden] wraps what must not be reached: trying again is of no use before
// somebody changes the configuration. [ErrInvalid] is a message that cannot be
// sent by anybody. [ErrUnverified] is what Verify refuses. Anything else from
// Send is that there was no answer: whether the receiver got the message is not
// known.
//
// # Concurrency
//
// A Sender may be used from any goroutine, and does not change.
//
// # What it does not do
//
// It keeps nothing and tries nothing twice. It does not encrypt bodies: whoever
// sends personal data does that before. It does not say that a receiver did what
// it was asked to, only what it answered.
//
// # Sources
//
// RFC 9421 (HTTP Message Signatures), RFC 9530 (Content-Digest), RFC 8941
// (structured fields), RFC 8032 (Ed25519), RFC 7638, RFC 8037 (thumbprint of an
// OKP key), RFC 6890 and the IANA special-purpose address registries; why not a
// detached JWS: docs/adr/0024.
package callback
