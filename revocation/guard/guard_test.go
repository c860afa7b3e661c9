package guard_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
	"github.com/rescindhq/rescind/revocation/guard/guardecho"
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
		{"incomplete allowed", func(c *guard.Config) { c.AllowIncomplete = true }, good(t, claims(without("jti"), without("iat"))), ""},
		{"incomplete, and lives too long", func(c *guard.Config) { c.AllowIncomplete = true }, good(t, claims(without("iat"), set("exp", now.Add(25*time.Hour).Unix()))), guard.ReasonLifetime},
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

func (broken) Key(context.Context, string) (guard.Key, error) { return guard.Key{}, errors.New("down") }

func TestDecisionIsAskedForWhatTheTokenSays(t *testing.T) {
	t.Parallel()
	want := revocation.Claims{Tenant: "acme", Issuer: issuer, TokenID: "token-1", SessionID: "session-1", Subject: "alice", ClientID: "shop", KeyID: "ec",
		GrantID: "grant-1", IssuedAt: events.TimestampOf(now.Add(-time.Minute))}
	azp := want
	azp.ClientID = "other"
	incomplete := want
	incomplete.IssuedAt, incomplete.TokenID = 0, ""
	lowercase := want
	lowercase.Subject = ""
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
		{"no iat and jti", good(t, claims(without("iat"), without("jti"))), func(c *guard.Config) { c.AllowIncomplete = true }, incomplete},
		{"a name in capitals is another claim", good(t, claims(without("sub"), set("SUB", "alice"))), func(*guard.Config) {}, lowercase},
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
	_, err := guard.New(guard.Config{Audience: []string{""}, Tenant: "a b", Algorithms: []string{"HS256", "none"}, Leeway: time.Hour, MaxLifetime: -1, Policy: 9})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"issuer", "audience", "keys", "feed", "tenant", "HS256", "none", "leeway", "lifetime", "policy"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
}

// serve is the answer of each framework to one request.
func serve(g *guard.Guard, headers ...string) map[string]*httptest.ResponseRecorder {
	plain := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := guard.From(r.Context())
		w.Write([]byte(t.Claims.Subject))
	}))
	e := echo.New()
	e.GET("/", func(c echo.Context) error {
		t, _ := guard.From(c.Request().Context())
		return c.String(http.StatusOK, t.Claims.Subject)
	}, guardecho.Middleware(g))
	out := map[string]*httptest.ResponseRecorder{}
	for name, h := range map[string]http.Handler{"net/http": plain, "echo": e} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"] = headers
		out[name] = httptest.NewRecorder()
		h.ServeHTTP(out[name], r)
	}
	return out
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	revoked := &decider{answer: revocation.Decision{State: revocation.Revoked, Reason: "stolen laptop of alice"}}
	unknown := &decider{answer: revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseGap}}
	raw := good(t, claims())
	for _, tt := range []struct {
		name      string
		feed      *decider
		headers   []string
		status    int
		challenge string
	}{
		{"passes", active(), []string{"Bearer " + raw}, 200, ""},
		{"scheme in any case", active(), []string{"bearer " + raw}, 200, ""},
		{"no header", active(), nil, 401, "Bearer"},
		{"two headers", active(), []string{"Bearer " + raw, "Bearer " + raw}, 401, "Bearer"},
		{"another scheme", active(), []string{"Basic " + raw}, 401, "Bearer"},
		{"no token", active(), []string{"Bearer "}, 401, "Bearer"},
		{"revoked", revoked, []string{"Bearer " + raw}, 401, `Bearer error="invalid_token", error_description="the token was revoked"`},
		{"unknown", unknown, []string{"Bearer " + raw}, 503, ""},
		{"not valid", active(), []string{"Bearer abc"}, 401, `Bearer error="invalid_token", error_description="the token is not acceptable: malformed"`},
	} {
		g := newGuard(t, func(c *guard.Config) { c.Feed = tt.feed })
		for framework, w := range serve(g, tt.headers...) {
			body := w.Body.String()
			if w.Code != tt.status || w.Header().Get("WWW-Authenticate") != tt.challenge {
				t.Errorf("%s, %s: status %d, challenge %q", tt.name, framework, w.Code, w.Header().Get("WWW-Authenticate"))
			}
			if tt.status == 200 {
				if body != "alice" {
					t.Errorf("%s, %s: body %q", tt.name, framework, body)
				}
				continue
			}
			checkProblem(t, tt.name+", "+framework, w)
			if strings.Contains(body, "alice") || strings.Contains(body, "token-1") {
				t.Errorf("%s, %s: tells of the token: %s", tt.name, framework, body)
			}
		}
	}
}

func checkProblem(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Type == "" || p.Title == "" || p.Detail == "" {
		t.Errorf("%s: %v, problem %+v", name, err, p)
	}
	if w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", name, w.Header())
	}
	if (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
		t.Errorf("%s: status %d, Retry-After %q", name, w.Code, w.Header().Get("Retry-After"))
	}
}

// reports keeps what it is told.
type reports struct {
	mu  sync.Mutex
	got []events.Event
}

func (r *reports) Report(ev events.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, ev)
}

func TestReports(t *testing.T) {
	t.Parallel()
	full := events.Data{Issuer: issuer, Subject: "alice", TokenID: "token-1", SessionID: "session-1", ClientID: "shop", GrantID: "grant-1", Scope: "read",
		Audience: events.Audience{audience}, IssuedAt: events.TimestampOf(now.Add(-time.Minute)), Expires: events.TimestampOf(now.Add(time.Minute)), KeyID: "ec", Algorithm: "ES256"}
	with := func(change func(*events.Data)) events.Data {
		d := full
		change(&d)
		return d
	}
	stale := &decider{answer: revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseStale, Age: 9 * time.Second, Position: 7}}
	for _, tt := range []struct {
		name string
		raw  string
		feed *decider
		typ  events.Type
		want events.Data
	}{
		{"passes", good(t, claims()), active(), events.TokenVerified, with(func(d *events.Data) {
			d.Outcome, d.View, d.Attributes = "success", 7, map[string]string{"decision": "active", "age_ms": "0"}
		})},
		{"passes in doubt", good(t, claims()), stale, events.TokenVerified, with(func(d *events.Data) {
			d.Outcome, d.View, d.Attributes = "success", 7, map[string]string{"decision": "unknown", "age_ms": "9000", "cause": "stale"}
		})},
		{"revoked", good(t, claims()), &decider{answer: revocation.Decision{State: revocation.Revoked}}, events.TokenRejected, with(func(d *events.Data) {
			d.Outcome, d.Reason, d.Attributes = "failure", "revoked", map[string]string{"decision": "revoked", "age_ms": "0"}
		})},
		{"expired", good(t, claims(set("exp", now.Add(-time.Second).Unix()))), active(), events.TokenRejected, with(func(d *events.Data) {
			d.Outcome, d.Reason, d.Expires = "failure", "expired", events.TimestampOf(now.Add(-time.Second))
		})},
		{"claims that nobody signed", good(t, claims()) + "AAAA", active(), events.TokenRejected, events.Data{Outcome: "failure", Reason: "signature"}},
	} {
		r := &reports{}
		g := newGuard(t, func(c *guard.Config) { c.Feed, c.Report, c.Policy = tt.feed, r, guard.BestEffort })
		serve(g, "Bearer "+tt.raw)
		if len(r.got) != 2 { // one a framework
			t.Fatalf("%s: %d reports", tt.name, len(r.got))
		}
		want := events.Event{Type: tt.typ, Time: now, Tenant: "acme", Data: tt.want}
		if d := cmp.Diff(want, r.got[0]); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
		got := r.got[0]
		got.ID, got.Source = "1", "test"
		if refusal := (events.Policy{}).Validate(&got, now); refusal != nil {
			t.Errorf("%s: the intake would refuse it: %v", tt.name, refusal)
		}
	}
}

func TestClientIsReportedOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	for _, ask := range []bool{false, true} {
		r := &reports{}
		g := newGuard(t, func(c *guard.Config) { c.Report, c.ReportClient = r, ask })
		serve(g, "Bearer "+good(t, claims()))
		if got := r.got[0].Data.IP != ""; got != ask {
			t.Errorf("asked %v, reported %q", ask, r.got[0].Data.IP)
		}
	}
}

// stuck is a publisher that blocks until it is let go.
type stuck struct {
	release chan struct{}
	got     chan events.Event
}

func (s *stuck) Queue(ctx context.Context, ev events.Event) error {
	select {
	case <-s.release:
		s.got <- ev
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestReportsNeverDelayAndAreCounted(t *testing.T) {
	t.Parallel()
	p := &stuck{release: make(chan struct{}), got: make(chan events.Event, 100)}
	a := guard.NewAsync(p, 10, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	for range 50 { // returns, though nothing is taken
		a.Report(events.Event{Type: events.TokenVerified})
	}
	if n := a.Dropped(); n < 39 || n > 40 { // ten wait, and one may be in hand
		t.Errorf("dropped %d of 50", n)
	}
	close(p.release)
	cancel() // what waits is passed on all the same
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := uint64(len(p.got)) + a.Dropped(); got != 50 {
		t.Errorf("%d passed on, %d dropped", len(p.got), a.Dropped())
	}
}

func jwkSet(t *testing.T, extra ...map[string]any) []byte {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	ec := must(ecKey.PublicKey.Bytes())
	list := append([]map[string]any{
		{"kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(ec[1:33]), "y": b64(ec[33:])},
		{"kty": "RSA", "kid": "rsa", "alg": "RS256", "use": "sig", "n": b64(rsaKey.N.Bytes()), "e": "AQAB"},
		{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(edKey.Public().(ed25519.PublicKey))},
	}, extra...)
	return must(json.Marshal(map[string]any{"keys": list}))
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	got, err := guard.ParseKeys(jwkSet(t, map[string]any{"kty": "oct", "kid": "secret", "k": "AAAA"}, map[string]any{"kty": "RSA", "use": "enc", "kid": "enc"},
		map[string]any{"kty": "EC", "crv": "secp256k1", "kid": "koblitz"}, map[string]any{"kty": "OKP", "crv": "X25519", "kid": "x"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d keys", len(got))
	}
	for i, want := range keys() {
		p := got[i].Public.(interface{ Equal(crypto.PublicKey) bool })
		if got[i].ID != want.ID || got[i].Algorithm != want.Algorithm || !p.Equal(want.Public) {
			t.Errorf("key %d: got %+v", i, got[i])
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	weak := base64.RawURLEncoding.EncodeToString(make([]byte, 128))
	half := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	base := map[string]map[string]any{
		"no id":           {"kty": "OKP", "crv": "Ed25519", "x": half},
		"id used twice":   {"kty": "OKP", "crv": "Ed25519", "kid": "ec", "x": half},
		"weak RSA":        {"kty": "RSA", "kid": "w", "n": weak, "e": "AQAB"},
		"even exponent":   {"kty": "RSA", "kid": "w", "n": base64.RawURLEncoding.EncodeToString(rsaKey.N.Bytes()), "e": "AQAA"},
		"not on curve":    {"kty": "EC", "crv": "P-256", "kid": "w", "x": half, "y": half},
		"short Ed25519":   {"kty": "OKP", "crv": "Ed25519", "kid": "w", "x": "AAAA"},
		"not base64":      {"kty": "RSA", "kid": "w", "n": "**", "e": "AQAB"},
		"wrong kind of x": {"kty": "EC", "crv": "P-256", "kid": "w", "x": 5},
	}
	for name, k := range base {
		if got, err := guard.ParseKeys(jwkSet(t, maps.Clone(k))); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if _, err := guard.ParseKeys([]byte("no")); err == nil {
		t.Error("no JSON")
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAA"},{"kty":"RSA","n":"AQ","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, set []byte) {
		got, _ := guard.ParseKeys(set)
		for _, k := range got {
			if k.ID == "" || k.Algorithm == "" || k.Public == nil {
				t.Fatalf("got %+v", k)
			}
		}
	})
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
