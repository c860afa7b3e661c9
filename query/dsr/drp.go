package dsr

import (
	"slices"
	"time"

	"github.com/rescindhq/rescind/query/erasure"
)

// The states of the Data Rights Protocol 1.0.
const (
	DRPOpen       = "open"
	DRPInProgress = "in_progress"
	DRPFulfilled  = "fulfilled"
	DRPRevoked    = "revoked"
	DRPDenied     = "denied"
)

// DRPStates lists those that a request can be in here. There is no expired: what
// nobody answers stays open, and is found late.
func DRPStates() []string {
	return []string{DRPOpen, DRPInProgress, DRPFulfilled, DRPRevoked, DRPDenied}
}

// DRPReasons lists the reasons of a denial.
func DRPReasons() []string {
	return []string{
		erasure.SuspectedFraud, erasure.InsufVerification, erasure.ReasonNoMatch, erasure.ClaimNotCovered,
		erasure.OutsideJurisdiction, erasure.TooManyRequests, erasure.OtherReason,
	}
}

// Exercise is the Data Rights Protocol's status of a request.
type Exercise struct {
	RequestID string    `json:"request_id"`
	Status    string    `json:"status"`
	Reason    string    `json:"reason,omitempty"`
	Received  time.Time `json:"received_at"`
	Expected  time.Time `json:"expected_by"`
	Details   string    `json:"processing_details,omitempty"` // ours, where the protocol has no word for it
}

// ExerciseOf is r in the Data Rights Protocol's words.
func ExerciseOf(r *erasure.Request) Exercise {
	e := Exercise{RequestID: r.ID, Received: r.Received, Expected: r.Due.UTC()}
	e.Status, e.Reason, e.Details = drpState(r)
	return e
}

// drpState is where r stands. The protocol asks for details whenever a request is
// extended, and has one state for what nothing was found of: a denial.
func drpState(r *erasure.Request) (status, reason, details string) {
	switch r.State {
	case erasure.Denied:
		if slices.Contains(DRPReasons(), r.Reason) {
			return DRPDenied, r.Reason, ""
		}
		return DRPDenied, erasure.OtherReason, r.Reason
	case erasure.Cancelled:
		return DRPRevoked, "", ""
	case erasure.Completed:
		if r.Outcome == erasure.NoMatch {
			return DRPDenied, erasure.ReasonNoMatch, ""
		}
		return DRPFulfilled, "", string(r.Outcome)
	case erasure.Partial:
		return DRPInProgress, "", string(r.State)
	case erasure.Received:
		return DRPOpen, "", extension(r)
	default:
		return DRPInProgress, "", extension(r)
	}
}

// extension is why r takes longer.
func extension(r *erasure.Request) string {
	i := slices.IndexFunc(r.History, func(s erasure.Step) bool { return s.What == erasure.StepExtended })
	if i < 0 {
		return ""
	}
	return "extended: " + r.History[i].Reason
}
