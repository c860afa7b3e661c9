package erasure

// The reasons for which a request can be denied. The first seven are those of
// the Data Rights Protocol 1.0; the others are the exceptions of GDPR articles
// 12(5) and 17(3), and a hold.
const (
	SuspectedFraud      = "suspected_fraud"
	InsufVerification   = "insuf_verification"
	ReasonNoMatch       = "no_match"
	ClaimNotCovered     = "claim_not_covered"
	OutsideJurisdiction = "outside_jurisdiction"
	TooManyRequests     = "too_many_requests"
	OtherReason         = "other" // say which in the note
	LegalHold           = "legal_hold"
	LegalObligation     = "legal_obligation"
	FreedomOfExpression = "freedom_of_expression"
	PublicInterest      = "public_interest"
	LegalClaims         = "legal_claims"
	ManifestlyUnfounded = "manifestly_unfounded"
	Excessive           = "excessive"
)

// DenialReasons lists them.
func DenialReasons() []string {
	return []string{
		SuspectedFraud, InsufVerification, ReasonNoMatch, ClaimNotCovered, OutsideJurisdiction, TooManyRequests, OtherReason,
		LegalHold, LegalObligation, FreedomOfExpression, PublicInterest, LegalClaims, ManifestlyUnfounded, Excessive,
	}
}
