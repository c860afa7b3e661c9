package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
)

// KEK is the key-encryption key: every entry of the keyring is wrapped under
// it. It is the one secret to back up, and to keep apart from backups of the
// keyring. The zero KEK is no key. It does not print itself.
type KEK struct {
	key key
	id  [4]byte
	set bool
}

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

// wrapper wraps entries under one KEK.
type wrapper struct {
	id  [4]byte
	key *xaes
}

func newWrapper(k KEK) *wrapper { return &wrapper{k.id, newXAES(&k.key)} }

// wrap is plain as it is stored under name: version, KEK id, nonce, ciphertext.
func (w *wrapper) wrap(name string, plain []byte) []byte {
	dst := append(make([]byte, 0, 5+nonceSize+len(plain)+tagSize), wrapVersion)
	return w.key.encrypt(append(dst, w.id[:]...), plain, entryAAD(name))
}

// unwrap reads what wrap wrote under the same name.
func (w *wrapper) unwrap(name string, stored []byte) ([]byte, error) {
	if len(stored) < 5 || stored[0] != wrapVersion {
		return nil, fmt.Errorf("not a keyring entry: %w", ErrSealed)
	}
	if [4]byte(stored[1:]) != w.id {
		return nil, ErrKEK
	}
	return w.key.decrypt(stored[5:], entryAAD(name))
}

const wrapVersion = 1

// entryAAD binds an entry to its name, so that entries cannot be swapped.
func entryAAD(name string) []byte {
	return appendLengthPrefixed(append(make([]byte, 0, 128), "rescind keyring v1\x00"...), name)
}
