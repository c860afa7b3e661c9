package guard_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer   = "https://issuer.example"
	audience = "https://api.example"
)

var (
	now      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ecKey, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rsaKey   = must(rsa.GenerateKey(rand.Reader, 2048))
	edKey    = ed25519.NewKeyFromSeed(make([]byte, 32))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func keys() guard.StaticKeys {
	return guard.StaticKeys{
		{ID: "ec", Algorithm: "ES256", Public: ecKey.Public()}, {ID: "rsa", Algorithm: "RS256", Public: rsaKey.Public()},
		{ID: "ed", Algorithm: "EdDSA", Public: edKey.Public()},
	}
}

// decider answers what a test says and remembers what it was asked.
type decider struct {
	answer revocation.Decision
	mu     sync.Mutex
	asked  []revocation.Claims
}

func (d *decider) Decide(c revocation.Claims) revocation.Decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, c)
	return d.answer
}

func active() *decider {
	return &decider{answer: revocation.Decision{State: revocation.Active, Position: 7}}
}

func newGuard(t *testing.T, change ...func(*guard.Config)) *guard.Guard {
	t.Helper()
	cfg := guard.Config{Issuer: issuer, Audience: []string{audience}, Keys: keys(), Feed: active(), Tenant: "acme", Now: func() time.Time { return now }}
	for _, c := range change {
		c(&cfg)
	}
	g, err := guard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func claims(change ...func(jwt.MapClaims)) jwt.MapClaims {
	c := jwt.MapClaims{"iss": issuer, "aud": audience, "sub": "alice", "jti": "token-1", "sid": "session-1", "client_id": "shop", "grant_id": "grant-1",
		"scope": "read", "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Minute).Unix()}
	for _, f := range change {
		f(c)
	}
	return c
}

func set(name string, v any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[name] = v } }
func without(name string) func(jwt.MapClaims)    { return func(c jwt.MapClaims) { delete(c, name) } }
func header(name string, v any) func(*jwt.Token) { return func(t *jwt.Token) { t.Header[name] = v } }
func withoutHeader(name string) func(*jwt.Token) {
	return func(t *jwt.Token) { delete(t.Header, name) }
}

func sign(t testing.TB, method jwt.SigningMethod, key any, kid string, c jwt.MapClaims, change ...func(*jwt.Token)) string {
	t.Helper()
	tok := jwt.NewWithClaims(method, c)
	tok.Header["typ"], tok.Header["kid"] = "at+jwt", kid
	for _, f := range change {
		f(tok)
	}
	raw, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func good(t testing.TB, c jwt.MapClaims, change ...func(*jwt.Token)) string {
	return sign(t, jwt.SigningMethodES256, ecKey, "ec", c, change...)
}

func reasonOf(t *testing.T, g *guard.Guard, raw string) guard.Reason {
	t.Helper()
	tok, err := g.Check(t.Context(), raw)
	if err == nil {
		return ""
	}
	var r *guard.Refusal
	if !errors.As(err, &r) || tok != nil {
		t.Fatalf("token %v, error %v", tok, err)
	}
	return r.Reason
}

func (broken) Key(context.Context, string) (guard.Key, error) { return guard.Key{}, errors.New("down") }
