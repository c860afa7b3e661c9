package revocation

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/rescindhq/rescind/events"
)

// KeyID names one generation of a tenant's feed key.
type KeyID struct {
	_          struct{} `cbor:",toarray"`
	Tenant     string
	Generation uint32
}

func (k KeyID) compare(o KeyID) int {
	return cmp.Or(cmp.Compare(k.Tenant, o.Tenant), cmp.Compare(k.Generation, o.Generation))
}

// Entry is one revocation, or the lifting of one.
type Entry struct {
	Hash         events.Ref       // keyed hash of scope and identifiers
	ID           events.Ref       // the event that revoked: its own, or in a lift the one that is lifted
	Lift         bool             // whether this lifts ID
	Scope        events.Scope     // not used in a lift
	IssuedBefore events.Timestamp // cut-off; 0 revokes whatever iat says; not used in a lift
	Expires      events.Timestamp // from then on without effect; 0 means never
	At           events.Timestamp // when Rescind received it; not used in a lift
	Reason       string           // not used in a lift
	Key          KeyID            // the feed key that made Hash; not used in a lift
}

// EntryOf is the entry that r makes. It is false where r neither revokes nor
// lifts. The error is a record that ought to but does not say what.
func EntryOf(r *events.Record) (Entry, bool, error) {
	scope := r.Type.RevokedScope()
	lift := r.Type == events.RevocationLifted
	if scope == "" && !lift {
		return Entry{}, false, nil
	}
	v := r.Revocation
	if v == nil {
		return Entry{}, false, fmt.Errorf("entry of a %s: the record has no revocation", r.Type.Name())
	}
	e := Entry{Hash: v.Hash, ID: r.Ref(), Scope: scope, IssuedBefore: v.IssuedBefore, Expires: v.Expires,
		At: events.Timestamp(r.Received / 1000), Reason: r.Reason, Key: KeyID{Tenant: r.Tenant, Generation: v.FeedKey}}
	if lift {
		e = Entry{Hash: v.Hash, ID: v.Lifts, Lift: true, Expires: v.Expires}
	}
	if err := e.validate(); err != nil {
		return Entry{}, false, fmt.Errorf("entry of a %s: %w", r.Type.Name(), err)
	}
	return e, true, nil
}

func (e *Entry) validate() error {
	switch {
	case e.Hash.IsZero():
		return fmt.Errorf("%w: no hash", ErrFormat)
	case e.ID.IsZero():
		return fmt.Errorf("%w: no event", ErrFormat)
	case !e.Lift && rank(e.Scope) < 0:
		return fmt.Errorf("%w: unknown scope", ErrFormat)
	case e.IssuedBefore < 0 || e.Expires < 0:
		return fmt.Errorf("%w: time before 1970", ErrFormat)
	default:
		return nil
	}
}

// Expired reports whether e has no effect any more.
func (e *Entry) Expired(now time.Time) bool {
	return orForever(e.Expires) <= events.TimestampOf(now)
}

// forever stands for the zero that means no bound, so that a maximum over
// bounds needs no special case.
const forever = events.Timestamp(math.MaxInt64)

func orForever(t events.Timestamp) events.Timestamp {
	if t == 0 {
		return forever
	}
	return t
}

func orZero(t events.Timestamp) events.Timestamp {
	if t == forever {
		return 0
	}
	return t
}

// compare orders entries by hash, event, and revocation before lift: the order
// of a snapshot.
func (e *Entry) compare(o *Entry) int {
	return cmp.Or(bytes.Compare(e.Hash[:], o.Hash[:]), bytes.Compare(e.ID[:], o.ID[:]), cmpBool(e.Lift, o.Lift))
}

func cmpBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
