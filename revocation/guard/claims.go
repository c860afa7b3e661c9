package guard

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rescindhq/rescind/events"
)

// Claims are the claims of a token that passed: those that a decision needs,
// and all of them in Members.
type Claims struct {
	Issuer    string
	Subject   string
	TokenID   string
	SessionID string
	ClientID  string // client_id, or azp where that is missing
	GrantID   string
	Scope     string
	Audience  events.Audience
	IssuedAt  events.Timestamp // 0 where the token does not say
	Expires   events.Timestamp
	NotBefore events.Timestamp
	Members   map[string]any
}

var errNotAnObject = errors.New("claims are not a JSON object")

// UnmarshalJSON reads claims by their exact names: package json would take
// "SUB" for sub.
func (c *Claims) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil || raw == nil {
		return errNotAnObject
	}
	var party string
	for name, into := range map[string]any{
		"iss": &c.Issuer, "sub": &c.Subject, "jti": &c.TokenID, "sid": &c.SessionID, "client_id": &c.ClientID, "azp": &party,
		"grant_id": &c.GrantID, "scope": &c.Scope, "aud": &c.Audience, "iat": &c.IssuedAt, "exp": &c.Expires, "nbf": &c.NotBefore,
	} {
		if v, ok := raw[name]; ok {
			if err := json.Unmarshal(v, into); err != nil {
				return fmt.Errorf("claim %s has the wrong kind of value", name)
			}
		}
	}
	if c.ClientID == "" {
		c.ClientID = party
	}
	return json.Unmarshal(b, &c.Members)
}

func numericDate(t events.Timestamp) (*jwt.NumericDate, error) {
	if t == 0 {
		return nil, nil
	}
	return &jwt.NumericDate{Time: t.Time()}, nil
}

// The methods that golang-jwt asks for.

func (c *Claims) GetExpirationTime() (*jwt.NumericDate, error) { return numericDate(c.Expires) }
func (c *Claims) GetIssuedAt() (*jwt.NumericDate, error)       { return numericDate(c.IssuedAt) }
func (c *Claims) GetNotBefore() (*jwt.NumericDate, error)      { return numericDate(c.NotBefore) }
func (c *Claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *Claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *Claims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings(c.Audience), nil }
