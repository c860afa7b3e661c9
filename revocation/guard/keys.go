package guard

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/rescindhq/rescind/events"
)

// ErrNoKey means that there is no such key, certainly.
var ErrNoKey = errors.New("no such key")

// KeySource is where the keys of an issuer come from. Key returns the key with
// the given id; "" asks for the only one there is. An error that is not ErrNoKey
// means that it cannot be told at present. It may be called from any goroutine.
type KeySource interface {
	Key(ctx context.Context, id string) (Key, error)
}

// Key is a public key and the one algorithm that it is used with.
type Key struct {
	ID        string // 1 to events.MaxTextBytes bytes without control characters: a key is revoked by it
	Algorithm string // a value of Algorithms
	Public    crypto.PublicKey
}

// same reports whether k and o are one key.
func (k Key) same(o Key) bool {
	public, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.ID == o.ID && k.Algorithm == o.Algorithm && public.Equal(o.Public)
}

// StaticKeys is a KeySource that does not change.
type StaticKeys []Key

// Key implements KeySource.
func (s StaticKeys) Key(_ context.Context, id string) (Key, error) { return pick(s, id) }

func pick(keys []Key, id string) (Key, error) {
	if id == "" && len(keys) == 1 {
		return keys[0], nil
	}
	at := slices.IndexFunc(keys, func(k Key) bool { return k.ID == id })
	if id == "" || at < 0 {
		return Key{}, ErrNoKey
	}
	return keys[at], nil
}

// jwk is one member of a JWK set (RFC 7517, RFC 7518 section 6, RFC 8037).
type jwk struct {
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
	N         string `json:"n"`
	E         string `json:"e"`
}

// ParseKeys reads a JWK set. Keys that cannot be used are left out, as RFC 7517
// section 5 has it: those for encryption, secret ones, kinds that are not in
// Algorithms; and those that are damaged or too weak, have no id that a revocation
// could name, or share it with another key, so that it cannot be told which is
// meant. It is an error where these leave none, and where the member keys, which
// makes it a set, is missing.
func ParseKeys(set []byte) (StaticKeys, error) {
	keys, _, err := parseKeys(set)
	return keys, err
}

// parseKeys is ParseKeys, and what is wrong with the keys that ought to be of
// use and are not.
func parseKeys(set []byte) (keys StaticKeys, faults []error, err error) {
	var in struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(set, &in); err != nil {
		return nil, nil, fmt.Errorf("JWK set: %w", err)
	}
	if in.Keys == nil {
		return nil, nil, errors.New("JWK set: it has no member keys")
	}
	named := make(map[string]int)
	for i, m := range in.Keys {
		k, err := parseKey(m)
		switch {
		case errors.Is(err, errOtherKind):
			continue
		case err != nil:
			faults = append(faults, fmt.Errorf("key %d: %w", i, err))
			continue
		case named[k.ID] > 0 && slices.ContainsFunc(keys, k.same):
			continue // as where two sets were made one: it is clear what is meant
		}
		if named[k.ID]++; named[k.ID] > 1 {
			faults = append(faults, fmt.Errorf("key %d: its id is another's as well", i))
		}
		keys = append(keys, k)
	}
	keys = slices.DeleteFunc(keys, func(k Key) bool { return named[k.ID] > 1 })
	if len(keys) == 0 && len(faults) > 0 {
		return nil, faults, fmt.Errorf("JWK set: no key can be used: %w", faults[0])
	}
	return keys, faults, nil
}

func parseKey(m json.RawMessage) (Key, error) {
	var j jwk
	if err := json.Unmarshal(m, &j); err != nil {
		return Key{}, errors.New("it is no JWK") // the cause could repeat what is in it
	}
	if j.Use != "" && j.Use != "sig" {
		return Key{}, errOtherKind
	}
	return j.key()
}

var errOtherKind = errors.New("not a kind of key that verifies tokens")

func (j *jwk) key() (Key, error) {
	public, algorithms, err := j.public()
	if err != nil {
		return Key{}, err
	}
	if j.Algorithm == "" {
		j.Algorithm = algorithms[0]
	}
	switch {
	case j.ID == "":
		return Key{}, errors.New("kid is missing")
	case !nameable(j.ID):
		return Key{}, fmt.Errorf("kid: want up to %d bytes without control characters, as no revocation could name another", events.MaxTextBytes)
	case !slices.Contains(algorithms, j.Algorithm):
		return Key{}, errOtherKind
	}
	return Key{ID: j.ID, Algorithm: j.Algorithm, Public: public}, nil
}

// public is the key and the algorithms that it can be used with, the usual one
// first.
func (j *jwk) public() (crypto.PublicKey, []string, error) {
	switch {
	case j.Type == "RSA":
		k, err := j.rsa()
		return k, []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, err
	case j.Type == "EC" && j.Curve == "P-256":
		k, err := j.ecdsa(elliptic.P256())
		return k, []string{"ES256"}, err
	case j.Type == "EC" && j.Curve == "P-384":
		k, err := j.ecdsa(elliptic.P384())
		return k, []string{"ES384"}, err
	case j.Type == "EC" && j.Curve == "P-521":
		k, err := j.ecdsa(elliptic.P521())
		return k, []string{"ES512"}, err
	case j.Type == "OKP" && j.Curve == "Ed25519":
		x, err := base64.RawURLEncoding.DecodeString(j.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, nil, errors.New("x: want 32 bytes in base64url")
		}
		return ed25519.PublicKey(x), []string{"EdDSA"}, nil
	default:
		return nil, nil, errOtherKind
	}
}

const minRSABits = 2048 // RFC 7518 section 3.3

func (j *jwk) rsa() (*rsa.PublicKey, error) {
	n, err := base64.RawURLEncoding.DecodeString(j.N)
	if err != nil {
		return nil, errors.New("n is not base64url")
	}
	e, err := base64.RawURLEncoding.DecodeString(j.E)
	if err != nil || len(e) == 0 || len(e) > 4 {
		return nil, errors.New("e: want up to 4 bytes in base64url")
	}
	k := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if k.N.BitLen() < minRSABits || k.E < 3 || k.E%2 == 0 {
		return nil, fmt.Errorf("RSA key: want at least %d bits and an odd exponent from 3", minRSABits)
	}
	return k, nil
}

func (j *jwk) ecdsa(curve elliptic.Curve) (*ecdsa.PublicKey, error) {
	x, errX := base64.RawURLEncoding.DecodeString(j.X)
	y, errY := base64.RawURLEncoding.DecodeString(j.Y)
	size := (curve.Params().BitSize + 7) / 8
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return nil, fmt.Errorf("x and y: want %d bytes each in base64url", size)
	}
	k, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errors.New("x and y are not a point of the curve")
	}
	return k, nil
}
