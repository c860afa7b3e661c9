package revocation

import (
	"time"

	"github.com/rescindhq/rescind/events"
)

// Claims is what a decision needs to know of a token. An empty identifier
// matches nothing; a zero IssuedAt means the token does not say.
type Claims struct {
	Tenant    string           // whose token it is: the verifier knows, not the token
	Issuer    string           // iss
	TokenID   string           // jti
	SessionID string           // sid
	Subject   string           // sub
	ClientID  string           // client_id
	KeyID     string           // kid of the key that verified the signature
	GrantID   string           // grant_id
	IssuedAt  events.Timestamp // iat
}

// id is the identifier that a revocation of scope s would name, and whether
// the claims have one.
func (c *Claims) id(s events.Scope) (string, bool) {
	var id string
	switch s {
	case events.ScopeToken:
		id = c.TokenID
	case events.ScopeSession:
		id = c.SessionID
	case events.ScopeGrant:
		id = c.GrantID
	case events.ScopeSubject:
		id = c.Subject
	case events.ScopeClient:
		id = c.ClientID
	case events.ScopeKey:
		id = c.KeyID
	case events.ScopeIssuer:
		return "", c.Issuer != ""
	case events.ScopeTenant:
		return "", true
	}
	return id, id != "" && c.Issuer != ""
}

// State is the outcome of a decision.
type State string

// The states.
const (
	Active  State = "active"  // no living revocation matches, and the view is complete and fresh
	Revoked State = "revoked" // a living revocation matches, however old the view is
	Unknown State = "unknown" // nothing in the view matches, but the view cannot vouch for that
)

// Cause says why a state is unknown.
type Cause string

// The causes.
const (
	CauseStale Cause = "stale" // nothing was heard for longer than the bound
	CauseGap   Cause = "gap"   // something was missed and is being fetched
	CauseCold  Cause = "cold"  // no view was loaded yet, or not the keys to read it
)

// Decision is the answer for one token.
type Decision struct {
	State    State
	Scope    events.Scope  // of the revocation that decided; "" unless revoked
	Reason   string        // of that revocation
	At       time.Time     // when Rescind received it; zero unless revoked
	Cause    Cause         // "" unless unknown
	Age      time.Duration // how old the view is; 0 from a Set, which does not know
	Position uint64        // log index, in the shard of the tenant, that the view reaches; 0 from a Set
}

// Scopes lists the scopes from the narrowest to the widest: the order in which
// a decision names one where several revoke alike.
func Scopes() []events.Scope {
	return append([]events.Scope(nil), scopes[:]...)
}

var scopes = [...]events.Scope{
	events.ScopeToken, events.ScopeSession, events.ScopeGrant, events.ScopeSubject,
	events.ScopeClient, events.ScopeKey, ofIssuer: events.ScopeIssuer, ofTenant: events.ScopeTenant,
}

// Before ofIssuer are those that name something of an issuer.
const (
	ofIssuer = iota + 6
	ofTenant
)

// rank is the place of s in Scopes, or -1.
func rank(s events.Scope) int {
	for i := range scopes {
		if scopes[i] == s {
			return i
		}
	}
	return -1
}
