package events

import "slices"

// RevocationReason is why something was revoked, under a name that machines can
// tell apart. Any other text is carried as well.
type RevocationReason string

// The reasons: those of a certificate's revocation (RFC 5280, section 5.3.1)
// that fit a token, and those that only tokens have.
const (
	Unspecified           RevocationReason = "unspecified"
	KeyCompromise         RevocationReason = "key_compromise"
	TokenLeaked           RevocationReason = "token_leaked"
	CredentialCompromise  RevocationReason = "credential_compromise"
	Logout                RevocationReason = "logout"
	SessionEnded          RevocationReason = "session_ended"
	AccountDisabled       RevocationReason = "account_disabled"
	PrivilegeWithdrawn    RevocationReason = "privilege_withdrawn"
	AffiliationChanged    RevocationReason = "affiliation_changed"
	Superseded            RevocationReason = "superseded"
	CessationOfOperation  RevocationReason = "cessation_of_operation"
	Suspended             RevocationReason = "suspended" // certificateHold: with not_after, or until it is lifted
	SuspiciousActivity    RevocationReason = "suspicious_activity"
	PolicyViolation       RevocationReason = "policy_violation"
	DeviceLost            RevocationReason = "device_lost"
	ConsentNoLongerGiven  RevocationReason = "consent_withdrawn"
	ErasureOfPerson       RevocationReason = "erasure"
	AdministrativeMeasure RevocationReason = "administrative"
)

var revocationReasons = []RevocationReason{
	Unspecified, KeyCompromise, TokenLeaked, CredentialCompromise, Logout, SessionEnded, AccountDisabled, PrivilegeWithdrawn,
	AffiliationChanged, Superseded, CessationOfOperation, Suspended, SuspiciousActivity, PolicyViolation, DeviceLost,
	ConsentNoLongerGiven, ErasureOfPerson, AdministrativeMeasure,
}

// RevocationReasons lists the reasons.
func RevocationReasons() []RevocationReason { return slices.Clone(revocationReasons) }

// OtherReason is the label of a reason that is not one of ours.
const OtherReason = "other"

// ReasonLabel is a reason as a metric may be labelled with it: there are only
// so many.
func ReasonLabel(reason string) string {
	if slices.Contains(revocationReasons, RevocationReason(reason)) {
		return reason
	}
	return OtherReason
}
