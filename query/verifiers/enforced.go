package verifiers

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/rescindhq/rescind/revocation"
)

// Revoked is a revocation, or a lift, by its place in the log.
type Revoked struct {
	Shard    uint16
	Position uint64
	Received time.Time // by the intake's clock
}

// State is how a verifier stands.
type State string

// The states. One that was not heard in time is silent whatever it said last.
const (
	Current     State = "current"     // it vouches for its view
	Stale       State = "stale"       // it was not sent anything for longer than its bound
	Gap         State = "gap"         // it missed something and is fetching it
	Cold        State = "cold"        // it has no view yet
	Unconfirmed State = "unconfirmed" // it names a position or a log that our own view does not have
	Contested   State = "contested"   // two processes speak under its id
	Silent      State = "silent"      // it was not heard for longer than FreshFor
)

// Standing is how one verifier stands to a revocation.
type Standing struct {
	ID        string
	Name      string
	State     State
	Applied   bool
	Position  uint64        // that it decides at, in the shard of the revocation
	AppliedAt time.Time     // by our clock; zero where it is not known
	Lag       time.Duration // from Received to AppliedAt, at least 0
}

// Enforcement is where a revocation is enforced.
type Enforcement struct {
	Of        int // verifiers registered
	Fresh     int // of them, heard in time
	At        int // of them, that have applied it
	Slowest   *Standing
	Verifiers []Standing // those that have not applied it first, then the slowest
}

// Missing is those that have not applied it.
func (e *Enforcement) Missing() []Standing { return e.Verifiers[:e.Of-e.At] }

// Enforced says where a revocation is enforced now. It is false before it is
// known who is registered.
func (r *Registry) Enforced(of Revoked) (Enforcement, bool) {
	select {
	case <-r.ready:
		return r.enforced(of), true
	default:
		return Enforcement{}, false
	}
}

func (r *Registry) enforced(of Revoked) Enforcement {
	now := r.cfg.Now()
	r.mu.Lock()
	e := Enforcement{Of: len(r.verifiers), Verifiers: make([]Standing, 0, len(r.verifiers))}
	for _, v := range r.verifiers {
		s := r.standing(v, of, now)
		e.Verifiers = append(e.Verifiers, s)
		e.Fresh += count(s.State != Silent)
		e.At += count(s.Applied)
	}
	r.mu.Unlock()
	slices.SortFunc(e.Verifiers, compare)
	if i := e.Of - e.At; i < e.Of && !e.Verifiers[i].AppliedAt.IsZero() {
		e.Slowest = &e.Verifiers[i]
	}
	return e
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// compare orders those that have not applied first, those that are silent behind
// the others of them, then those whose lag is known and longest.
func compare(a, b Standing) int {
	silent := func(s Standing) int { return count(!s.Applied && s.State == Silent) }
	return cmp.Or(cmp.Compare(count(a.Applied), count(b.Applied)), cmp.Compare(silent(a), silent(b)), cmp.Compare(count(a.AppliedAt.IsZero()), count(b.AppliedAt.IsZero())),
		-cmp.Compare(a.Lag, b.Lag), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

func (r *Registry) standing(v *verifier, of Revoked, now time.Time) Standing {
	s := Standing{ID: v.last.ID, Name: v.name(), State: r.state(v, now), Applied: v.applied(of, r.known.Place(of.Shard).Epoch, now)}
	if int(of.Shard) >= len(v.tracks) {
		return s
	}
	t := &v.tracks[of.Shard]
	s.Position = t.at.Position
	if at, known := t.when(of.Position); known && s.Applied {
		s.AppliedAt, s.Lag = at, max(0, at.Sub(of.Received))
	}
	return s
}

func (r *Registry) state(v *verifier, now time.Time) State {
	switch {
	case !v.fresh(now, r.cfg.FreshFor):
		return Silent
	case v.isContested(now):
		return Contested
	case !v.unconfirmed.IsZero() && now.Sub(v.unconfirmed) > grace:
		return Unconfirmed
	case v.last.Doubt != "":
		return State(v.last.Doubt)
	default:
		return Current
	}
}

// recheck is how often to look again though nothing was heard: silence counts.
const recheck = 200 * time.Millisecond

// Wait waits until every fresh verifier has applied the revocation, or ctx is
// done, and says which it was.
func (r *Registry) Wait(ctx context.Context, of Revoked) (Enforcement, bool) {
	if !r.loaded(ctx) {
		return r.enforced(of), false
	}
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	w := waiter{of: of}
	for {
		done, changed := w.look(r)
		if done {
			return r.enforced(of), true
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return r.enforced(of), false
		}
	}
}

// loaded waits until it is known who is registered, or ctx is done. What is
// known is looked at even where ctx is.
func (r *Registry) loaded(ctx context.Context) bool {
	select {
	case <-r.ready:
		return true
	default:
	}
	select {
	case <-r.ready:
		return true
	case <-ctx.Done():
		return false
	}
}

// waiter waits for verifiers one by one, so that each receipt costs it little
// however many there are.
type waiter struct {
	of   Revoked
	left []*verifier
}

// look reports whether there is nothing to wait for any more, and else what
// says that something has changed.
func (w *waiter) look(r *Registry) (done bool, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, epoch := r.cfg.Now(), r.known.Place(w.of.Shard).Epoch
	waits := func(v *verifier) bool {
		return !v.gone && v.fresh(now, r.cfg.FreshFor) && !v.applied(w.of, epoch, now)
	}
	for len(w.left) > 0 && !waits(w.left[0]) {
		w.left = w.left[1:]
	}
	if len(w.left) == 0 {
		fresh := 0
		for _, v := range r.verifiers {
			fresh += count(v.fresh(now, r.cfg.FreshFor))
			if waits(v) {
				w.left = append(w.left, v)
			}
		}
		if len(w.left) == 0 && (fresh > 0 || len(r.verifiers) == 0) {
			return true, nil
		}
	}
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return false, r.changed
}

// Verifier is how one verifier is.
type Verifier struct {
	ID          string
	Name        string
	State       State
	Places      []revocation.Reached // that it decides at, in each shard
	Seq         uint64               // last delta applied
	Age         time.Duration        // of its view, when it was heard
	Heard       time.Time            // by our clock
	Started     time.Time            // by its clock
	ClockOffset time.Duration        // its clock to ours, less the way of the receipt
}

// List is every verifier, by name. It is false before it is known who is
// registered.
func (r *Registry) List() ([]Verifier, bool) {
	select {
	case <-r.ready:
		return r.list(), true
	default:
		return nil, false
	}
}

func (r *Registry) list() []Verifier {
	now := r.cfg.Now()
	r.mu.Lock()
	all := make([]Verifier, 0, len(r.verifiers))
	for _, v := range r.verifiers {
		all = append(all, Verifier{ID: v.last.ID, Name: v.name(), State: r.state(v, now), Places: v.places(), Seq: v.last.Seq, Age: v.last.Age,
			Heard: v.heard, Started: v.last.Started, ClockOffset: v.offset})
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b Verifier) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return all
}

// Stats is what was heard so far.
type Stats struct {
	Registered int
	Fresh      int
	Receipts   uint64
	Refused    uint64 // receipts dropped: not one, of another's id, too large, or without room
}

// Stats is what was heard so far.
func (r *Registry) Stats() Stats {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Stats{Registered: len(r.verifiers), Receipts: r.heard.Load(), Refused: r.refused.Load()}
	for _, v := range r.verifiers {
		s.Fresh += count(v.fresh(now, r.cfg.FreshFor))
	}
	return s
}
