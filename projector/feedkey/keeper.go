package feedkey

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
	"github.com/rescindhq/rescind/revocation"
)

// callWait bounds a question to the server.
const callWait = 10 * time.Second

// Status is how the keys were when this keeper looked last, and what it has done.
type Status struct {
	AtWork  bool      // whether it holds the lock and has looked; else the four below are zero
	Keys    int       // generations that are there
	Retired int       // of them, those that nothing is hashed under any more
	Lost    int       // keys that are not there, and that something lives of: verifiers know nothing of their tenants' tokens, where not all of it is lifted
	Oldest  time.Time // when the oldest was made

	Made, Destroyed, Failures uint64 // since the start; failures are turns
}

// Keeper turns the feed keys of all tenants.
type Keeper struct {
	cfg Config

	// Owned by Run.
	lives *lives
	marks map[revocation.KeyID]mark
	found Status // of the present turn

	mu     sync.Mutex
	status Status
}

// mark is where the intake stream ended when the generation behind a key was first
// seen to have been in use for Linger: nothing behind it is hashed under that key.
type mark struct {
	next    uint32    // the generation behind it
	created time.Time // of the stream
	last    uint64
}

// New is a keeper that does nothing before Run.
func New(cfg Config) (*Keeper, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Keeper{cfg: cfg.withDefaults(), lives: newLives(cfg.Logs), marks: map[revocation.KeyID]mark{}}, nil
}

// Status is how the keys were when they were looked after last.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// Run turns keys until ctx ends, then returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		term, release, err := k.cfg.Lock(ctx)
		if err == nil {
			k.serve(ctx, term)
			release()
			continue
		}
		if ctx.Err() == nil {
			k.cfg.Logger.WarnContext(ctx, "turning of feed keys waits for its lock", "err", err)
			_ = sleep.For(ctx, min(k.cfg.Every, time.Minute))
		}
	}
	return nil
}

// serve does what is due, again and again, until ctx or term ends.
func (k *Keeper) serve(ctx, term context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(term, cancel)()
	for ctx.Err() == nil {
		wait := k.cfg.Every
		if err := k.turn(ctx); err != nil && ctx.Err() == nil {
			k.cfg.Logger.ErrorContext(ctx, "feed keys not turned", "err", err)
			wait = min(wait, time.Minute)
		}
		_ = sleep.For(ctx, wait)
	}
	k.note(Status{})
}

// turn does all that is due now.
func (k *Keeper) turn(ctx context.Context) error {
	k.found = Status{AtWork: true}
	err := k.look(ctx)
	if err != nil && ctx.Err() == nil { // else it was told to end
		k.found.Failures++
	}
	k.note(k.found)
	return err
}

// look looks at every tenant. The logs are read after the state of the intake: what
// has left that is in them.
func (k *Keeper) look(ctx context.Context) error {
	state, err := k.intake(ctx)
	if err != nil {
		return err
	}
	if err := k.lives.catchUp(ctx); err != nil {
		return err
	}
	now := k.cfg.Now(state.Now)
	all, err := k.cfg.Keyring.FeedGenerations(ctx)
	verifiers, failed := k.cfg.Keyring.FeedKeys(ctx)
	if err = errors.Join(err, failed); failed == nil {
		k.found.Lost = k.lives.lost(verifiers, now)
	}
	for len(all) > 0 && ctx.Err() == nil {
		n := 1
		for n < len(all) && all[n].Tenant == all[0].Tenant {
			n++
		}
		err = errors.Join(err, k.tenant(ctx, all[:n], state, now)) // one that fails keeps no other
		all = all[n:]
	}
	return errors.Join(err, ctx.Err())
}

func (k *Keeper) intake(ctx context.Context) (stream.IntakeState, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	return k.cfg.Intake(ctx)
}

// tenant does what is due for the generations of one tenant, oldest first.
func (k *Keeper) tenant(ctx context.Context, of []seal.FeedGeneration, state stream.IntakeState, now time.Time) error {
	var errs []error
	for i, g := range of {
		k.count(g)
		var err error
		switch last := i == len(of)-1; {
		case last && k.due(g, now):
			err = k.make(ctx, g, now)
		case !last && k.over(g, of[i+1], state, now):
			err = k.destroy(ctx, g)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (k *Keeper) count(g seal.FeedGeneration) {
	k.found.Keys++
	if k.found.Oldest.IsZero() || g.Created.Before(k.found.Oldest) {
		k.found.Oldest = g.Created
	}
}

// due reports whether the newest generation of a tenant is to have a next one: not
// where nothing was made with it, which would be a key for nobody.
func (k *Keeper) due(newest seal.FeedGeneration, now time.Time) bool {
	_, used := k.lives.until[idOf(newest)]
	return used && !now.Before(newest.Created.Add(k.cfg.Period))
}

func (k *Keeper) make(ctx context.Context, newest seal.FeedGeneration, now time.Time) error {
	next, err := k.cfg.Keyring.RotateFeedKey(ctx, newest.Tenant, newest.Generation, now)
	if err != nil {
		return err
	}
	k.found.Keys++
	k.found.Made++
	k.cfg.Logger.InfoContext(ctx, "feed key made", "tenant", next.Tenant, "generation", next.Generation, "after", newest.Generation)
	return nil
}

// over reports whether nothing needs g any more, behind which is next.
func (k *Keeper) over(g, next seal.FeedGeneration, state stream.IntakeState, now time.Time) bool {
	used := next.Created.Add(seal.FeedKeyAhead)
	if now.Before(used) {
		return false
	}
	k.found.Retired++
	lived := k.lives.until[idOf(g)] <= events.TimestampOf(now.Add(-Linger))
	return !now.Before(used.Add(Linger)) && k.passed(g, next, state) && lived
}

// passed reports whether nothing is left in the intake that was stored before next,
// behind g, had been in use for Linger.
func (k *Keeper) passed(g, next seal.FeedGeneration, state stream.IntakeState) bool {
	m, marked := k.marks[idOf(g)]
	if !marked || m.next != next.Generation || !m.created.Equal(state.Created) {
		m = mark{next.Generation, state.Created, state.Last}
		k.marks[idOf(g)] = m
	}
	return state.First > m.last
}

func (k *Keeper) destroy(ctx context.Context, g seal.FeedGeneration) error {
	if err := k.cfg.Keyring.DestroyFeedKey(ctx, g.Tenant, g.Generation); err != nil {
		return err
	}
	delete(k.marks, idOf(g))
	k.found.Keys--
	k.found.Retired--
	k.found.Destroyed++
	k.cfg.Logger.InfoContext(ctx, "feed key destroyed", "tenant", g.Tenant, "generation", g.Generation)
	return nil
}

func idOf(g seal.FeedGeneration) revocation.KeyID {
	return revocation.KeyID{Tenant: g.Tenant, Generation: g.Generation}
}

// note keeps how the keys are, and adds to what was done.
func (k *Keeper) note(s Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.Made += k.status.Made
	s.Destroyed += k.status.Destroyed
	s.Failures += k.status.Failures
	k.status = s
}
