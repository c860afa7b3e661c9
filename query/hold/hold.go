package hold

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Source is the CloudEvents source of holds.
const Source = "rescind:holds"

// The attributes of hold.* events.
const (
	AttrHold    = "hold"    // id of the hold
	AttrBy      = "by"      // what it names, separated by spaces
	AttrTypes   = "types"   // names of types, separated by spaces
	AttrFrom    = "from"    // RFC 3339
	AttrTo      = "to"      // RFC 3339
	AttrArticle = "article" // what it rests on
	AttrOwner   = "owner"   // who answers for it
	AttrReview  = "review"  // the day by which somebody has to look at it again
)

// What a hold can name.
const (
	BySubject = "subject"
	BySession = "session"
	ByClient  = "client"
	ByTime    = "time"
	ByType    = "type"
)

var (
	// ErrNotFound says that there is no such hold within reach.
	ErrNotFound = errors.New("no such hold")

	// ErrFourEyes says that a release needs somebody else: it ends in
	// destruction.
	ErrFourEyes = errors.New("who placed a hold cannot release it")

	// ErrReleased says that a hold was released before.
	ErrReleased = errors.New("the hold was released before")

	errNotOurs = errors.New("not an event about a hold")
)

// MemberError says which member of a hold is not acceptable.
type MemberError struct {
	Member string
	Detail string // what would be right
}

func (e *MemberError) Error() string { return e.Member + ": " + e.Detail }

// Match is what a hold keeps. A member at its zero value restricts nothing.
type Match struct {
	Subject, Session events.Ref
	Client           string
	Types            []events.Type
	From, To         time.Time // the publisher's, at or after and before
}

// Keeps reports whether m keeps what the record is about.
func (m *Match) Keeps(r *events.Record) bool {
	at := time.UnixMicro(r.Time)
	return m.Concerns(r.SubjectRef) && (m.Session.IsZero() || m.Session == r.SessionRef) && (m.Client == "" || m.Client == r.Client) &&
		(len(m.Types) == 0 || slices.Contains(m.Types, r.Type)) && (m.From.IsZero() || !at.Before(m.From)) && (m.To.IsZero() || at.Before(m.To))
}

// Concerns reports whether m can keep anything of a person.
func (m *Match) Concerns(person events.Ref) bool { return m.Subject.IsZero() || m.Subject == person }

// Hold is one hold as it stands.
type Hold struct {
	ID, Tenant string
	Match
	By             []string
	Article, Owner string
	Reason, Ticket string
	Review         time.Time // the last second of the day
	PlacedBy       string
	Placed         time.Time
	ReleasedBy     string
	Released       time.Time // zero while it lasts
	ReleaseReason  string
	Shard          uint16 // of the tenant
	Position       uint64 // log index of the event that it came with

	flagged bool
}

// Check says why a record would place no hold, or may not; nil where it does. Its
// references need only be there. A review whose day is over is refused here and not in
// the fold: what is on the log lasts, lest what it keeps is destroyed, and is overdue.
func Check(r *events.Record) error {
	h, err := read(r)
	if err == nil && h.Review.Before(h.Placed.Truncate(time.Second)) {
		err = &MemberError{AttrReview, h.Review.Format(time.DateOnly) + " is over: want today or a later day (UTC), as " + h.Placed.AddDate(1, 0, 0).Format(time.DateOnly)}
	}
	return err
}

// Active reports whether the hold lasts.
func (h *Hold) Active() bool { return h.Released.IsZero() }

// Ref names the hold where a name of dots and letters cannot be.
func (h *Hold) Ref() events.Ref {
	sum := sha256.Sum256([]byte("rescind hold v1\x00" + h.ID))
	return events.Ref(sum[:16])
}

// KeyOf names the key under which the hold keeps what is a person's. Each person
// has their own, so that each of them is let go by themself.
func (h *Hold) KeyOf(person events.Ref) events.Ref {
	ref := h.Ref()
	sum := sha256.Sum256(slices.Concat([]byte("rescind hold key v1\x00"), ref[:], person[:]))
	return events.Ref(sum[:16])
}

// same reports whether two names are one principal's. Nobody is everybody.
func same(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	return a == "" || b == "" || strings.EqualFold(a, b)
}
