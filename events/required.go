package events

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Required lists the members of data that type t must carry. A name with a dot
// is a member of attributes.
func Required(t Type) []string { return slices.Clone(required[t]) }

var required = map[Type][]string{
	TokenIssued: {"iss", "jti"}, TokenRefreshed: {"iss", "jti"}, TokenVerified: {"iss"},
	TokenRevoked: {"iss", "jti"}, SessionRevoked: {"iss", "sid"}, SubjectRevoked: {"iss", "sub"},
	ClientRevoked: {"iss", "client_id"}, GrantRevoked: {"iss", "grant_id"}, KeyRevoked: {"iss", "kid"}, IssuerRevoked: {"iss"},
	RevocationLifted:   {"attributes.revocation", "attributes.position", "attributes.hash", "attributes.scope"},
	RevocationRestored: {"actor", "attributes.request", "attributes.hash", "attributes.feed_key"},
	RevocationProposed: {"actor", "attributes.proposal", "attributes.scope", "attributes.body"},
	RevocationApproved: {"actor", "attributes.proposal", "attributes.body"}, RevocationDenied: {"actor", "attributes.proposal"},
	KeyPublished: {"iss", "kid", "alg"}, KeyRotated: {"iss", "kid"}, KeyRetired: {"iss", "kid"},
	ConsentGranted: {"iss", "sub", "consent"}, ConsentWithdrawn: {"iss", "sub", "consent"},
	HoldPlaced: {"actor", "attributes.hold"}, HoldReleased: {"actor", "attributes.hold"},
	RequestReceived: {"iss", "sub", "attributes.request", "attributes.request_type"},
	RequestVerified: {"actor", "attributes.request"}, RequestApproved: {"actor", "attributes.request"},
	RequestDenied: {"actor", "attributes.request"}, RequestExtended: {"actor", "attributes.request"},
	RequestCancelled: {"actor", "attributes.request"}, RequestExecuted: {"actor", "attributes.request"}, RequestCompleted: {"actor", "attributes.request"},
	RequestNotified:  {"actor", "attributes.request", "attributes.recipient", "attributes.delivery"},
	RequestReapplied: {"actor", "attributes.request"},
	AuditAccessed:    {"actor", "attributes.purpose"}, AuditExported: {"actor", "attributes.purpose"},
	RequestReported: {"actor", "attributes.request", "attributes.ask", "attributes.answer"},
	FindingOpened:   {"attributes.finding"}, FindingAcknowledged: {"attributes.finding"}, FindingClosed: {"attributes.finding"},
}

func checkRequired(ev *Event) *Refusal {
	for _, name := range required[ev.Type] {
		if !ev.Data.has(name) {
			return refuse(ReasonMissing, "%s needs data.%s", ev.Type.Name(), name)
		}
	}
	if o := ev.Data.Outcome; o != "" && o != "success" && o != "failure" {
		return refuse(ReasonSchema, "data.outcome: want success or failure")
	}
	if c := ev.Data.Consent; c != nil && c.ID == "" {
		return refuse(ReasonSchema, "data.consent.id is empty")
	}
	switch ev.Type {
	case RevocationLifted:
		return checkLift(&ev.Data)
	case RevocationRestored:
		return checkRestored(&ev.Data)
	default:
		return nil
	}
}

// checkRestored checks that the attributes say what was revoked as a record does.
func checkRestored(d *Data) *Refusal {
	if r, err := ParseRef(d.Attributes["hash"]); err != nil || r.IsZero() {
		return refuse(ReasonSchema, "data.attributes.hash: want 32 hex digits")
	}
	if _, err := ParseGeneration(d.Attributes["feed_key"]); err != nil {
		return refuse(ReasonSchema, "data.attributes.feed_key: %v", err)
	}
	return nil
}

// ParseGeneration reads the generation of a key: 1 to 999999999.
func ParseGeneration(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || len(s) > 9 || n == 0 || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("generation: want a whole number from 1 of at most 9 digits")
	}
	return uint32(n), nil
}

// checkLift checks that the attributes name a revocation as its record does.
func checkLift(d *Data) *Refusal {
	for _, name := range []string{"revocation", "hash"} {
		if r, err := ParseRef(d.Attributes[name]); err != nil || r.IsZero() {
			return refuse(ReasonSchema, "data.attributes.%s: want 32 hex digits", name)
		}
	}
	if _, err := ParsePosition(d.Attributes["position"]); err != nil {
		return refuse(ReasonSchema, "data.attributes.position: want a whole number of at most 19 digits")
	}
	if !Scope(d.Attributes["scope"]).RevokedType().Known() {
		return refuse(ReasonSchema, "data.attributes.scope: not a scope")
	}
	return nil
}

// ParsePosition reads a position in a log: at most 19 decimal digits, without
// leading zeros.
func ParsePosition(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || len(s) > 19 || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("position: want a whole number of at most 19 digits")
	}
	return n, nil
}

// has reports whether the member that Required names is there.
func (d *Data) has(name string) bool {
	switch name {
	case "iss":
		return d.Issuer != ""
	case "sub":
		return d.Subject != ""
	case "jti":
		return d.TokenID != ""
	case "sid":
		return d.SessionID != ""
	case "client_id":
		return d.ClientID != ""
	case "grant_id":
		return d.GrantID != ""
	case "kid":
		return d.KeyID != ""
	case "alg":
		return d.Algorithm != ""
	case "actor":
		return d.Actor != ""
	case "consent":
		return d.Consent != nil
	default:
		return d.Attributes[strings.TrimPrefix(name, "attributes.")] != ""
	}
}
