package guard

import (
	"net/http"

	"github.com/rescindhq/rescind/revocation"
)

// Reason says why a token did not pass. The set is bounded: it is a metric
// label.
type Reason string

// The reasons.
const (
	ReasonMissing    Reason = "missing"       // no token, or not exactly one
	ReasonMalformed  Reason = "malformed"     // not a JWS in compact form, or a claim of the wrong kind
	ReasonAlgorithm  Reason = "algorithm"     // not accepted, or not that of its key
	ReasonType       Reason = "type"          // another kind of token
	ReasonCritical   Reason = "critical"      // crit names an extension that is not understood
	ReasonKey        Reason = "key"           // no such key
	ReasonSignature  Reason = "signature"     //
	ReasonIssuer     Reason = "issuer"        //
	ReasonAudience   Reason = "audience"      //
	ReasonExpired    Reason = "expired"       //
	ReasonNotYet     Reason = "not_yet_valid" // nbf or iat in the future
	ReasonIncomplete Reason = "incomplete"    // exp, iat or jti is missing
	ReasonLifetime   Reason = "lifetime"      // valid for longer than revocations are kept
	ReasonTenant     Reason = "tenant"        // of no tenant
	ReasonRevoked    Reason = "revoked"       //
	ReasonUnknown    Reason = "unknown"       // the feed cannot vouch for it, under Strict
	ReasonKeys       Reason = "keys"          // the key source does not answer
)

// Refusal is why a token did not pass.
type Refusal struct {
	Reason   Reason
	Decision revocation.Decision // where the reason is ReasonRevoked or ReasonUnknown
}

// Error makes a Refusal an error.
func (r *Refusal) Error() string { return "token refused: " + string(r.Reason) }

// Status is the HTTP status of r.
func (r *Refusal) Status() int {
	if r.Reason == ReasonUnknown || r.Reason == ReasonKeys {
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

// Detail is r for the one who sent the token. It holds nothing of the token.
func (r *Refusal) Detail() string {
	switch r.Reason {
	case ReasonMissing:
		return "send one access token as Authorization: Bearer"
	case ReasonRevoked:
		return "the token was revoked"
	case ReasonExpired:
		return "the token has expired"
	case ReasonUnknown:
		return "whether the token was revoked cannot be told at present"
	case ReasonKeys:
		return "the keys of the issuer cannot be fetched at present"
	default:
		return "the token is not acceptable: " + string(r.Reason)
	}
}

func refuse(r Reason) *Refusal { return &Refusal{Reason: r} }
