package events

import "strings"

// Type is the CloudEvents type of an event: TypePrefix, a name, TypeSuffix.
type Type string

const (
	// TypePrefix and TypeSuffix surround the name of every type.
	TypePrefix = "dev.rescind."
	TypeSuffix = ".v1"
)

// The types. What each must carry is in schemas/events.
const (
	TokenIssued         Type = "dev.rescind.token.issued.v1"
	TokenRefreshed      Type = "dev.rescind.token.refreshed.v1"
	TokenVerified       Type = "dev.rescind.token.verified.v1"
	TokenRejected       Type = "dev.rescind.token.rejected.v1"
	TokenRevoked        Type = "dev.rescind.token.revoked.v1"
	SessionRevoked      Type = "dev.rescind.session.revoked.v1"
	SubjectRevoked      Type = "dev.rescind.subject.revoked.v1"
	ClientRevoked       Type = "dev.rescind.client.revoked.v1"
	KeyRevoked          Type = "dev.rescind.key.revoked.v1"
	IssuerRevoked       Type = "dev.rescind.issuer.revoked.v1"
	TenantRevoked       Type = "dev.rescind.tenant.revoked.v1"
	GrantRevoked        Type = "dev.rescind.grant.revoked.v1"
	RevocationLifted    Type = "dev.rescind.revocation.lifted.v1"
	RevocationRestored  Type = "dev.rescind.revocation.restored.v1"
	RevocationProposed  Type = "dev.rescind.revocation.proposed.v1"
	RevocationApproved  Type = "dev.rescind.revocation.approved.v1"
	RevocationDenied    Type = "dev.rescind.revocation.denied.v1"
	KeyPublished        Type = "dev.rescind.key.published.v1"
	KeyRotated          Type = "dev.rescind.key.rotated.v1"
	KeyRetired          Type = "dev.rescind.key.retired.v1"
	ConsentGranted      Type = "dev.rescind.consent.granted.v1"
	ConsentWithdrawn    Type = "dev.rescind.consent.withdrawn.v1"
	HoldPlaced          Type = "dev.rescind.hold.placed.v1"
	HoldReleased        Type = "dev.rescind.hold.released.v1"
	RequestReceived     Type = "dev.rescind.request.received.v1"
	RequestVerified     Type = "dev.rescind.request.verified.v1"
	RequestApproved     Type = "dev.rescind.request.approved.v1"
	RequestDenied       Type = "dev.rescind.request.denied.v1"
	RequestExtended     Type = "dev.rescind.request.extended.v1"
	RequestCancelled    Type = "dev.rescind.request.cancelled.v1"
	RequestExecuted     Type = "dev.rescind.request.executed.v1"
	RequestNotified     Type = "dev.rescind.request.notified.v1"
	RequestReported     Type = "dev.rescind.request.reported.v1"
	RequestCompleted    Type = "dev.rescind.request.completed.v1"
	RequestReapplied    Type = "dev.rescind.request.reapplied.v1"
	AuditAccessed       Type = "dev.rescind.audit.accessed.v1"
	AuditExported       Type = "dev.rescind.audit.exported.v1"
	FindingOpened       Type = "dev.rescind.finding.opened.v1"
	FindingAcknowledged Type = "dev.rescind.finding.acknowledged.v1"
	FindingClosed       Type = "dev.rescind.finding.closed.v1"
	SystemStarted       Type = "dev.rescind.system.started.v1"
	SystemStopped       Type = "dev.rescind.system.stopped.v1"
	SystemGap           Type = "dev.rescind.system.gap.v1"
)

// Types lists every type in the order of DESIGN: the one list that schemas,
// permissions and tests range over.
func Types() []Type {
	return []Type{
		TokenIssued, TokenRefreshed, TokenVerified, TokenRejected, TokenRevoked,
		SessionRevoked, SubjectRevoked, ClientRevoked, KeyRevoked, IssuerRevoked,
		TenantRevoked, GrantRevoked, RevocationLifted, RevocationRestored,
		RevocationProposed, RevocationApproved, RevocationDenied,
		KeyPublished, KeyRotated, KeyRetired, ConsentGranted, ConsentWithdrawn,
		HoldPlaced, HoldReleased,
		RequestReceived, RequestVerified, RequestApproved, RequestDenied,
		RequestExtended, RequestCancelled, RequestExecuted, RequestNotified, RequestReported, RequestCompleted, RequestReapplied,
		AuditAccessed, AuditExported,
		FindingOpened, FindingAcknowledged, FindingClosed,
		SystemStarted, SystemStopped, SystemGap,
	}
}

var known = func() map[Type]bool {
	m := make(map[Type]bool, 40)
	for _, t := range Types() {
		m[t] = true
	}
	return m
}()

// Known reports whether t is a type that Rescind accepts.
func (t Type) Known() bool { return known[t] }

// Name is t without prefix and suffix ("token.issued"): the last two tokens of
// the NATS subject and the name of the schema file.
func (t Type) Name() string {
	return strings.TrimSuffix(strings.TrimPrefix(string(t), TypePrefix), TypeSuffix)
}

// TypeNamed is the type with the given name, which need not be known.
func TypeNamed(name string) Type { return Type(TypePrefix + name + TypeSuffix) }

// Lane is one of the two queues of the log. Control is always drained first.
type Lane string

const (
	// Control carries what changes decisions: revocations, keys, consent,
	// requests, holds, findings, and the system's own events.
	Control Lane = "control"
	// Access carries what tokens do all day: issued, refreshed, verified,
	// rejected.
	Access Lane = "access"
)

// Lane is the lane of t.
func (t Type) Lane() Lane {
	switch t {
	case TokenIssued, TokenRefreshed, TokenVerified, TokenRejected:
		return Access
	default:
		return Control
	}
}

// Reserved reports whether only Rescind's own services may publish t. The
// doors for others (POST /v1/events, the credentials of issuers and verifiers)
// refuse it.
func (t Type) Reserved() bool {
	switch category, _, _ := strings.Cut(t.Name(), "."); category {
	case "request", "hold", "audit", "finding", "system", "revocation":
		return true
	default:
		return false
	}
}

// Scope is the set of tokens that a revocation reaches.
type Scope string

// The scopes, named by the identifier that a revocation of that scope carries.
const (
	ScopeToken   Scope = "token"   // iss, jti
	ScopeSession Scope = "session" // iss, sid
	ScopeSubject Scope = "subject" // iss, sub, issued before
	ScopeClient  Scope = "client"  // iss, client_id, issued before
	ScopeKey     Scope = "key"     // iss, kid
	ScopeIssuer  Scope = "issuer"  // iss, issued before
	ScopeTenant  Scope = "tenant"  // issued before
	ScopeGrant   Scope = "grant"   // iss, grant_id
)

// RevokedScope is the scope that events of type t revoke, or "" where t
// revokes nothing.
func (t Type) RevokedScope() Scope {
	switch t {
	case TokenRevoked, SessionRevoked, SubjectRevoked, ClientRevoked, KeyRevoked, IssuerRevoked, TenantRevoked, GrantRevoked:
		category, _, _ := strings.Cut(t.Name(), ".")
		return Scope(category)
	case RevocationRestored: // the one of an erasure
		return ScopeSubject
	default:
		return ""
	}
}

// HasCutoff reports whether a revocation of scope s is of what was issued up to a
// time. The others are of whatever was issued.
func (s Scope) HasCutoff() bool {
	return s == ScopeSubject || s == ScopeClient || s == ScopeIssuer || s == ScopeTenant
}

// RevokedType is the type that revokes scope s. It is not Known where s is no
// scope.
func (s Scope) RevokedType() Type { return TypeNamed(string(s) + ".revoked") }
