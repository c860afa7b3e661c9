package envelope

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// ContentType is the content type of an encrypted message.
const ContentType = "application/jose"

// enc is the one algorithm for contents.
const enc = jose.A256GCM

// Bounds. Whatever may be sent in clear may be sent encrypted.
const (
	MaxPlain  = 1 << 20 // what is inside, in bytes
	MaxHeader = 2 << 10 // the protected header, in base64url
	Overhead  = 1 << 10 // what Seal adds to contents in base64url, at most

	// MaxBytes is how large an encrypted message is at most.
	MaxBytes = (4*MaxPlain+2)/3 + MaxHeader + Overhead
)

// PlainLimit is how much fits into a message of limit bytes.
func PlainLimit(limit int) int {
	return min(MaxPlain, max(0, base64.RawURLEncoding.DecodedLen(limit-Overhead)))
}

// Seal encrypts a message to a key: JWE in its compact form. A content type is
// what plain is; it stands in the header, in clear.
func Seal(to PublicKey, contentType string, plain []byte) ([]byte, error) {
	switch {
	case to.IsZero():
		return nil, errors.New("encrypt to the intake: no key")
	case len(plain) > MaxPlain:
		return nil, fmt.Errorf("encrypt to the intake: %d bytes: the limit is %d", len(plain), MaxPlain)
	}
	options := new(jose.EncrypterOptions).WithContentType(jose.ContentType(contentType))
	encrypter, err := jose.NewEncrypter(enc, jose.Recipient{Algorithm: jose.ECDH_ES, Key: to.key, KeyID: to.ID}, options)
	if err != nil {
		return nil, fmt.Errorf("encrypt to the intake: %w", err)
	}
	sealed, err := encrypter.Encrypt(plain)
	if err != nil {
		return nil, fmt.Errorf("encrypt to the intake: %w", err)
	}
	text, err := sealed.CompactSerialize()
	if err != nil {
		return nil, fmt.Errorf("encrypt to the intake: %w", err)
	}
	return []byte(text), nil
}
