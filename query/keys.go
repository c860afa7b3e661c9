package query

import (
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
)

// Key is a public key that access tokens are verified with.
type Key struct {
	ID     string           // kid, required
	Public crypto.PublicKey // *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey
}

const minRSABits = 2048

// algorithm is the one algorithm that a key verifies. That a key fixes it, and
// not the token, is what keeps out confusion of algorithms (RFC 8725 section
// 3.1); HS* and none have no public key and so no place here.
func (k *Key) algorithm() (string, error) {
	switch p := k.Public.(type) {
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256():
			return "ES256", nil
		case elliptic.P384():
			return "ES384", nil
		case elliptic.P521():
			return "ES512", nil
		}
		return "", errors.New("curve: want P-256, P-384 or P-521")
	case *rsa.PublicKey:
		if p.N.BitLen() < minRSABits {
			return "", fmt.Errorf("RSA key of %d bits: want %d or more", p.N.BitLen(), minRSABits)
		}
		return "RS256", nil
	case ed25519.PublicKey:
		return "EdDSA", nil
	default:
		return "", errors.New("want an ECDSA, RSA or Ed25519 public key")
	}
}

// jwk is k as RFC 7517 writes it.
func (k *Key) jwk() (JWK, error) {
	alg, err := k.algorithm()
	if err != nil {
		return JWK{}, fmt.Errorf("key %s: %w", k.ID, err)
	}
	out := JWK{Kid: k.ID, Alg: alg, Use: "sig"}
	b64 := base64.RawURLEncoding.EncodeToString
	switch p := k.Public.(type) {
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			return JWK{}, fmt.Errorf("key %s: %w", k.ID, err)
		}
		half := (len(point) - 1) / 2
		out.Kty, out.Crv, out.X, out.Y = "EC", p.Curve.Params().Name, b64(point[1:1+half]), b64(point[1+half:])
	case *rsa.PublicKey:
		out.Kty, out.N, out.E = "RSA", b64(p.N.Bytes()), b64(big.NewInt(int64(p.E)).Bytes())
	case ed25519.PublicKey:
		out.Kty, out.Crv, out.X = "OKP", "Ed25519", b64(p)
	}
	return out, nil
}

// MarshalJWKS writes keys as a JWK set (RFC 7517).
func MarshalJWKS(keys []Key) ([]byte, error) {
	set := JWKS{Keys: []JWK{}}
	for _, k := range keys {
		j, err := k.jwk()
		if err != nil {
			return nil, fmt.Errorf("write JWK set: %w", err)
		}
		set.Keys = append(set.Keys, j)
	}
	return json.MarshalIndent(set, "", "  ")
}

// ParseJWKS reads the signature keys of a JWK set. A key that cannot verify
// what we accept is an error and not left out: it was put there for a reason.
func ParseJWKS(b []byte) ([]Key, error) {
	var set JWKS
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("read JWK set: %w", err)
	}
	var keys []Key
	for i, j := range set.Keys {
		if j.Use == "enc" {
			continue
		}
		k, err := j.key()
		if err != nil {
			return nil, fmt.Errorf("read JWK set: key %d: %w", i, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("read JWK set: no key in it")
	}
	return keys, nil
}

func (j *JWK) key() (Key, error) {
	k := Key{ID: j.Kid}
	if j.Kid == "" {
		return k, errors.New("no kid")
	}
	var err error
	switch j.Kty {
	case "EC":
		k.Public, err = j.ecdsa()
	case "RSA":
		k.Public, err = j.rsa()
	case "OKP":
		k.Public, err = j.ed25519()
	default:
		return k, errors.New("kty: want EC, RSA or OKP")
	}
	if err != nil {
		return k, err
	}
	alg, err := k.algorithm()
	if err == nil && j.Alg != "" && j.Alg != alg {
		err = fmt.Errorf("alg %.16q: such a key verifies %s here", j.Alg, alg)
	}
	return k, err
}

func (j *JWK) ecdsa() (crypto.PublicKey, error) {
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	curve, ok := curves[j.Crv]
	x, errX := base64.RawURLEncoding.DecodeString(j.X)
	y, errY := base64.RawURLEncoding.DecodeString(j.Y)
	if !ok || errX != nil || errY != nil {
		return nil, errors.New("crv, x and y: want a point of P-256, P-384 or P-521")
	}
	p, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, errors.New("x and y are no point of the curve")
	}
	return p, nil
}

func (j *JWK) rsa() (crypto.PublicKey, error) {
	n, errN := base64.RawURLEncoding.DecodeString(j.N)
	e, errE := base64.RawURLEncoding.DecodeString(j.E)
	if errN != nil || errE != nil || len(n) == 0 || len(e) == 0 || len(e) > 4 {
		return nil, errors.New("n and e: want base64url numbers")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
}

func (j *JWK) ed25519() (crypto.PublicKey, error) {
	x, err := base64.RawURLEncoding.DecodeString(j.X)
	if err != nil || j.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
		return nil, errors.New("crv and x: want a key of Ed25519")
	}
	return ed25519.PublicKey(x), nil
}
