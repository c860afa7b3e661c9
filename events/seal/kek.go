package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
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

// LoadKEK reads a file that holds what ParseKEK reads. It refuses a file that
// anybody but its owner can read or write.
func LoadKEK(path string) (KEK, error) {
	f, err := os.Open(path)
	if err != nil {
		return KEK{}, fmt.Errorf("key-encryption key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return KEK{}, fmt.Errorf("key-encryption key: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return KEK{}, fmt.Errorf("key-encryption key %s: mode %v: want a file of mode 0600", path, mode)
	}
	text := make([]byte, 128)
	n, err := f.Read(text)
	if err != nil {
		return KEK{}, fmt.Errorf("key-encryption key %s: %w", path, err)
	}
	k, err := ParseKEK(string(text[:n]))
	if err != nil {
		return KEK{}, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// KEKFromEnv reads the KEK from the environment variable of that name through
// getenv.
func KEKFromEnv(getenv func(string) string, name string) (KEK, error) {
	text := getenv(name)
	if text == "" {
		return KEK{}, fmt.Errorf("key-encryption key: %s is not set", name)
	}
	k, err := ParseKEK(text)
	if err != nil {
		return KEK{}, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// EnsureKEK loads the KEK in the file at path, or generates one and writes it
// there, mode 0600. Of two processes that start at once, both get the same. It
// is for the dev profile: in production a KEK is made once, by hand.
func EnsureKEK(path string) (KEK, error) {
	k, err := LoadKEK(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	tmp, err := writeTemp(path, GenerateKEK())
	if err != nil {
		return KEK{}, fmt.Errorf("key-encryption key: %w", err)
	}
	defer os.Remove(tmp)
	// A link, not a rename: it fails where another process was first.
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return KEK{}, fmt.Errorf("key-encryption key: %w", err)
	}
	return LoadKEK(path)
}

func writeTemp(path string, k KEK) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".kek-*") // made with mode 0600
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(base64.StdEncoding.EncodeToString(k.key[:]) + "\n"); err != nil {
		return f.Name(), err
	}
	return f.Name(), f.Sync()
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

// wrap is plain as it is stored under name: version, KEK id, nonce, ciphertext.
func (k *KEK) wrap(name string, plain []byte) []byte {
	dst := append(make([]byte, 0, 5+nonceSize+len(plain)+tagSize), wrapVersion)
	return k.key.encrypt(append(dst, k.id[:]...), plain, entryAAD(name))
}

// unwrap reads what wrap wrote under the same name.
func (k *KEK) unwrap(name string, stored []byte) ([]byte, error) {
	if len(stored) < 5 || stored[0] != wrapVersion {
		return nil, fmt.Errorf("not a keyring entry: %w", ErrSealed)
	}
	if [4]byte(stored[1:]) != k.id {
		return nil, ErrKEK
	}
	return k.key.decrypt(stored[5:], entryAAD(name))
}

const wrapVersion = 1

// entryAAD binds an entry to its name, so that entries cannot be swapped.
func entryAAD(name string) []byte { return lengthPrefixed("rescind keyring v1\x00", name) }
