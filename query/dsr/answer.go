package dsr

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/rescindhq/rescind/query/erasure"
)

// The states that OpenDSR knows.
const (
	Pending    = "pending"
	InProgress = "in_progress"
	Completed  = "completed"
	Cancelled  = "cancelled"
)

// StatusOf is what OpenDSR calls a state. It has no word for a denial: that is
// cancelled, and never completed, and the extension says why.
func StatusOf(s erasure.State) string {
	switch s {
	case erasure.Received, erasure.Verified, erasure.Extended:
		return Pending
	case erasure.Approved, erasure.Executing, erasure.Partial:
		return InProgress
	case erasure.Completed:
		return Completed
	default:
		return Cancelled
	}
}

// Receipt answers a request that was recorded.
type Receipt struct {
	ControllerID string    `json:"controller_id"`
	Expected     time.Time `json:"expected_completion_time"`
	Received     time.Time `json:"received_time"`
	Encoded      string    `json:"encoded_request"`
	ID           string    `json:"subject_request_id"`

	Extensions map[string]ReceiptExtension `json:"extensions"`
}

// ReceiptExtension is what OpenDSR has no words for, under our domain.
type ReceiptExtension struct {
	RequestID string `json:"request_id"`     // ours
	Salt      string `json:"salt,omitempty"` // of an erasure, until it is carried out: see package receipt
}

// ReceiptOf is the same each time that a request is sent, but for the salt, which goes
// with the person. What it repeats of the request names nobody.
func (s *Signer) ReceiptOf(sent *Request, r *erasure.Request, a *erasure.Asked) Receipt {
	return Receipt{
		ControllerID: r.Tenant, Expected: a.Due.UTC(), Received: a.At, Encoded: sent.encoded, ID: sent.ID,
		Extensions: map[string]ReceiptExtension{s.domain: {r.ID, r.Salt}},
	}
}

// redacted is the request in base64, without what it says of a person: the values
// of identities, where the controller is called, and what others are told.
func (w *wire) redacted(ours string) (string, error) {
	plain := *w
	plain.Identities = slices.Clone(w.Identities)
	for i := range plain.Identities {
		plain.Identities[i].Value = ""
	}
	plain.Callbacks, plain.Extensions = nil, nil
	if e, there := w.Extensions[ours]; there {
		plain.Extensions = map[string]any{ours: e}
	}
	b, err := json.Marshal(plain)
	return base64.StdEncoding.EncodeToString(b), err
}

// Status says how it stands with a request.
type Status struct {
	ControllerID string               `json:"controller_id"`
	Expected     time.Time            `json:"expected_completion_time"`
	ID           string               `json:"subject_request_id"`
	Status       string               `json:"request_status"`
	APIVersion   string               `json:"api_version"`
	CallbackURL  string               `json:"status_callback_url,omitempty"` // of a callback
	Extensions   map[string]Extension `json:"extensions"`
}

// Extension is what OpenDSR has no words for, under our domain.
type Extension struct {
	RequestID string `json:"request_id"` // ours
	State     string `json:"state"`
	Outcome   string `json:"outcome,omitempty"` // of what is completed: erased, already_erased, no_match
	Reason    string `json:"reason,omitempty"`  // of a denial
	Extended  bool   `json:"extended,omitempty"`
}

// StatusOfAsk is how it stands with r for whoever asked for it under id.
func (s *Signer) StatusOfAsk(r *erasure.Request, a *erasure.Asked, id string) Status {
	if a.Withdrawn {
		return s.status(r, erasure.Cancelled, id)
	}
	return s.status(r, r.State, id)
}

func (s *Signer) status(r *erasure.Request, state erasure.State, id string) Status {
	e := Extension{RequestID: r.ID, State: string(state), Extended: r.Extended}
	if state == erasure.Completed {
		e.Outcome = string(r.Outcome)
	}
	if state == erasure.Denied {
		e.Reason = r.Reason
	}
	return Status{
		ControllerID: r.Tenant, Expected: r.Due.UTC(), ID: id, Status: StatusOf(state), APIVersion: Version,
		Extensions: map[string]Extension{s.domain: e},
	}
}

// Withdrawal answers what was taken back.
type Withdrawal struct {
	ControllerID string    `json:"controller_id"`
	ID           string    `json:"subject_request_id"`
	Received     time.Time `json:"received_time"`
	APIVersion   string    `json:"api_version"`
}

// WithdrawalOf is the same each time that a request is taken back.
func WithdrawalOf(r *erasure.Request, a *erasure.Asked, id string) Withdrawal {
	return Withdrawal{ControllerID: r.Tenant, ID: id, Received: a.WithdrawnAt, APIVersion: Version}
}
