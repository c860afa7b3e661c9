package secrets

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Folder is where the keys are.
type Folder struct{ dir string }

// Init makes the folder and every key that is not in it yet.
func Init(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	f := &Folder{dir: dir}
	for name, create := range map[string]func() ([]byte, error){"feed.pem": newFeedKey, "api.pem": newAPIKey} {
		if err := f.once(name, create); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(f.Root(), 0o700); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if err := f.passwords(); err != nil {
		return nil, err
	}
	return f, f.once("jwks.json", f.publicKeys)
}

// Root is the path of the folder of the keyring's root, which is for the
// processes that use it to fill: see rootdir.
func (f *Folder) Root() string { return filepath.Join(f.dir, "root") }

// Feed is the path of the key that signs the feed.
func (f *Folder) Feed() string { return filepath.Join(f.dir, "feed.pem") }

// API is the path of the key that signs access tokens of the API.
func (f *Folder) API() string { return filepath.Join(f.dir, "api.pem") }

// JWKS is the path of the public key of API.
func (f *Folder) JWKS() string { return filepath.Join(f.dir, "jwks.json") }

// APIKey is the key that signs access tokens of the API, and its kid.
func (f *Folder) APIKey() (*ecdsa.PrivateKey, string, error) {
	b, err := os.ReadFile(f.API())
	if err != nil {
		return nil, "", fmt.Errorf("keys: %w", err)
	}
	key, err := ParsePrivateKey(b)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", f.API(), err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, "", fmt.Errorf("%s: want an ECDSA P-256 key", f.API())
	}
	kid, _, err := jwk(&ec.PublicKey)
	return ec, kid, err
}

// FeedPublicKey is the key that verifiers check the feed with.
func (f *Folder) FeedPublicKey() (ed25519.PublicKey, error) {
	b, err := os.ReadFile(f.Feed())
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	key, err := ParseFeedKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Feed(), err)
	}
	return key.Public().(ed25519.PublicKey), nil
}

// ParsePrivateKey reads a PKCS #8 key in PEM.
func ParsePrivateKey(b []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("want a PKCS #8 private key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T does not sign", key)
	}
	return signer, nil
}

// ParseFeedKey reads the Ed25519 key that signs the feed.
func ParseFeedKey(b []byte) (ed25519.PrivateKey, error) {
	key, err := ParsePrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("feed key: %w", err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("feed key: want Ed25519, not %T", key)
	}
	return ed, nil
}

// once writes the file unless it is there. A hard link makes it appear whole,
// and only if nobody else was first.
func (f *Folder) once(name string, create func() ([]byte, error)) error {
	path := filepath.Join(f.dir, name)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	b, err := create()
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return nil
}

func newFeedKey() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return encodeKey(key)
}

func newAPIKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return encodeKey(key)
}

func encodeKey(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func (f *Folder) publicKeys() ([]byte, error) {
	key, _, err := f.APIKey()
	if err != nil {
		return nil, err
	}
	_, member, err := jwk(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(map[string]any{"keys": []any{member}}, "", "  ")
}

// jwk is the public key as a JWK with its RFC 7638 thumbprint as kid.
func jwk(key *ecdsa.PublicKey) (string, map[string]string, error) {
	point, err := key.Bytes()
	if err != nil {
		return "", nil, err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	x, y := b64(point[1:33]), b64(point[33:])
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, x, y))
	kid := b64(sum[:])
	return kid, map[string]string{"kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES256", "use": "sig", "kid": kid}, nil
}

// Open opens a folder that Init made. It makes nothing.
func Open(dir string) (*Folder, error) {
	if _, err := os.Stat(filepath.Join(dir, "api.pem")); err != nil {
		return nil, fmt.Errorf("keys: %w: make them with `rescind keys init` or `rescind dev`", err)
	}
	return &Folder{dir: dir}, nil
}
