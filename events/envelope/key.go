package envelope

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// The one algorithm of a key, its curve, and what it is for.
const (
	keyType   = "EC"
	curveName = "P-256"
	use       = "enc"
	algorithm = "ECDH-ES"
)

// coordinate is the size of each of a point's two, in bytes.
const coordinate = 32

// PublicKey is what messages are encrypted to. The zero one is no key.
type PublicKey struct {
	ID        string    // RFC 7638 thumbprint: 43 characters
	NotBefore time.Time // whole seconds
	Expires   time.Time // whole seconds; from then on no new message is to be encrypted to it
	key       *ecdsa.PublicKey
}

// PrivateKey opens what was encrypted to its public half. It does not print
// itself.
type PrivateKey struct {
	PublicKey
	private *ecdsa.PrivateKey
}

// Generate is a fresh key for messages that are sent from notBefore until
// expires, in whole seconds.
func Generate(notBefore, expires time.Time) (PrivateKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("generate intake key: %w", err)
	}
	return privateKey(private, notBefore, expires)
}

// ParsePrivate reads what Bytes wrote.
func ParsePrivate(b []byte, notBefore, expires time.Time) (PrivateKey, error) {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b)
	if err != nil {
		return PrivateKey{}, errors.New("parse intake key: not a private key of P-256") // the cause could repeat it
	}
	return privateKey(private, notBefore, expires)
}

func privateKey(private *ecdsa.PrivateKey, notBefore, expires time.Time) (PrivateKey, error) {
	public, err := publicKey(&private.PublicKey, notBefore, expires)
	return PrivateKey{public, private}, err
}

func publicKey(key *ecdsa.PublicKey, notBefore, expires time.Time) (PublicKey, error) {
	x, y, err := point(key)
	if err != nil {
		return PublicKey{}, err
	}
	return PublicKey{thumbprint(x, y), notBefore.Truncate(time.Second).UTC(), expires.Truncate(time.Second).UTC(), key}, nil
}

// point is the coordinates of key in base64url.
func point(key *ecdsa.PublicKey) (x, y string, err error) {
	b, err := key.Bytes() // 4, x, y
	if err != nil || len(b) != 1+2*coordinate {
		return "", "", errors.New("intake key: not a point of P-256")
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode(b[1 : 1+coordinate]), encode(b[1+coordinate:]), nil
}

// thumbprint names the key with these coordinates (RFC 7638, section 3).
func thumbprint(x, y string) string {
	sum := sha256.Sum256([]byte(`{"crv":"` + curveName + `","kty":"` + keyType + `","x":"` + x + `","y":"` + y + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// IsZero reports whether k is no key.
func (k PublicKey) IsZero() bool { return k.key == nil }

// Taken reports whether new messages are to be encrypted to k at that time.
func (k PublicKey) Taken(at time.Time) bool {
	return !k.IsZero() && !at.Before(k.NotBefore) && at.Before(k.Expires)
}

// Bytes is the secret of k, 32 bytes: for a keyring to wrap.
func (k PrivateKey) Bytes() ([]byte, error) { return k.private.Bytes() }

// String, GoString, LogValue and MarshalText keep the secret out of logs.
func (k PrivateKey) String() string { return "[intake key " + k.ID + "]" }

// GoString is String.
func (k PrivateKey) GoString() string { return k.String() }

// LogValue is String.
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText is String.
func (k PrivateKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
