package guard

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

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

// UnmarshalJSON reads claims by their exact names: package json would take
// "SUB" for sub, and the last of two for the only one.
func (c *Claims) UnmarshalJSON(b []byte) error {
	members, err := readObject(b)
	if err != nil {
		return err
	}
	r := claimReader{members: members}
	*c = Claims{
		Issuer: r.id("iss"), Subject: r.id("sub"), TokenID: r.id("jti"), SessionID: r.id("sid"), ClientID: r.id("client_id"), GrantID: r.id("grant_id"),
		Scope: r.text("scope"), Audience: r.audience(), IssuedAt: r.date("iat"), Expires: r.date("exp"), NotBefore: r.date("nbf"), Members: members,
	}
	if party := r.id("azp"); c.ClientID == "" {
		c.ClientID = party
	}
	return r.err
}

// claimReader takes typed values from the members of a token. A member that is
// null is one that is missing.
type claimReader struct {
	members map[string]any
	err     error // the last one
}

func (r *claimReader) refuse(name string) {
	r.err = fmt.Errorf("claim %s has the wrong kind of value", name)
}

func (r *claimReader) text(name string) string {
	v := r.members[name]
	s, ok := v.(string)
	if !ok && v != nil {
		r.refuse(name)
	}
	return s
}

// id is a text by which a token can be revoked. One that no revocation could
// name is refused: the token would outlive every attempt to revoke it.
func (r *claimReader) id(name string) string {
	s := r.text(name)
	if !nameable(s) {
		r.refuse(name)
	}
	return s
}

// nameable reports whether a revocation could name an identifier.
func nameable(id string) bool {
	return len(id) <= events.MaxTextBytes && !strings.ContainsFunc(id, unicode.IsControl)
}

func (r *claimReader) date(name string) (t events.Timestamp) {
	v := r.members[name]
	n, ok := v.(float64)
	switch {
	case v == nil:
		return 0
	case !ok || t.UnmarshalJSON(strconv.AppendFloat(nil, n, 'g', -1, 64)) != nil:
		r.refuse(name)
	}
	return t
}

func (r *claimReader) audience() (out events.Audience) {
	switch v := r.members["aud"].(type) {
	case nil:
	case string:
		return events.Audience{v}
	case []any:
		for _, member := range v {
			s, ok := member.(string)
			if !ok {
				r.refuse("aud")
			}
			out = append(out, s)
		}
	default:
		r.refuse("aud")
	}
	return out
}

// complete reports whether c has what RFC 9068 section 2.2 requires beside
// what the parser and judge check: what is missing is what the token could not be
// revoked by.
func (c *Claims) complete() bool {
	return c.TokenID != "" && c.Subject != "" && c.ClientID != ""
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

var errNotAnObject = errors.New("not a JSON object that everybody reads alike")
