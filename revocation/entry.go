package revocation

import (
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

// Entry is one revocation, or the lifting of one. Hash and Index identify the
// revocation: Index is its place in the log of the shard of its tenant, and in
// a lift that of the revocation that is lifted. Times count in whole seconds.
type Entry struct {
	Hash         events.Ref       // keyed hash of scope and identifiers
	Index        uint64           // of the revocation in the log
	Lift         bool             // whether this lifts it
	Scope        events.Scope     // not used in a lift
	IssuedBefore events.Timestamp // cut-off; 0 revokes whatever iat says; not used in a lift
	Starts       events.Timestamp // before then without effect; 0 means at once; not used in a lift
	Expires      events.Timestamp // from then on without effect; 0 means never
	At           events.Timestamp // when Rescind received it; not used in a lift
	Reason       string           // not used in a lift
	Key          KeyID            // the feed key that made Hash
}

// EntryOf is the entry that r makes, which is at index in the log of its shard.
// It is false where r neither revokes nor lifts. The error is a record that
// ought to but does not say what.
func EntryOf(r *events.Record, index uint64) (Entry, bool, error) {
	scope := r.Type.RevokedScope()
	lift := r.Type == events.RevocationLifted
	if scope == "" && !lift {
		return Entry{}, false, nil
	}
	v := r.Revocation
	if v == nil {
		return Entry{}, false, fmt.Errorf("entry of a %s: the record has no revocation", r.Type.Name())
	}
	key := KeyID{Tenant: r.Tenant, Generation: v.FeedKey}
	e := Entry{Hash: v.Hash, Index: index, Scope: scope, IssuedBefore: v.IssuedBefore, Starts: v.Starts, Expires: v.Expires,
		At: events.Timestamp(r.Received / 1000), Reason: r.Reason, Key: key}
	if lift {
		e = Entry{Hash: v.Hash, Index: v.LiftsIndex, Lift: true, Expires: v.Expires, Key: key}
	}
	if err := e.validate(); err != nil {
		return Entry{}, false, fmt.Errorf("entry of a %s: %w", r.Type.Name(), err)
	}
	return e.whole(), true, nil
}

func (e *Entry) validate() error {
	switch {
	case e.Hash.IsZero():
		return fmt.Errorf("%w: no hash", ErrFormat)
	case !e.Lift && rank(e.Scope) < 0:
		return fmt.Errorf("%w: unknown scope", ErrFormat)
	case min(e.IssuedBefore, e.Starts, e.Expires, e.At) < 0:
		return fmt.Errorf("%w: time before 1970", ErrFormat)
	default:
		return nil
	}
}

const second = events.Timestamp(1000)

// whole is e in whole seconds, each time rounded to the side on which more is
// revoked, but for At, which is rounded down. A cut-off within the first second
// of 1970 is the end of it: a zero one would revoke everything.
func (e Entry) whole() Entry {
	e.IssuedBefore = roundCutoff(e.IssuedBefore)
	e.Starts -= e.Starts % second
	e.At -= e.At % second
	if e.Expires >= events.MaxTimestamp {
		e.Expires = 0
	}
	if over := e.Expires % second; over > 0 {
		e.Expires += second - over
	}
	return e
}

func roundCutoff(t events.Timestamp) events.Timestamp {
	switch {
	case t <= 0:
		return 0
	case t < second:
		return second
	default:
		t = min(t, events.MaxTimestamp)
		return t - t%second
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
