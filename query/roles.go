package query

import (
	"maps"
	"slices"
)

// The scopes that a route can ask for. They are values of the scope claim.
const (
	ScopeEventsWrite        = "events:write"        // publish any event that is not reserved
	ScopeEventsReport       = "events:report"       // publish token.verified and token.rejected
	ScopeRevocationsWrite   = "revocations:write"   // revoke
	ScopeRevocationsRead    = "revocations:read"    // see revocations
	ScopeRevocationsLift    = "revocations:lift"    // take them back
	ScopeRevocationsApprove = "revocations:approve" // approve and deny wide ones
	ScopeFeedRead           = "feed:read"           // follow the revocation feed, and hold its keys
	ScopeCheck              = "check"               // ask whether a token is revoked
	ScopeAuditRead          = "audit:read"          // read events without personal data
	ScopeAuditOpen          = "audit:open"          // read personal data, for a purpose
	ScopeRequestsWrite      = "requests:write"      // record and cancel requests of data subjects
	ScopeRequestsSubmit     = "requests:submit"     // send requests by another protocol, and see one's own
	ScopeRequestsRead       = "requests:read"       // see them
	ScopeRequestsVerify     = "requests:verify"     // state that an identity was verified, extend
	ScopeRequestsApprove    = "requests:approve"    // approve, deny, lift
	ScopeRequestsExport     = "requests:export"     // hand out what was exported for a data subject
	ScopeHoldsRead          = "holds:read"          // see legal holds
	ScopeHoldsWrite         = "holds:write"         // place and release them
	ScopeFindingsRead       = "findings:read"       // see findings
	ScopeQuarantineRead     = "quarantine:read"     // see what was refused
	ScopeQuarantineReplay   = "quarantine:replay"   // publish what was refused again
	ScopeMetricsRead        = "metrics:read"        // scrape metrics
)

// AllTenants in a token's tenants reaches every tenant.
const AllTenants = "*"

// Roles maps each role to its scopes, sorted. A role is only a name for scopes
// when a token is minted: a token carries scopes.
//
// Who administers does not read personal data and does not approve: those are
// two other people.
func Roles() map[string][]string {
	roles := map[string][]string{
		"admin": {
			ScopeEventsWrite, ScopeRevocationsWrite, ScopeRevocationsRead, ScopeRevocationsLift, ScopeCheck,
			ScopeAuditRead, ScopeRequestsWrite, ScopeRequestsRead, ScopeRequestsVerify,
			ScopeFindingsRead, ScopeQuarantineRead, ScopeQuarantineReplay, ScopeMetricsRead,
		},
		"officer": {
			ScopeAuditRead, ScopeAuditOpen, ScopeRevocationsRead, ScopeCheck, ScopeRequestsRead,
			ScopeFindingsRead, ScopeQuarantineRead, ScopeHoldsRead, ScopeHoldsWrite,
		},
		"handler":  {ScopeHoldsRead, ScopeRequestsExport, ScopeRequestsWrite, ScopeRequestsRead, ScopeRequestsVerify, ScopeAuditRead, ScopeRevocationsRead},
		"approver": {ScopeHoldsRead, ScopeHoldsWrite, ScopeRequestsRead, ScopeRequestsApprove, ScopeRevocationsRead, ScopeRevocationsApprove, ScopeAuditRead},
		"issuer":   {ScopeEventsWrite, ScopeRevocationsWrite, ScopeRevocationsRead, ScopeRevocationsLift, ScopeCheck},
		"agent":    {ScopeRequestsSubmit},
		"verifier": {ScopeEventsReport, ScopeRevocationsRead, ScopeFeedRead, ScopeCheck},
	}
	for _, scopes := range roles {
		slices.Sort(scopes)
	}
	return roles
}

// RoleNames lists the roles, sorted.
func RoleNames() []string { return slices.Sorted(maps.Keys(Roles())) }

// access lists, for each operation, the scopes of which any suffices. One
// without scopes is open to everybody. It says what the specification says.
var access = map[string][]string{
	"publishEvents":          {ScopeEventsWrite, ScopeEventsReport},
	"revoke":                 {ScopeRevocationsWrite},
	"revokeBulk":             {ScopeRevocationsWrite},
	"getBulk":                {ScopeRevocationsWrite},
	"getRevocation":          {ScopeRevocationsRead},
	"listVerifiers":          {ScopeRevocationsRead},
	"streamRevocations":      {ScopeFeedRead},
	"getRevocationSnapshot":  {ScopeFeedRead},
	"headRevocationSnapshot": {ScopeFeedRead},
	"listFeedKeys":           {ScopeFeedRead},
	"liftRevocation":         {ScopeRevocationsLift},
	"previewRevocation":      {ScopeRevocationsWrite, ScopeRevocationsApprove},
	"proposeRevocation":      {ScopeRevocationsWrite},
	"listProposals":          {ScopeRevocationsRead},
	"getProposal":            {ScopeRevocationsRead},
	"approveProposal":        {ScopeRevocationsApprove},
	"denyProposal":           {ScopeRevocationsApprove, ScopeRevocationsWrite},
	"listLeaks":              {ScopeAuditRead},
	"check":                  {ScopeCheck},
	"searchAudit":            {ScopeAuditRead},
	"getAuditEvent":          {ScopeAuditRead},
	"createRequest":          {ScopeRequestsWrite},
	"listRequests":           {ScopeRequestsRead},
	"getRequest":             {ScopeRequestsRead},
	"getReceipt":             {ScopeRequestsRead},
	"verifyRequest":          {ScopeRequestsVerify},
	"approveRequest":         {ScopeRequestsApprove},
	"denyRequest":            {ScopeRequestsApprove},
	"cancelRequest":          {ScopeRequestsWrite},
	"extendRequest":          {ScopeRequestsVerify},
	"liftRequest":            {ScopeRequestsApprove},
	"issueExport":            {ScopeRequestsExport},
	"downloadExport":         nil,
	"settleRecipient":        {ScopeRequestsApprove},
	"renewSubject":           {ScopeRequestsApprove},
	"discoverOpenDSR":        nil,
	"getOpenDSRCertificate":  nil,
	"createOpenDSRRequest":   {ScopeRequestsSubmit, ScopeRequestsWrite},
	"getOpenDSRRequest":      {ScopeRequestsSubmit, ScopeRequestsWrite},
	"cancelOpenDSRRequest":   {ScopeRequestsSubmit, ScopeRequestsWrite},
	"createOpenGDPRRequest":  {ScopeRequestsSubmit, ScopeRequestsWrite},
	"getOpenGDPRRequest":     {ScopeRequestsSubmit, ScopeRequestsWrite},
	"cancelOpenGDPRRequest":  {ScopeRequestsSubmit, ScopeRequestsWrite},
	"getDataRightsRequest":   {ScopeRequestsRead},
	"placeHold":              {ScopeHoldsWrite},
	"listHolds":              {ScopeHoldsRead},
	"getHold":                {ScopeHoldsRead},
	"releaseHold":            {ScopeHoldsWrite},
	"listFindings":           {ScopeFindingsRead},
	"listQuarantine":         {ScopeQuarantineRead},
	"getQuarantined":         {ScopeQuarantineRead},
	"replayQuarantined":      {ScopeQuarantineReplay},
	"getJWKS":                nil,
	"getIntakeKeys":          nil,
	"getReceiptKeys":         nil,
	"getCallbackKeys":        nil,
	"getHealth":              nil,
	"getReadiness":           nil,
	"getMetrics":             {ScopeMetricsRead},
}
