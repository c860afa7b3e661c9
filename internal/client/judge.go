package client

import (
	"time"

	"github.com/rescindhq/rescind/events"
)

// Preview answers POST /v1/revocations/preview.
type Preview struct {
	Tokens           uint64    `json:"tokens"`
	AlreadyRevoked   *uint64   `json:"already_revoked"` // of these; nil where that was not counted in time
	Subjects         uint64    `json:"subjects"`
	Sessions         uint64    `json:"sessions"`
	Clients          uint64    `json:"clients"`
	AtLeast          bool      `json:"at_least"`
	SubjectState     string    `json:"subject_state"`
	Limit            uint64    `json:"limit"`
	ApprovalRequired bool      `json:"approval_required"`
	AsOf             time.Time `json:"as_of"`
}

// Proposal is a revocation that somebody else has to approve.
type Proposal struct {
	ID             string           `json:"id"`
	Tenant         string           `json:"tenant"`
	State          string           `json:"state"`
	Scope          string           `json:"scope"`
	Issuer         string           `json:"iss"`
	Client         string           `json:"client_id"`
	KeyID          string           `json:"kid"`
	Exp            events.Timestamp `json:"exp"`
	IssuedBefore   events.Timestamp `json:"issued_before"`
	Starts         events.Timestamp `json:"starts"`
	NotAfter       events.Timestamp `json:"not_after"`
	Reason         string           `json:"reason"`
	Ticket         string           `json:"ticket"`
	Lifts          string           `json:"lifts"` // id of the revocation that is to be lifted
	Note           string           `json:"note"`
	NoteMissing    string           `json:"note_missing"` // there is one; why it is not here
	Body           string           `json:"body"`         // digest of all that it says
	Tokens         *uint64          `json:"tokens"`       // nil where that was not known
	Reach          *uint64          `json:"reach"`
	ProposedBy     string           `json:"proposed_by"`
	Proposed       time.Time        `json:"proposed"`
	DecidedBy      string           `json:"decided_by"`
	Decided        time.Time        `json:"decided"`
	DecisionReason string           `json:"decision_reason"`
	Expires        time.Time        `json:"expires"`
}

// Leaks answers GET /v1/revocations/{id}/leaks.
type Leaks struct {
	Position uint64 `json:"position"`
	Ignored  uint64 `json:"ignored"`
	Late     uint64 `json:"late"`
	Within   uint64 `json:"within"`
	BoundMS  int64  `json:"bound_ms"`
	Leaks    []Leak `json:"leaks"`
	Next     string `json:"next"`
}

// Leak is one acceptance of a token that was revoked.
type Leak struct {
	Kind     string    `json:"kind"` // ignored, late or within
	Index    uint64    `json:"index"`
	Source   string    `json:"source"`
	Accepted time.Time `json:"accepted"`
	AfterMS  int64     `json:"after_ms"`
	View     *uint64   `json:"view"`
	Client   string    `json:"client_id"`
	TokenRef string    `json:"token_ref"`
}
