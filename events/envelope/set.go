package envelope

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Set is the public keys of an intake, as they are published: a JWK set (RFC
// 7517) whose keys say from when until when they take new messages, with the
// time at which it was given out.
type Set struct {
	Keys []PublicKey
	Now  time.Time // whole seconds
}

// maxSet bounds a set: there are two or three keys in one.
const maxSet = 64 << 10

type jwkSet struct {
	Keys []jwk `json:"keys"`
	Now  int64 `json:"now"`
}

// jwk is a key. RFC 7517 has no times for one; nbf and exp mean what they do in
// the JWK sets of OpenID Federation.
type jwk struct {
	Kty       string `json:"kty"`
	Crv       string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	ID        string `json:"kid,omitempty"`
	Use       string `json:"use,omitempty"`
	Alg       string `json:"alg,omitempty"`
	NotBefore int64  `json:"nbf,omitempty"`
	Expires   int64  `json:"exp,omitempty"`
}

// Current is the key that a message sent at that time is encrypted to: of those
// that are taken then, the one that is taken longest. It is zero where there is
// none.
func (s Set) Current(at time.Time) (k PublicKey) {
	for _, other := range s.Keys {
		if other.Taken(at) && (k.IsZero() || other.Expires.After(k.Expires)) {
			k = other
		}
	}
	return k
}

// MarshalJSON writes s as a JWK set.
func (s Set) MarshalJSON() ([]byte, error) {
	out := jwkSet{Keys: []jwk{}, Now: s.Now.Unix()}
	for _, k := range s.Keys {
		x, y, err := point(k.key)
		if err != nil {
			return nil, err
		}
		out.Keys = append(out.Keys, jwk{keyType, curveName, x, y, k.ID, use, algorithm, k.NotBefore.Unix(), k.Expires.Unix()})
	}
	return json.Marshal(out)
}

// ParseSet reads a set that was published. Keys for other algorithms are left
// out: there may be some one day. One that claims to be ours and is not whole is
// an error.
func ParseSet(b []byte) (Set, error) {
	if len(b) > maxSet {
		return Set{}, fmt.Errorf("intake keys of %d bytes: the limit is %d", len(b), maxSet)
	}
	var in jwkSet
	if err := json.Unmarshal(b, &in); err != nil {
		return Set{}, errors.New("intake keys: not a JWK set")
	}
	if in.Now <= 0 {
		return Set{}, errors.New("intake keys: now is missing, the time at which they were given out")
	}
	set := Set{Now: time.Unix(in.Now, 0).UTC()}
	for i, j := range in.Keys {
		if j.Kty != keyType || j.Crv != curveName || j.Use != use || j.Alg != algorithm {
			continue
		}
		k, err := j.key()
		if err != nil {
			return Set{}, fmt.Errorf("intake keys: key %d: %w", i, err)
		}
		set.Keys = append(set.Keys, k)
	}
	return set, nil
}

// ParsePublic is the key with these coordinates, in base64url, of somebody who
// keeps it for as long as they like: it says nothing about times.
func ParsePublic(x, y string) (PublicKey, error) {
	return parsePublic(x, y, time.Time{}, time.Time{})
}

func parsePublic(x, y string, notBefore, expires time.Time) (PublicKey, error) {
	bx, errX := base64.RawURLEncoding.DecodeString(x)
	by, errY := base64.RawURLEncoding.DecodeString(y)
	if errX != nil || errY != nil || len(bx) != coordinate || len(by) != coordinate {
		return PublicKey{}, errors.New("x and y: want 32 bytes each in base64url")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, bx...), by...))
	if err != nil {
		return PublicKey{}, errors.New("x and y are no point of P-256")
	}
	return publicKey(key, notBefore, expires)
}

func (j *jwk) key() (PublicKey, error) {
	k, err := parsePublic(j.X, j.Y, time.Unix(j.NotBefore, 0), time.Unix(j.Expires, 0))
	switch {
	case err != nil:
		return PublicKey{}, err
	case j.ID != k.ID:
		return PublicKey{}, errors.New("kid is not the key's thumbprint")
	case j.NotBefore <= 0 || j.Expires <= j.NotBefore:
		return PublicKey{}, errors.New("nbf and exp: want a time, and a later one")
	}
	return k, nil
}
