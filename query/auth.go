package query

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
)

// AuthConfig says whose access tokens are accepted.
type AuthConfig struct {
	// Issuer is the iss that a token must have. Required.
	Issuer string
	// Audience is what aud must hold. Required.
	Audience string
	// Keys verify signatures; each fixes its own algorithm. At least one, with
	// distinct ids. They are published at /.well-known/jwks.json.
	Keys []Key
	// Leeway is how far clocks may be apart when exp, nbf and iat are judged.
	// Default 0; up to a minute.
	Leeway time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

const (
	maxLeeway     = time.Minute
	maxTokenBytes = 8 << 10
)

func (c *AuthConfig) validate() error {
	var faults []error
	if c.Issuer == "" || c.Audience == "" {
		faults = append(faults, errors.New("issuer and audience are required"))
	}
	if len(c.Keys) == 0 {
		faults = append(faults, errors.New("no key to verify access tokens with"))
	}
	seen := map[string]bool{}
	for _, k := range c.Keys {
		if _, err := k.algorithm(); err != nil {
			faults = append(faults, fmt.Errorf("key %s: %w", k.ID, err))
		}
		if k.ID == "" || seen[k.ID] {
			faults = append(faults, fmt.Errorf("key id %q is empty or used twice", k.ID))
		}
		seen[k.ID] = true
	}
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		faults = append(faults, fmt.Errorf("leeway %s: want 0 to %s", c.Leeway, maxLeeway))
	}
	return errors.Join(faults...)
}

// Principal is who calls, as their token says.
type Principal struct {
	Subject string   // sub of the access token: a person or program of ours, not a data subject
	Tenants []string // AllTenants for all
	Scopes  []string
	Expires time.Time // from then on the token is refused
}

// Reaches reports whether p may act for tenant.
func (p *Principal) Reaches(tenant string) bool {
	return slices.Contains(p.Tenants, AllTenants) || slices.Contains(p.Tenants, tenant)
}

// ReachesAll reports whether p may act for every tenant.
func (p *Principal) ReachesAll() bool { return slices.Contains(p.Tenants, AllTenants) }

// Has reports whether p has any of scopes.
func (p *Principal) Has(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(p.Scopes, s) })
}

// only is the one tenant that p reaches, or "".
func (p *Principal) only() string {
	if len(p.Tenants) == 1 && !p.ReachesAll() {
		return p.Tenants[0]
	}
	return ""
}

// tenant is the tenant that a body or parameter names, or p's only one.
func (p *Principal) tenant(named string) (string, error) {
	if named == "" {
		named = p.only()
	}
	switch {
	case named == "":
		return "", invalid("tenant", "name the tenant: your token reaches several")
	case !events.ValidTenant(named):
		return "", invalid("tenant", "want 1 to %d of a-z A-Z 0-9 _ -", events.MaxTenantBytes)
	case !p.Reaches(named):
		return "", errTenant
	default:
		return named, nil
	}
}

// accessClaims are the claims of an access token (RFC 9068).
type accessClaims struct {
	jwt.RegisteredClaims
	ClientID string   `json:"client_id,omitempty"`
	Scope    string   `json:"scope"`
	Tenants  []string `json:"tenants"`
}

// verifier judges access tokens.
type verifier struct {
	keys   map[string]Key
	algs   map[string]string // by key id
	names  string            // the algorithms, for people
	leeway time.Duration
	parser *jwt.Parser
}

func newVerifier(c AuthConfig) (*verifier, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	v := &verifier{keys: map[string]Key{}, algs: map[string]string{}, leeway: c.Leeway}
	var algs []string
	for _, k := range c.Keys {
		alg, _ := k.algorithm() // validated above
		v.keys[k.ID], v.algs[k.ID] = k, alg
		algs = append(algs, alg)
	}
	slices.Sort(algs)
	v.names = strings.Join(slices.Compact(algs), ", ")
	if c.Now == nil {
		c.Now = time.Now
	}
	v.parser = jwt.NewParser( // which algorithm is valid is decided in key, for each key
		jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(c.Leeway), jwt.WithTimeFunc(c.Now), jwt.WithStrictDecoding(),
	)
	return v, nil
}

// verify is who the bearer of raw is, or why nobody. The reason says which
// rule was broken and what would be right, and repeats nothing of the token
// but its algorithm.
func (v *verifier) verify(raw string) (Principal, error) {
	if len(raw) > maxTokenBytes {
		return Principal{}, &tokenError{"the token is longer than 8 KiB"}
	}
	var c accessClaims
	if _, err := v.parser.ParseWithClaims(raw, &c, v.key); err != nil {
		return Principal{}, v.explain(err)
	}
	switch {
	case c.Subject == "":
		return Principal{}, &tokenError{"sub is missing"}
	case c.IssuedAt == nil:
		return Principal{}, &tokenError{"iat is missing"}
	case c.ID == "":
		return Principal{}, &tokenError{"jti is missing"}
	}
	named := func(t string) bool { return t == AllTenants || events.ValidTenant(t) }
	tenants := slices.DeleteFunc(c.Tenants, func(t string) bool { return !named(t) })
	return Principal{Subject: c.Subject, Tenants: tenants, Scopes: strings.Fields(c.Scope), Expires: c.ExpiresAt.Add(v.leeway)}, nil
}

// key chooses the key and with it the algorithm; jku, x5u and jwk are not
// looked at.
func (v *verifier) key(t *jwt.Token) (any, error) {
	typ, _ := t.Header["typ"].(string)
	if typ = strings.TrimPrefix(strings.ToLower(typ), "application/"); typ != "at+jwt" {
		return nil, &tokenError{"typ is not at+jwt: this is no access token"}
	}
	if !slices.Contains(slices.Collect(maps.Values(v.algs)), t.Method.Alg()) {
		return nil, &tokenError{v.wantAlgs()}
	}
	if _, has := t.Header["crit"]; has {
		return nil, &tokenError{"crit names an extension that is not understood"}
	}
	kid, _ := t.Header["kid"].(string)
	k, known := v.keys[kid]
	switch {
	case !known:
		return nil, &tokenError{"kid names no key of ours"}
	case t.Method.Alg() != v.algs[kid]:
		return nil, &tokenError{"alg is not the one of its key"}
	default:
		return k.Public, nil
	}
}

// explain is err for the one who sent the token.
func (v *verifier) explain(err error) error {
	var told *tokenError
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, jwt.ErrTokenMalformed):
		return &tokenError{"not a JWT in compact form"}
	case errors.Is(err, jwt.ErrTokenExpired):
		return &tokenError{"expired"}
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return &tokenError{"not valid yet"}
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return &tokenError{"aud is another: the token is for somebody else"}
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return &tokenError{"iss is another"}
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return &tokenError{"exp, aud or iss is missing"}
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return &tokenError{v.wantAlgs()}
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return &tokenError{"the signature does not verify"}
	default:
		return &tokenError{"not acceptable"}
	}
}

func (v *verifier) wantAlgs() string { return "alg is not accepted: want " + v.names }

const principalKey = "rescind principal"

// require lets pass who has any of scopes.
func (s *Server) require(scopes ...string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			scheme, raw, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
			if raw = strings.TrimSpace(raw); raw == "" || !strings.EqualFold(scheme, "bearer") {
				return &tokenError{}
			}
			p, err := s.verifier.verify(raw)
			if err != nil {
				return err
			}
			if !p.Has(scopes...) {
				return &scopeError{scopes}
			}
			c.Set(principalKey, &p)
			return next(c)
		}
	}
}

// caller is who calls. Routes without authentication have none.
func caller(c echo.Context) *Principal {
	p, _ := c.Get(principalKey).(*Principal)
	if p == nil {
		return &Principal{} // reaches nothing
	}
	return p
}
