package envelope

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Refused says that bytes are not a message that we open, whatever the key: why,
// in words that repeat nothing of it.
type Refused string

// Error is why.
func (r Refused) Error() string { return string(r) }

// Message is an encrypted message, taken apart and not opened.
type Message struct {
	KeyID       string // names the key that opens it
	ContentType string // of what is inside, as the header says
	parts       *jose.JSONWebEncryption
}

// header is what is read of a protected header. Everything else that may be
// there is in members, and go-jose's to read.
type header struct {
	Kid string `json:"kid"`
	Cty string `json:"cty"`
}

// idSize is the length of a SHA-256 in base64url.
const idSize = 43

// members are all that a header may have. In particular not zip: what is inside
// would be larger than what was measured; not crit; and no other way to name a
// key than kid.
var members = map[string]bool{"alg": true, "enc": true, "kid": true, "cty": true, "typ": true, "epk": true, "apu": true, "apv": true}

// Parse takes a message apart. The error is a Refused.
func Parse(body []byte) (*Message, error) {
	h, err := parseHeader(body)
	if err != nil {
		return nil, err
	}
	if !canonical(body) {
		return nil, Refused("not base64url in the one way to write it")
	}
	parts, err := jose.ParseEncryptedCompact(string(body), []jose.KeyAlgorithm{jose.ECDH_ES}, []jose.ContentEncryption{enc})
	if err != nil {
		return nil, Refused("not a JWE with alg ECDH-ES and enc A256GCM in compact form")
	}
	return &Message{h.Kid, h.Cty, parts}, nil
}

// canonical reports whether each part of body is base64url as an encoder writes
// it: go-jose also takes line breaks, and bits behind the end of a part, which
// nothing authenticates.
func canonical(body []byte) bool {
	if bytes.IndexByte(body, '\r') >= 0 || bytes.IndexByte(body, '\n') >= 0 {
		return false
	}
	for part := range bytes.SplitSeq(body, []byte{'.'}) {
		var last [3]byte
		if _, err := base64.RawURLEncoding.Strict().Decode(last[:], part[len(part)-len(part)%4:]); err != nil {
			return false
		}
	}
	return true
}

// parseHeader reads the header before anything else is looked at.
func parseHeader(body []byte) (h header, err error) {
	first, rest, dotted := bytes.Cut(body, []byte{'.'})
	switch {
	case len(body) > MaxBytes:
		return h, Refused(fmt.Sprintf("message of %d bytes: the limit is %d", len(body), MaxBytes))
	case !dotted:
		return h, Refused("not a JWE in compact form")
	case len(first) > MaxHeader:
		return h, Refused(fmt.Sprintf("header of %d bytes: the limit is %d", len(first), MaxHeader))
	case len(rest) == 0 || rest[0] != '.':
		return h, Refused("there is an encrypted key: want alg ECDH-ES, which has none")
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(first))
	if err != nil {
		return h, Refused("the header is not base64url")
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil || json.Unmarshal(raw, &h) != nil {
		return h, Refused("the header is not JSON, or kid or cty is no text")
	}
	return h, h.check(all)
}

func (h *header) check(all map[string]json.RawMessage) error {
	for name := range all {
		if !members[name] {
			return Refused("the header has another member than alg, enc, kid, cty, typ, epk, apu and apv")
		}
	}
	switch {
	case len(h.Kid) != idSize:
		return Refused("kid: want the 43 characters of a thumbprint")
	case h.Cty == "":
		return Refused("the header has no cty: the content type of what is inside")
	case h.Cty == ContentType:
		return Refused("cty: a message is encrypted once")
	default:
		return nil
	}
}

// errOpen is all that is said of a message that does not open: which part is
// wrong is nobody's to learn.
const errOpen = Refused("the message does not open: it was changed or cut, or its epk is no point of P-256")

// Open is what is inside. It is wrong to open with another key than the one
// that KeyID names. The error is a Refused.
func (m *Message) Open(with PrivateKey) ([]byte, error) {
	if with.private == nil || with.ID != m.KeyID {
		return nil, errors.New("open message: not the key that it names")
	}
	plain, err := m.parts.Decrypt(with.private)
	switch {
	case err != nil:
		return nil, errOpen
	case len(plain) > MaxPlain:
		return nil, Refused(fmt.Sprintf("%d bytes inside: the limit is %d", len(plain), MaxPlain))
	}
	return plain, nil
}

// Is reports whether body can be an encrypted message: to tell one that was kept
// from an event.
func Is(body []byte) bool {
	_, err := parseHeader(body)
	return err == nil
}
