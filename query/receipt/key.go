package receipt

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

var b64 = base64.RawURLEncoding.Strict()

// unbase64 is what s stands for. Each value has one text only: the decoder would pass
// over line breaks.
func unbase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line breaks in base64url")
	}
	return b64.DecodeString(s)
}

// Key is a public key that receipts are verified with.
type Key struct {
	ID     string // thumbprint of RFC 7638: it depends on nothing but the key
	Public ed25519.PublicKey
}

// NewKey is the key of public.
func NewKey(public ed25519.PublicKey) Key {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + b64.EncodeToString(public) + `"}`))
	return Key{b64.EncodeToString(sum[:]), public}
}

// JWK is a key as RFC 8037 writes it.
type JWK struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	Use string `json:"use"`
}

// JWK is k in JSON.
func (k Key) JWK() JWK { return JWK{"OKP", "Ed25519", b64.EncodeToString(k.Public), k.ID, alg, "sig"} }

// ErrKeys says that a file is no set of keys that receipts can be verified with.
var ErrKeys = errors.New("no set of receipt keys")

// maxKeys bounds a file of keys.
const maxKeys = 1 << 20

// ParseKeys reads a JWK set (RFC 7517), or one key of it.
func ParseKeys(b []byte) ([]Key, error) {
	if len(b) > maxKeys {
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrKeys, len(b), maxKeys)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("%w: it is not JSON: want what GET /v1/keys/receipts answers", ErrKeys)
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{b}
	}
	var keys []Key
	for i, raw := range set.Keys {
		k, err := parseKey(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrKeys, i+1, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: there is no key in it", ErrKeys)
	}
	return keys, nil
}

func parseKey(raw []byte) (Key, error) {
	var j struct {
		JWK
		D string `json:"d"`
	}
	if err := json.Unmarshal(raw, &j); err != nil {
		return Key{}, errors.New("it is no JSON object of a key")
	}
	x, err := unbase64(j.X)
	switch {
	case j.D != "":
		return Key{}, errors.New("it is a private key: whoever has it can sign receipts")
	case j.Kty != "OKP" || j.Crv != "Ed25519" || err != nil || len(x) != ed25519.PublicKeySize || j.Alg != "" && j.Alg != alg:
		return Key{}, errors.New("want kty OKP, crv Ed25519 and x of 32 bytes in base64url")
	}
	k := NewKey(x)
	if j.Kid != "" && j.Kid != k.ID {
		return Key{}, fmt.Errorf("it stands under %.60q, and is %s: one key was put in the place of another", j.Kid, k.ID)
	}
	return k, nil
}
