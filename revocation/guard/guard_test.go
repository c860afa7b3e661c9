package guard_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
)

func TestTokensThatPass(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"ES256":               good(t, claims()),
		"RS256":               sign(t, jwt.SigningMethodRS256, rsaKey, "rsa", claims()),
		"EdDSA":               sign(t, jwt.SigningMethodEdDSA, edKey, "ed", claims()),
		"long form of typ":    good(t, claims(), header("typ", "application/AT+JWT")),
		"several audiences":   good(t, claims(set("aud", []string{"x", audience}))),
		"fractions":           good(t, claims(set("iat", float64(now.Unix())-0.5))),
		"jku is not followed": good(t, claims(), header("jku", "https://evil.example/keys")),
	} {
		if r := reasonOf(t, newGuard(t), raw); r != "" {
			t.Errorf("%s: refused: %s", name, r)
		}
	}
}

func TestTokensThatDoNotPass(t *testing.T) {
	t.Parallel()
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	raw := good(t, claims())
	part := strings.Split(raw, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"ec"}`)) + "." + part[1] + "."
	for _, tt := range []struct {
		name string
		raw  string
		want guard.Reason
	}{
		{"nothing", "", guard.ReasonMalformed},
		{"no JWT", "abc", guard.ReasonMalformed},
		{"four parts", raw + ".x", guard.ReasonMalformed},
		{"too long", raw + strings.Repeat("A", 17<<10), guard.ReasonMalformed},
		{"alg none", none, guard.ReasonAlgorithm},
		{"alg unknown", good(t, claims(), header("alg", "XX1")), guard.ReasonAlgorithm},
		{"HS256 with the public key as secret", sign(t, jwt.SigningMethodHS256, []byte(ecKey.X.Bytes()), "ec", claims()), guard.ReasonAlgorithm},
		{"PS256 with a key for RS256", sign(t, jwt.SigningMethodPS256, rsaKey, "rsa", claims()), guard.ReasonAlgorithm},
		{"kid of a key with another algorithm", sign(t, jwt.SigningMethodES256, ecKey, "rsa", claims()), guard.ReasonAlgorithm},
		{"typ of an ID token", good(t, claims(), header("typ", "JWT")), guard.ReasonType},
		{"no typ", good(t, claims(), withoutHeader("typ")), guard.ReasonType},
		{"typ is a number", good(t, claims(), header("typ", 1)), guard.ReasonType},
		{"crit", good(t, claims(), header("crit", []string{"exp"})), guard.ReasonCritical},
		{"unknown key", sign(t, jwt.SigningMethodES256, ecKey, "nobody", claims()), guard.ReasonKey},
		{"no kid, several keys", good(t, claims(), withoutHeader("kid")), guard.ReasonKey},
		{"empty kid", sign(t, jwt.SigningMethodES256, ecKey, "", claims()), guard.ReasonKey},
		{"kid is an object", good(t, claims(), header("kid", map[string]any{"a": 1})), guard.ReasonKey},
		{"signed by another", sign(t, jwt.SigningMethodES256, other, "ec", claims()), guard.ReasonSignature},
		{"signature left out", part[0] + "." + part[1] + ".", guard.ReasonSignature},
		{"claims swapped", part[0] + "." + strings.Split(good(t, claims(set("sub", "mallory"))), ".")[1] + "." + part[2], guard.ReasonSignature},
		{"another issuer", good(t, claims(set("iss", issuer+"/"))), guard.ReasonIssuer},
		{"no issuer", good(t, claims(without("iss"))), guard.ReasonIncomplete},
		{"another audience", good(t, claims(set("aud", "https://other.example"))), guard.ReasonAudience},
		{"no audience", good(t, claims(without("aud"))), guard.ReasonIncomplete},
		{"expired", good(t, claims(set("exp", now.Add(-time.Second).Unix()))), guard.ReasonExpired},
		{"expires now", good(t, claims(set("exp", now.Unix()))), guard.ReasonExpired},
		{"no exp", good(t, claims(without("exp"))), guard.ReasonIncomplete},
		{"nbf ahead", good(t, claims(set("nbf", now.Add(time.Second).Unix()))), guard.ReasonNotYet},
		{"iat ahead", good(t, claims(set("iat", now.Add(time.Second).Unix()))), guard.ReasonNotYet},
		{"no iat", good(t, claims(without("iat"))), guard.ReasonIncomplete},
		{"no jti", good(t, claims(without("jti"))), guard.ReasonIncomplete},
		{"no sub", good(t, claims(without("sub"))), guard.ReasonIncomplete},
		{"no client_id", good(t, claims(without("client_id"))), guard.ReasonIncomplete},
		{"lives too long", good(t, claims(set("exp", now.Add(24*time.Hour).Unix()))), guard.ReasonLifetime},
		{"jti is a number", good(t, claims(set("jti", 7))), guard.ReasonMalformed},
		{"sub is an object", good(t, claims(set("sub", map[string]any{}))), guard.ReasonMalformed},
		{"iat in milliseconds", good(t, claims(set("iat", now.UnixMilli()))), guard.ReasonMalformed},
		{"exp out of range", good(t, claims(set("exp", 1e300))), guard.ReasonMalformed},
		{"exp is text", good(t, claims(set("exp", "tomorrow"))), guard.ReasonMalformed},
		{"jti in capitals", good(t, claims(without("jti"), set("JTI", "x"))), guard.ReasonIncomplete},
	} {
		if r := reasonOf(t, newGuard(t), tt.raw); r != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, r, tt.want)
		}
	}
}

func TestConfigurationNarrowsAndWidens(t *testing.T) {
	t.Parallel()
	one := guard.StaticKeys{keys()[0]}
	for _, tt := range []struct {
		name   string
		change func(*guard.Config)
		raw    string
		want   guard.Reason
	}{
		{"algorithm not listed", func(c *guard.Config) { c.Algorithms = []string{"RS256"} }, good(t, claims()), guard.ReasonAlgorithm},
		{"other typ listed", func(c *guard.Config) { c.Types = []string{"application/JWT"} }, good(t, claims(), header("typ", "jwt")), ""},
		{"no typ listed", func(c *guard.Config) { c.Types = []string{""} }, good(t, claims(), withoutHeader("typ")), ""},
		{"incomplete allowed", func(c *guard.Config) { c.AllowIncomplete = true }, good(t, claims(without("jti"), without("sub"), without("client_id"))), ""},
		{"incomplete, and lives too long", func(c *guard.Config) { c.AllowIncomplete = true }, good(t, claims(without("jti"), set("exp", now.Add(25*time.Hour).Unix()))), guard.ReasonLifetime},
		{"incomplete allowed, but without iat it could live for ever", func(c *guard.Config) { c.AllowIncomplete = true }, good(t, claims(without("iat"))), guard.ReasonIncomplete},
		{"the same, of 1970", func(c *guard.Config) { c.AllowIncomplete = true }, good(t, claims(set("iat", 0))), guard.ReasonIncomplete},
		{"the id of the key is one that no revocation could name", func(c *guard.Config) {
			c.Keys = guard.StaticKeys{{ID: strings.Repeat("k", events.MaxTextBytes+1), Algorithm: "ES256", Public: ecKey.Public()}}
		}, good(t, claims(), withoutHeader("kid")), guard.ReasonKey},
		{"leeway", func(c *guard.Config) { c.Leeway = 10 * time.Second }, good(t, claims(set("exp", now.Add(-9*time.Second).Unix()), set("nbf", now.Add(9*time.Second).Unix()))), ""},
		{"beyond leeway", func(c *guard.Config) { c.Leeway = 10 * time.Second }, good(t, claims(set("exp", now.Add(-11*time.Second).Unix()))), guard.ReasonExpired},
		{"longer lifetime", func(c *guard.Config) { c.MaxLifetime = 48 * time.Hour }, good(t, claims(set("exp", now.Add(24*time.Hour).Unix()))), ""},
		{"one key needs no kid", func(c *guard.Config) { c.Keys = one }, good(t, claims(), withoutHeader("kid")), ""},
		{"no tenant", func(c *guard.Config) { c.TenantOf = func(*guard.Claims) string { return "" } }, good(t, claims()), guard.ReasonTenant},
		{"keys do not answer", func(c *guard.Config) { c.Keys = broken{} }, good(t, claims()), guard.ReasonKeys},
	} {
		if r := reasonOf(t, newGuard(t, tt.change), tt.raw); r != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, r, tt.want)
		}
	}
}

type broken struct{}

func TestDecisionIsAskedForWhatTheTokenSays(t *testing.T) {
	t.Parallel()
	want := revocation.Claims{Tenant: "acme", Issuer: issuer, TokenID: "token-1", SessionID: "session-1", Subject: "alice", ClientID: "shop", KeyID: "ec",
		GrantID: "grant-1", IssuedAt: events.TimestampOf(now.Add(-time.Minute))}
	azp := want
	azp.ClientID = "other"
	incomplete := want
	incomplete.TokenID, incomplete.Subject, incomplete.ClientID = "", "", ""
	lowercase := want
	lowercase.SessionID = ""
	tenant := want
	tenant.Tenant = "read"
	for _, tt := range []struct {
		name   string
		raw    string
		change func(*guard.Config)
		want   revocation.Claims
	}{
		{"all", good(t, claims()), func(*guard.Config) {}, want},
		{"azp stands in for client_id", good(t, claims(without("client_id"), set("azp", "other"))), func(*guard.Config) {}, azp},
		{"no jti, sub and client_id", good(t, claims(without("jti"), without("sub"), without("client_id"))), func(c *guard.Config) { c.AllowIncomplete = true }, incomplete},
		{"a name in capitals is another claim", good(t, claims(without("sid"), set("SID", "session-1"))), func(*guard.Config) {}, lowercase},
		{"key that the token does not name", good(t, claims(), withoutHeader("kid")), func(c *guard.Config) { c.Keys = guard.StaticKeys{keys()[0]} }, want},
		{"tenant from the claims", good(t, claims()), func(c *guard.Config) { c.TenantOf = func(c *guard.Claims) string { return c.Scope } }, tenant},
	} {
		d := active()
		if r := reasonOf(t, newGuard(t, tt.change, func(c *guard.Config) { c.Feed = d }), tt.raw); r != "" {
			t.Errorf("%s: refused: %s", tt.name, r)
		}
		if diff := cmp.Diff([]revocation.Claims{tt.want}, d.asked); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestFeedIsNotAskedForTokensThatAreNotValid(t *testing.T) {
	t.Parallel()
	d := active()
	reasonOf(t, newGuard(t, func(c *guard.Config) { c.Feed = d }), good(t, claims(set("exp", 1))))
	if len(d.asked) != 0 {
		t.Error("asked")
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	unknown := revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseStale}
	revoked := revocation.Decision{State: revocation.Revoked, Scope: events.ScopeSubject}
	s, b := guard.Strict, guard.BestEffort
	for _, tt := range []struct {
		answer             revocation.Decision
		all, route, tenant guard.Policy
		want               guard.Reason
	}{
		{unknown, s, s, s, guard.ReasonUnknown}, {unknown, s, b, b, guard.ReasonUnknown}, {unknown, b, s, b, guard.ReasonUnknown},
		{unknown, b, b, s, guard.ReasonUnknown}, {unknown, b, b, b, ""},
		{revoked, s, s, s, guard.ReasonRevoked}, {revoked, b, b, b, guard.ReasonRevoked},
		{revocation.Decision{State: revocation.Active}, s, s, s, ""},
		{revocation.Decision{}, s, s, s, guard.ReasonUnknown}, // a decider that says nothing
	} {
		g := newGuard(t, func(c *guard.Config) {
			c.Feed, c.Policy, c.PolicyOf = &decider{answer: tt.answer}, tt.all, func(string) guard.Policy { return tt.tenant }
		}).With(tt.route)
		if r := reasonOf(t, g, good(t, claims())); r != tt.want {
			t.Errorf("%s, policies %v %v %v: got %q, want %q", tt.answer.State, tt.all, tt.route, tt.tenant, r, tt.want)
		}
	}
}

func TestPolicyNames(t *testing.T) {
	t.Parallel()
	for _, p := range []guard.Policy{guard.Strict, guard.BestEffort} {
		if got, err := guard.ParsePolicy(p.String()); err != nil || got != p {
			t.Errorf("%s: got %v, %v", p, got, err)
		}
	}
	if p, err := guard.ParsePolicy("lax"); err == nil || p != guard.Strict {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	_, err := guard.New(guard.Config{Audience: []string{""}, Tenant: "a b", Algorithms: []string{"HS256", "none"}, Leeway: time.Hour, MaxLifetime: -1, Policy: 9, UnverifiedPerSecond: 1001})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"issuer", "audience", "keys", "feed", "tenant", "HS256", "none", "leeway", "lifetime", "policy", "unverified per second"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(good(f, claims()))
	g, err := guard.New(guard.Config{Issuer: issuer, Audience: []string{audience}, Keys: keys(), Feed: active(), Tenant: "acme", Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		tok, err := g.Check(t.Context(), raw)
		if err == nil && tok.Claims.Subject != "alice" {
			t.Fatal("passed a token that was not signed")
		}
	})
}
