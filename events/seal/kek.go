package seal

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// KEK is a root of one key that is somebody else's to keep: a secret that was
// given. It cannot be destroyed, so that a copy of the keyring from before an
// erasure opens what was erased: it is for development and tests. The zero KEK
// is no key. It does not print itself.
type KEK struct {
	key key
	id  [4]byte
	set bool
}

var _ Root = KEK{}

// GenerateKEK is a fresh random KEK.
func GenerateKEK() KEK { return kekOf(newKey()) }

func kekOf(k key) KEK {
	sum := sha256.Sum256(append([]byte("rescind kek id v1\x00"), k[:]...))
	return KEK{key: k, id: [4]byte(sum[:4]), set: true}
}

// ParseKEK reads 32 bytes in base64, standard or URL alphabet, padded or not,
// with white space around it.
func ParseKEK(text string) (KEK, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := enc.DecodeString(text); err == nil && len(b) == keySize {
			return kekOf(key(b)), nil
		}
	}
	return KEK{}, fmt.Errorf("key-encryption key: want %d bytes in base64", keySize)
}

// ID names k without telling anything about it.
func (k KEK) ID() string { return fmt.Sprintf("%x", k.id) }

// String, GoString, LogValue and MarshalText keep the key out of logs and
// configuration dumps.
func (k KEK) String() string { return "[KEK " + k.ID() + "]" }

// GoString is String.
func (k KEK) GoString() string { return k.String() }

// LogValue is String.
func (k KEK) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText is String.
func (k KEK) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Wrap implements Root: the key is always the same.
func (k KEK) Wrap(_ context.Context, secret []byte) (Wrapped, error) {
	return Wrapped{Key: k.ID(), Secret: k.Encrypt(secret)}, nil
}

// Unwrap implements Root.
func (k KEK) Unwrap(_ context.Context, w Wrapped) ([]byte, error) {
	if w.Key != k.ID() {
		return nil, ErrRootKey
	}
	return k.Decrypt(w.Secret)
}

// Destroy implements Root: it cannot.
func (KEK) Destroy(context.Context, string) (time.Time, error) { return time.Time{}, ErrPermanent }

// Delay implements Root: it cannot destroy.
func (KEK) Delay() (time.Duration, error) { return 0, ErrPermanent }

// Encrypt is secret wrapped under k, for roots that keep a KEK for each epoch.
func (k KEK) Encrypt(secret []byte) []byte { return newXAES(&k.key).encrypt(nil, secret, rootAAD) }

// Decrypt is what Encrypt was given. The error wraps ErrSealed where wrapped
// was changed, or is under another key.
func (k KEK) Decrypt(wrapped []byte) ([]byte, error) {
	return newXAES(&k.key).decrypt(wrapped, rootAAD)
}

// Text is the key itself, as ParseKEK reads it, for roots that keep it.
func (k KEK) Text() string { return base64.StdEncoding.EncodeToString(k.key[:]) }

var rootAAD = []byte("rescind root v1")
