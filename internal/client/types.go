package client

import (
	"fmt"
	"slices"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Published answers POST /v1/events.
type Published struct {
	Accepted int              `json:"accepted"`
	Refused  []events.Refusal `json:"refused"`
}

// Revoked answers POST /v1/revocations and a lift.
type Revoked struct {
	ID       string    `json:"id"`
	Position uint64    `json:"position,omitempty"`
	Enforced *Enforced `json:"enforced,omitempty"` // with the header Prefer: wait=N
}

// Bulk answers POST /v1/revocations/bulk and how far a job is.
type Bulk struct {
	ID       string        `json:"id"`
	State    string        `json:"state"`    // running, open or complete
	Next     int64         `json:"next"`     // line to go on with
	Accepted int64         `json:"accepted"` // durable
	Repeated int64         `json:"repeated,omitempty"`
	Refused  int64         `json:"refused"`
	Refusals []BulkRefusal `json:"refusals,omitempty"`
	Logged   int64         `json:"logged"`
	Position *uint64       `json:"position,omitempty"`
	Applied  bool          `json:"applied"` // by the API's own view
	Enforced *Enforced     `json:"enforced,omitempty"`
}

// BulkRefusal is a line that revokes nothing.
type BulkRefusal struct {
	Line   int64  `json:"line"`
	Member string `json:"member,omitempty"`
	Reason string `json:"reason"`
}

// Revocation answers GET /v1/revocations/{id}.
type Revocation struct {
	ID       string    `json:"id"`
	State    string    `json:"state,omitempty"`
	Position uint64    `json:"position"`
	Enforced *Enforced `json:"enforced,omitempty"`
}

// Enforced is where a revocation is enforced.
type Enforced struct {
	Of        int        `json:"of"`
	Fresh     int        `json:"fresh"`
	At        int        `json:"at"`
	SlowestMS *int64     `json:"slowest_ms,omitempty"`
	Missing   []string   `json:"missing"`
	Verifiers []Standing `json:"verifiers,omitempty"`
}

// Standing is how one verifier stands to a revocation.
type Standing struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	State    string `json:"state"` // silent ones are not waited for
	Applied  bool   `json:"applied"`
	Position uint64 `json:"position"`
	LagMS    *int64 `json:"lag_ms,omitempty"`
}

// Done reports whether every fresh verifier has applied it, and at least one is
// fresh or nobody is registered at all.
func (e *Enforced) Done() bool {
	return e != nil && (e.Fresh > 0 || e.Of == 0) &&
		!slices.ContainsFunc(e.Verifiers, func(v Standing) bool { return !v.Applied && v.State != "silent" })
}

// String is e in one line; nil is what is not known.
func (e *Enforced) String() string {
	if e == nil {
		return "it is not known yet where that is enforced"
	}
	line := fmt.Sprintf("enforced at %d of %d verifiers", e.At, e.Of)
	if e.Of == 0 {
		return line + ": none is registered"
	}
	if e.SlowestMS != nil {
		line += fmt.Sprintf(", the slowest after %d ms", *e.SlowestMS)
	}
	for i, v := range e.Verifiers {
		switch {
		case v.Applied:
			return line
		case i == 0:
			line += "; not at"
		}
		line += fmt.Sprintf(" %s (%s)", v.Name, v.State)
	}
	return line
}

// Verifiers answers GET /v1/verifiers.
type Verifiers struct {
	Of        int        `json:"of"`
	Fresh     int        `json:"fresh"`
	Verifiers []Verifier `json:"verifiers"`
}

// Verifier is one that follows the feed.
type Verifier struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	State     string    `json:"state"`
	Positions []uint64  `json:"positions"`
	AgeMS     int64     `json:"age_ms"`
	HeardMS   int64     `json:"heard_ms"`
	Started   time.Time `json:"started"`
}

// Checked answers POST /v1/check.
type Checked struct {
	Decision string `json:"decision"` // active, revoked or unknown
	Scope    string `json:"scope,omitempty"`
	Reason   string `json:"reason,omitempty"`
	At       string `json:"at,omitempty"`
	Cause    string `json:"cause,omitempty"`
	AgeMS    int64  `json:"age_ms"`
	Position uint64 `json:"position"`
	AsOf     string `json:"as_of,omitempty"` // of the past, where that was asked for
}

// Event is one event of an audit trail.
type Event struct {
	Shard      uint16         `json:"shard,omitempty"` // the log that it is in
	Index      uint64         `json:"index"`
	ID         string         `json:"id"`
	Type       string         `json:"type"`
	Time       time.Time      `json:"time"`
	Received   time.Time      `json:"received"`
	SubjectRef string         `json:"subject_ref,omitempty"`
	TokenRef   string         `json:"token_ref,omitempty"`
	Client     string         `json:"client_id,omitempty"`
	Actor      string         `json:"actor,omitempty"`
	Outcome    string         `json:"outcome,omitempty"`
	Reason     string         `json:"reason,omitempty"`
	Personal   map[string]any `json:"personal,omitempty"`
	Sealed     string         `json:"sealed,omitempty"` // why the personal part is not there
}

// Trail is one page of a search.
type Trail struct {
	Events       []Event `json:"events"`
	Next         string  `json:"next,omitempty"`
	Total        *uint64 `json:"total,omitempty"`
	SubjectState string  `json:"subject_state,omitempty"` // known, unknown or erased, where a subject was named
}

// Request is a data-subject request, as a handler sees it.
type Request struct {
	ID         string        `json:"id"`
	Type       string        `json:"type"`
	Regulation string        `json:"regulation"`
	Tenant     string        `json:"tenant"`
	State      string        `json:"state"`
	Outcome    string        `json:"outcome,omitempty"`
	Reason     string        `json:"reason,omitempty"`
	Missing    []string      `json:"missing,omitempty"`
	Received   time.Time     `json:"received"`
	Due        time.Time     `json:"due"`
	DaysLeft   *int          `json:"days_left,omitempty"`
	Urgency    string        `json:"urgency,omitempty"`
	ConfirmBy  time.Time     `json:"confirm_by,omitzero"`
	Answered   time.Time     `json:"answered,omitzero"`
	Extended   bool          `json:"extended,omitempty"`
	Export     time.Time     `json:"export_until,omitzero"`
	Salt       string        `json:"salt,omitempty"`
	History    []RequestStep `json:"history,omitempty"`
	Recipients []Recipient   `json:"recipients,omitempty"`
}

// Recipient is one who has to be told of an erasure.
type Recipient struct {
	ID          string    `json:"id"`
	Delivery    string    `json:"delivery"`
	Prepared    time.Time `json:"prepared"`
	Settled     time.Time `json:"settled,omitzero"`
	Actor       string    `json:"actor,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Told        string    `json:"told,omitempty"`
	Contact     string    `json:"contact,omitempty"`
	Attempts    int       `json:"attempts,omitempty"`
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	Failure     string    `json:"failure,omitempty"`
}

// ExportLink is how the export of a request can be fetched.
type ExportLink struct {
	Link       string    `json:"link"` // path
	Passphrase string    `json:"passphrase,omitempty"`
	Until      time.Time `json:"until"`
	Bytes      int64     `json:"bytes"`
}

// RequestStep is one thing that happened to a request.
type RequestStep struct {
	State    string    `json:"state"`
	What     string    `json:"what"`
	At       time.Time `json:"at"`
	Actor    string    `json:"actor,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Ticket   string    `json:"ticket,omitempty"`
	Told     string    `json:"told,omitempty"`
	Position uint64    `json:"position"`

	Recipient string `json:"recipient,omitempty"` // of notified
	Delivery  string `json:"delivery,omitempty"`
}

// Hold is a legal hold.
type Hold struct {
	ID            string    `json:"id"`
	Tenant        string    `json:"tenant"`
	By            []string  `json:"by"`
	SubjectRef    string    `json:"subject_ref,omitempty"`
	SessionRef    string    `json:"session_ref,omitempty"`
	ClientID      string    `json:"client_id,omitempty"`
	Types         []string  `json:"types,omitempty"`
	From          time.Time `json:"from,omitzero"`
	To            time.Time `json:"to,omitzero"`
	Article       string    `json:"article"`
	Owner         string    `json:"owner"`
	Review        string    `json:"review"`
	ReviewOverdue bool      `json:"review_overdue,omitempty"`
	Reason        string    `json:"reason"`
	Placed        time.Time `json:"placed"`
	PlacedBy      string    `json:"placed_by"`
	Active        bool      `json:"active"`
	Released      time.Time `json:"released,omitzero"`
	ReleasedBy    string    `json:"released_by,omitempty"`
	ReleaseReason string    `json:"release_reason,omitempty"`
}

// Renewed says that somebody who was forgotten is known again.
type Renewed struct {
	Generation uint32    `json:"generation"`
	KnownBy    time.Time `json:"known_by"`
}

// Finding is what a control found.
type Finding struct {
	ID       string    `json:"id"`
	Tenant   string    `json:"tenant"`
	Control  string    `json:"control"`
	Severity string    `json:"severity"`
	Title    string    `json:"title"`
	State    string    `json:"state"`
	Opened   time.Time `json:"opened"`
	Index    uint64    `json:"index"`
}

// Replay is that a refused event was published again.
type Replay struct {
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"`
	Count    int       `json:"count"`
	EventRef string    `json:"event_ref"`
	Index    *uint64   `json:"index"`
}

// QuarantinedDetail is one refused event as GET /v1/quarantine/{seq} shows it.
type QuarantinedDetail struct {
	Event          Quarantined `json:"event"`
	Replay         *Replay     `json:"replay"`
	Payload        string      `json:"payload"`
	PayloadMissing string      `json:"payload_missing"`
}

// Quarantined is an event that was refused.
type Quarantined struct {
	Seq    uint64    `json:"seq"`
	Time   time.Time `json:"time"`
	Tenant string    `json:"tenant"`
	ID     string    `json:"id"`
	Source string    `json:"source"`
	Type   string    `json:"type"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail"`
	SHA256 string    `json:"sha256"`
	Sealed bool      `json:"sealed"`
}
