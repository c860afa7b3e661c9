package query

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events"
)

// MintConfig is an access token to be made. It serves rescind dev and rescind
// token; elsewhere an identity provider mints.
type MintConfig struct {
	// Key signs. Its public half must be in AuthConfig.Keys under KeyID.
	Key   crypto.Signer
	KeyID string
	// Issuer and Audience are those of AuthConfig.
	Issuer   string
	Audience string
	// Subject is the principal: what audit records call the actor.
	Subject string
	// Role is one of Roles; its scopes go into the token.
	Role string
	// Tenants that the token reaches; AllTenants for all. At least one.
	Tenants []string
	// TTL is how long it is valid, above 0.
	TTL time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Validate reports every fault of c at once.
func (c MintConfig) Validate() error {
	var faults []error
	for name, v := range map[string]string{"key id": c.KeyID, "issuer": c.Issuer, "audience": c.Audience, "subject": c.Subject} {
		if v == "" {
			faults = append(faults, fmt.Errorf("%s is missing", name))
		}
	}
	if c.Key == nil {
		faults = append(faults, errors.New("key is missing"))
	}
	if _, ok := Roles()[c.Role]; !ok {
		faults = append(faults, fmt.Errorf("role %.40q: want one of %s", c.Role, strings.Join(RoleNames(), ", ")))
	}
	if len(c.Tenants) == 0 {
		faults = append(faults, errors.New("no tenant"))
	}
	for _, t := range c.Tenants {
		if t != AllTenants && !events.ValidTenant(t) {
			faults = append(faults, fmt.Errorf("tenant %.80q: want 1 to %d of a-z A-Z 0-9 _ -, or %s", t, events.MaxTenantBytes, AllTenants))
		}
	}
	if c.TTL <= 0 {
		faults = append(faults, errors.New("ttl: want more than 0"))
	}
	return errors.Join(faults...)
}

// Mint is the token in compact form, an at+jwt of RFC 9068.
func Mint(c MintConfig) (string, error) {
	if err := c.Validate(); err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	method, err := methodOf(c.Key)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	now := c.Now()
	t := jwt.NewWithClaims(method, accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: c.Issuer, Subject: c.Subject, Audience: jwt.ClaimStrings{c.Audience}, ID: id.String(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(c.TTL)),
		},
		ClientID: c.Subject, Scope: strings.Join(Roles()[c.Role], " "), Tenants: c.Tenants,
	})
	t.Header["typ"], t.Header["kid"] = "at+jwt", c.KeyID
	signed, err := t.SignedString(c.Key)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	return signed, nil
}

// methodOf is the signing method of a private key that golang-jwt can use.
func methodOf(key crypto.Signer) (jwt.SigningMethod, error) {
	switch key.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
	default:
		return nil, errors.New("key: want an ECDSA, RSA or Ed25519 private key in memory")
	}
	k := Key{Public: key.Public()}
	alg, err := k.algorithm()
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return jwt.GetSigningMethod(alg), nil
}
