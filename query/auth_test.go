package query_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/query"
)

// TestRoutesAndRoles holds code, specification and roles together: every
// route of the one is in the other, asks for the scopes that it states, and
// lets in exactly the roles that have one of them.
func TestRoutesAndRoles(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	for _, op := range a.spec.operations(t) {
		path := strings.NewReplacer("{id}", "none", "{index}", "7").Replace(op.path)
		var body any
		if op.method == http.MethodPost {
			body = "{"
		}
		if got := a.call("", op.method, path, body).status; (got == http.StatusUnauthorized) != (len(op.scopes) > 0) {
			t.Errorf("%s %s without a token: %d", op.method, op.path, got)
		}
		for role, scopes := range query.Roles() {
			may := len(op.scopes) == 0 || slices.ContainsFunc(op.scopes, func(s string) bool { return slices.Contains(scopes, s) })
			got := a.call(a.token(role, query.AllTenants), op.method, path, body)
			if (got.status != http.StatusForbidden) != may {
				t.Errorf("%s %s as %s: %d, may %t", op.method, op.path, role, got.status, may)
			}
			if !may && op.method != http.MethodHead && got.problem(t).Type != "urn:rescind:problem:scope" {
				t.Errorf("%s %s as %s: %s", op.method, op.path, role, got.body)
			}
		}
	}
}

// TestRolesAreApart: nobody who administers reads personal data or approves,
// and nobody who receives or verifies requests approves them.
func TestRolesAreApart(t *testing.T) {
	t.Parallel()
	roles := query.Roles()
	for role, scopes := range roles {
		both := func(a, b string) bool { return slices.Contains(scopes, a) && slices.Contains(scopes, b) }
		for _, pair := range [][2]string{
			{query.ScopeRequestsWrite, query.ScopeRequestsApprove}, {query.ScopeRequestsVerify, query.ScopeRequestsApprove},
			{query.ScopeRevocationsWrite, query.ScopeAuditOpen}, {query.ScopeRevocationsWrite, query.ScopeRevocationsApprove}, {query.ScopeEventsWrite, query.ScopeAuditOpen},
		} {
			if both(pair[0], pair[1]) {
				t.Errorf("%s has %s and %s", role, pair[0], pair[1])
			}
		}
	}
	if d := cmp.Diff(query.RoleNames(), slices.Sorted(maps.Keys(roles))); d != "" {
		t.Error(d)
	}
}

// claims are those of a good access token.
func claims() jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"iss": testIssuer, "aud": testAudience, "sub": "ops-1", "client_id": "ops-1", "jti": "t1",
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "scope": "requests:read", "tenants": []string{"acme"},
	}
}

func with(change func(jwt.MapClaims)) jwt.MapClaims {
	c := claims()
	change(c)
	return c
}

func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims, header map[string]any) string {
	t.Helper()
	tok := jwt.NewWithClaims(method, c)
	tok.Header["typ"], tok.Header["kid"] = "at+jwt", testKeyID
	maps.Copy(tok.Header, header)
	raw, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestTokens is the rules of RFC 8725 and 9068, one broken at a time.
func TestTokens(t *testing.T) {
	t.Parallel()
	a := serve(t, new(parts).config())
	es256, good := jwt.SigningMethodES256, func(c jwt.MapClaims) string { return sign(t, jwt.SigningMethodES256, a.key, c, nil) }
	head := func(h map[string]any) string { return sign(t, es256, a.key, claims(), h) }
	der, err := x509.MarshalPKIXPublicKey(a.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	valid := good(claims())
	for _, c := range []struct {
		name, token, detail string
		status              int
	}{
		{"good", valid, "", 200},
		{"good, aud a list", good(with(func(c jwt.MapClaims) { c["aud"] = []string{"x", testAudience} })), "", 200},
		{"good, typ with application/", head(map[string]any{"typ": "application/at+jwt"}), "", 200},
		{"none", sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(), nil), "alg is not accepted: want ES256", 401},
		{"HS256 with a secret", sign(t, jwt.SigningMethodHS256, []byte("secret"), claims(), nil), "alg is not accepted", 401},
		{"HS256 with the public key as secret", sign(t, jwt.SigningMethodHS256, der, claims(), nil), "alg is not accepted", 401},
		{"another algorithm than the key's", sign(t, jwt.SigningMethodES384, p384, claims(), nil), "alg is not accepted", 401},
		{"wrong key", sign(t, es256, newKey(t), claims(), nil), "signature does not verify", 401},
		{"unknown kid", head(map[string]any{"kid": "other"}), "kid names no key", 401},
		{"no kid", head(map[string]any{"kid": nil}), "kid names no key", 401},
		{"kid that is no string", head(map[string]any{"kid": 7}), "kid names no key", 401},
		{"typ JWT", head(map[string]any{"typ": "JWT"}), "typ is not at+jwt", 401},
		{"no typ", head(map[string]any{"typ": nil}), "typ is not at+jwt", 401},
		{"crit", head(map[string]any{"crit": []string{"exp"}}), "crit", 401},
		{"jku is not looked at", head(map[string]any{"jku": "http://127.0.0.1:1/keys"}), "", 200},
		{"wrong audience", good(with(func(c jwt.MapClaims) { c["aud"] = "other" })), "aud is another", 401},
		{"wrong issuer", good(with(func(c jwt.MapClaims) { c["iss"] = "https://other.test" })), "iss is another", 401},
		{"expired", good(with(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Second).Unix() })), "expired", 401},
		{"no exp", good(with(func(c jwt.MapClaims) { delete(c, "exp") })), "missing", 401},
		{"no aud", good(with(func(c jwt.MapClaims) { delete(c, "aud") })), "missing", 401},
		{"no iss", good(with(func(c jwt.MapClaims) { delete(c, "iss") })), "missing", 401},
		{"no sub", good(with(func(c jwt.MapClaims) { delete(c, "sub") })), "sub is missing", 401},
		{"no iat", good(with(func(c jwt.MapClaims) { delete(c, "iat") })), "iat is missing", 401},
		{"no jti", good(with(func(c jwt.MapClaims) { delete(c, "jti") })), "jti is missing", 401},
		{"nbf ahead", good(with(func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() })), "not valid yet", 401},
		{"iat ahead", good(with(func(c jwt.MapClaims) { c["iat"] = time.Now().Add(time.Hour).Unix() })), "not valid yet", 401},
		{"without scope", good(with(func(c jwt.MapClaims) { delete(c, "scope") })), "want requests:read", 403},
		{"scope is a piece of another", good(with(func(c jwt.MapClaims) { c["scope"] = "xrequests:readx" })), "want requests:read", 403},
		{"not a JWT", "abc", "not a JWT", 401},
		{"signature cut off", valid[:strings.LastIndexByte(valid, '.')+1], "signature does not verify", 401},
		{"a byte changed", flip(valid), "", 401},
		{"too long", valid + strings.Repeat("A", 9<<10), "longer than 8 KiB", 401},
	} {
		got := a.call(c.token, "GET", "/v1/requests", nil)
		if got.status != c.status || !strings.Contains(string(got.body), c.detail) {
			t.Errorf("%s: %d %s, want %d with %q", c.name, got.status, got.body, c.status, c.detail)
		}
		if challenge := got.header.Get("WWW-Authenticate"); (c.status != 200) != strings.HasPrefix(challenge, "Bearer error=") {
			t.Errorf("%s: WWW-Authenticate %q", c.name, challenge)
		}
	}
	if strings.Contains(a.logs.String(), "eyJ") {
		t.Error("a token is in the log")
	}
}

// TestKeyFixesItsAlgorithm: that another key of ours has the token's
// algorithm does not make it that of this key.
func TestKeyFixesItsAlgorithm(t *testing.T) {
	t.Parallel()
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg := new(parts).config()
	cfg.Auth.Keys = []query.Key{{ID: "p384", Public: other.Public()}}
	a := serve(t, cfg)
	a.call(sign(t, jwt.SigningMethodES384, other, claims(), map[string]any{"kid": "p384"}), "GET", "/v1/requests", nil).want(t, http.StatusOK)
	got := a.call(sign(t, jwt.SigningMethodES384, other, claims(), nil), "GET", "/v1/requests", nil).want(t, http.StatusUnauthorized)
	if !strings.Contains(string(got.body), "alg is not the one of its key") {
		t.Errorf("%s", got.body)
	}
}

// flip changes a byte in the middle of the claims.
func flip(token string) string {
	b := []byte(token)
	i := strings.IndexByte(token, '.') + 20
	b[i] ^= 1
	return string(b)
}

func TestWithoutToken(t *testing.T) {
	t.Parallel()
	a := serve(t, new(parts).config())
	for _, header := range []string{"", "Basic abc", "Bearer", "Bearer "} {
		got := a.call("", "GET", "/v1/requests", nil, "Authorization", header).want(t, http.StatusUnauthorized)
		if c := got.header.Get("WWW-Authenticate"); c != "Bearer" {
			t.Errorf("%q: WWW-Authenticate %q", header, c)
		}
	}
}

// TestTenantsAreApart: a token reaches the tenants that it names.
func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	a := serve(t, new(parts).config())
	one, two, none := a.token("officer", "acme"), a.token("officer", "acme", "globex"), sign(t, jwt.SigningMethodES256, a.key, with(func(c jwt.MapClaims) {
		delete(c, "tenants")
		c["scope"] = "audit:read"
	}), nil)
	empty := sign(t, jwt.SigningMethodES256, a.key, with(func(c jwt.MapClaims) {
		c["tenants"], c["scope"] = []string{"", "a.b"}, "audit:read"
	}), nil)
	for _, c := range []struct {
		name, token string
		body        map[string]any
		status      int
	}{
		{"own", one, map[string]any{"tenant": "acme"}, 200},
		{"only one, left out", one, map[string]any{}, 200},
		{"another's", one, map[string]any{"tenant": "globex"}, 403},
		{"several, left out", two, map[string]any{}, 422},
		{"all", a.token("officer", query.AllTenants), map[string]any{"tenant": "any"}, 200},
		{"all, left out", a.token("officer", query.AllTenants), map[string]any{}, 422},
		{"the star as a tenant", one, map[string]any{"tenant": "*"}, 422},
		{"a token without tenants", none, map[string]any{"tenant": "acme"}, 403},
		{"a token whose tenant is empty", empty, map[string]any{"tenant": "acme"}, 403},
		{"a token whose tenant is empty, left out", empty, map[string]any{}, 422},
		{"no tenant at all", none, map[string]any{}, 422},
	} {
		if got := a.call(c.token, "POST", "/v1/audit/search", c.body); got.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, got.status, got.body, c.status)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for name, key := range signers(t) {
		keys := []query.Key{{ID: "k", Public: key.Public()}}
		set, err := query.MarshalJWKS(keys)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		loadSpec(t).check(t, "#/components/schemas/JWKS", set)
		back, err := query.ParseJWKS(set)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if eq, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !eq.Equal(back[0].Public) || back[0].ID != "k" {
			t.Errorf("%s: %s came back as another key", name, set)
		}
		if _, err := query.Mint(mintConfig(key)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func signers(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	out := map[string]crypto.Signer{}
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		out[c.Params().Name] = key
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	out["RSA"], out["Ed25519"] = r, e
	return out
}

func mintConfig(key crypto.Signer) query.MintConfig {
	return query.MintConfig{
		Key: key, KeyID: testKeyID, Issuer: testIssuer, Audience: testAudience, Subject: "s", Role: "admin", Tenants: []string{"acme"}, TTL: time.Minute,
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]string{
		"not JSON":             `{`,
		"no key":               `{"keys":[]}`,
		"symmetric":            `{"keys":[{"kty":"oct","kid":"k","k":"c2VjcmV0"}]}`,
		"no kid":               `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 43) + `"}]}`,
		"short Ed25519":        `{"keys":[{"kty":"OKP","kid":"k","crv":"Ed25519","x":"AAAA"}]}`,
		"short RSA":            `{"keys":[{"kty":"RSA","kid":"k","n":"` + strings.Repeat("_", 171) + `","e":"AQAB"}]}`,
		"RSA without e":        `{"keys":[{"kty":"RSA","kid":"k","n":"` + strings.Repeat("_", 342) + `"}]}`,
		"not on the curve":     `{"keys":[{"kty":"EC","kid":"k","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}]}`,
		"another curve":        `{"keys":[{"kty":"EC","kid":"k","crv":"secp256k1","x":"AA","y":"AA"}]}`,
		"HS256 for a key":      `{"keys":[{"kty":"OKP","kid":"k","alg":"HS256","crv":"Ed25519","x":"` + strings.Repeat("A", 43) + `"}]}`,
		"not base64":           `{"keys":[{"kty":"EC","kid":"k","crv":"P-256","x":"*","y":"*"}]}`,
		"encryption keys only": `{"keys":[{"kty":"OKP","kid":"k","use":"enc","crv":"Ed25519","x":"AAAA"}]}`,
	} {
		if keys, err := query.ParseJWKS([]byte(set)); err == nil {
			t.Errorf("%s: accepted %d keys", name, len(keys))
		}
	}
}

func TestMintRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*query.MintConfig){
		"role":      func(c *query.MintConfig) { c.Role = "king" },
		"no tenant": func(c *query.MintConfig) { c.Tenants = nil },
		"tenant":    func(c *query.MintConfig) { c.Tenants = []string{"a.b"} },
		"ttl":       func(c *query.MintConfig) { c.TTL = 0 },
		"subject":   func(c *query.MintConfig) { c.Subject = "" },
		"key":       func(c *query.MintConfig) { c.Key = nil },
	} {
		c := mintConfig(newKey(t))
		spoil(&c)
		if _, err := query.Mint(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseJWKS(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","kid":"k","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"k","n":"AQ","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := query.ParseJWKS(b)
		if err != nil {
			return
		}
		if _, err := query.MarshalJWKS(keys); err != nil {
			t.Fatalf("read but not written: %v", err)
		}
	})
}
