package client

import "time"

// Preview answers POST /v1/revocations/preview.
type Preview struct {
	Tokens           uint64 `json:"tokens"`
	Subjects         uint64 `json:"subjects"`
	Sessions         uint64 `json:"sessions"`
	Clients          uint64 `json:"clients"`
	AtLeast          bool   `json:"at_least"`
	Limit            uint64 `json:"limit"`
	ApprovalRequired bool   `json:"approval_required"`
}

// Proposal is a revocation that somebody else has to approve.
type Proposal struct {
	ID         string    `json:"id"`
	Tenant     string    `json:"tenant"`
	State      string    `json:"state"`
	Scope      string    `json:"scope"`
	Reach      uint64    `json:"reach"`
	Reason     string    `json:"reason"`
	ProposedBy string    `json:"proposed_by"`
	DecidedBy  string    `json:"decided_by"`
	Expires    time.Time `json:"expires"`
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
