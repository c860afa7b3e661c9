package guard

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// key chooses the key, and checks what the header says before it is believed.
func (g *Guard) key(ctx context.Context, parsed *jwt.Token, t *Token) (any, error) {
	if r := g.header(parsed); r != nil {
		return nil, r
	}
	kid, _ := parsed.Header["kid"].(string)
	k, err := g.cfg.Keys.Key(ctx, kid)
	switch {
	case errors.Is(err, ErrNoKey):
		return nil, refuse(ReasonKey)
	case err != nil:
		return nil, refuse(ReasonKeys)
	case !nameable(k.ID):
		return nil, refuse(ReasonKey)
	case k.Algorithm != parsed.Method.Alg():
		return nil, refuse(ReasonAlgorithm)
	}
	t.KeyID, t.Algorithm = k.ID, k.Algorithm
	return k.Public, nil
}

// header refuses headers that no access token has. Those that would have a
// verifier fetch a key, jku, x5u, jwk and x5c, are not looked at.
func (g *Guard) header(parsed *jwt.Token) *Refusal {
	typ, _ := parsed.Header["typ"].(string)
	kid, isText := parsed.Header["kid"].(string)
	_, named := parsed.Header["kid"]
	_, critical := parsed.Header["crit"]
	_, unencoded := parsed.Header["b64"] // not for JWTs: RFC 7797 section 7
	switch {
	case !slices.Contains(g.cfg.Algorithms, parsed.Method.Alg()):
		return refuse(ReasonAlgorithm)
	case critical || unencoded:
		return refuse(ReasonCritical)
	case !slices.Contains(g.cfg.Types, plainType(typ)):
		return refuse(ReasonType)
	case named && (!isText || kid == ""):
		return refuse(ReasonKey)
	case !plainHeader(parsed):
		return refuse(ReasonMalformed)
	}
	return nil
}

// plainHeader reports whether everybody reads the header as the parser did,
// which takes the last of two members for the only one.
func plainHeader(parsed *jwt.Token) bool {
	part, _, _ := strings.Cut(parsed.Raw, ".")
	doc, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && plain(doc, parsed.Header)
}
