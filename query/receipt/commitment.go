package receipt

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// Salt is what only the subject is given: 32 random bytes, in text as base64url.
// Who has it can show that a receipt is about a person. Who has not cannot find
// out, however few people there are.
type Salt [32]byte

// NewSalt is a salt for one request.
func NewSalt() (s Salt) {
	rand.Read(s[:])
	return s
}

// String is s as it is given to the subject.
func (s Salt) String() string { return b64.EncodeToString(s[:]) }

// ParseSalt reads what String wrote.
func ParseSalt(text string) (s Salt, err error) {
	b, err := unbase64(text)
	if err != nil || len(b) != len(s) {
		return s, errors.New("a salt is 43 characters of A-Z a-z 0-9 _ -, as it was given when the request was received")
	}
	return Salt(b), nil
}

// committed begins what is hashed, so that it is nothing else that we hash.
const committed = "rescind erasure receipt subject v1\x00"

// Commitment is SHA-256 over a salt and a subject, as hex: salt, issuer and
// subject each behind its length in 4 bytes, big-endian.
func Commitment(s Salt, issuer, subject string) string {
	b := []byte(committed)
	for _, part := range []string{string(s[:]), issuer, subject} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// IsOf reports whether r is the receipt of a subject.
func (r *Receipt) IsOf(s Salt, issuer, subject string) bool {
	return subtle.ConstantTimeCompare([]byte(r.Commitment), []byte(Commitment(s, issuer, subject))) == 1
}
