package seal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/rescindhq/rescind/internal/sleep"
)

// RotationConfig is what a rotation needs.
type RotationConfig struct {
	// Keyring is the one whose epochs come and go: its configuration says how
	// long they last. Its root must be able to destroy. Required.
	Keyring *Keyring

	// Revisions is the keyring's own store. Required.
	Revisions Revisions

	// Lock waits until nobody else rotates the keyring, and says with its term
	// when that ends. Two at once do no harm, and everything twice. Required.
	Lock func(ctx context.Context) (term context.Context, release func(), err error)

	// Share is the percentage of time in which entries are wrapped anew, so that
	// it takes no more than that from those who wait for the store. Default 25; 1
	// to 100.
	Share int

	// Every is how often it looks for what is due, and tries again what failed.
	// Default 1 min; 1 ms to 1 h.
	Every time.Duration

	// Logger is where failures are told. Required.
	Logger *slog.Logger
}

const (
	defaultShare = 25
	defaultEvery = time.Minute
	maxEvery     = time.Hour
)

func (c *RotationConfig) defaults() {
	if c.Share == 0 {
		c.Share = defaultShare
	}
	if c.Every == 0 {
		c.Every = defaultEvery
	}
}

// Validate reports every fault of c at once.
func (c RotationConfig) Validate() error {
	c.defaults()
	var faults []error
	if c.Keyring == nil || c.Revisions == nil || c.Lock == nil || c.Logger == nil {
		faults = append(faults, errors.New("keyring, revisions, lock and logger are all needed"))
	} else if _, err := c.Keyring.epochs.root.Delay(); err != nil {
		faults = append(faults, err)
	}
	if c.Share < 1 || c.Share > 100 {
		faults = append(faults, fmt.Errorf("share of %d %%: want 1 to 100", c.Share))
	}
	if c.Every < time.Millisecond || c.Every > maxEvery {
		faults = append(faults, fmt.Errorf("every %s: want 1ms to %s", c.Every, maxEvery))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("rotation: %w", err)
	}
	return nil
}

// Rotation takes a keyring from epoch to epoch. When one is over it begins the
// next, wraps all entries anew in that, and has the root destroy the key of the
// one before. What it does next is read from the store each time, so that one
// that was stopped anywhere goes on there.
type Rotation struct {
	cfg    RotationConfig
	keys   *Keyring
	epochs *epochs

	mu    sync.Mutex
	stats RotationStats
}

// RotationStats is what a rotation has done and found so far.
type RotationStats struct {
	Rewrapped uint64    // entries that were wrapped anew
	Repeated  uint64    // times that entries were read again because others changed them
	Begun     uint64    // epochs
	Destroyed uint64    // keys of epochs
	Failures  uint64    // turns that ended with an error
	Damaged   int       // entries that do not open, as of the last time that all were looked at
	Looked    time.Time // when what was due was last done
}

// NewRotation is a rotation. It does nothing yet.
func NewRotation(cfg RotationConfig) (*Rotation, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.defaults()
	return &Rotation{cfg: cfg, keys: cfg.Keyring, epochs: cfg.Keyring.epochs}, nil
}

// Stats is what has been done so far.
func (r *Rotation) Stats() RotationStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

func (r *Rotation) count(do func(*RotationStats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do(&r.stats)
}

// Run rotates until ctx ends, then returns nil. What fails is logged and tried
// again.
func (r *Rotation) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		term, release, err := r.cfg.Lock(ctx)
		if err == nil {
			r.serve(ctx, term)
			release()
			continue
		}
		if ctx.Err() == nil {
			r.cfg.Logger.WarnContext(ctx, "keyring rotation waits for its lock", slog.Any("err", err))
			_ = sleep.For(ctx, r.cfg.Every)
		}
	}
	return nil
}

// serve does what is due, again and again, until ctx or term ends.
func (r *Rotation) serve(ctx, term context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(term, cancel)()
	for {
		if err := r.Turn(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.WarnContext(ctx, "keyring rotation delayed", slog.Any("err", err))
		}
		if sleep.For(ctx, r.cfg.Every) != nil {
			return
		}
	}
}

// Turn does all that is due now.
func (r *Rotation) Turn(ctx context.Context) error {
	err := r.turn(ctx)
	r.count(func(s *RotationStats) {
		if err != nil {
			s.Failures++
		} else {
			s.Looked = r.keys.now()
		}
	})
	return err
}

func (r *Rotation) turn(ctx context.Context) error {
	all, err := r.begin(ctx)
	if err != nil || len(all) < 2 {
		return err
	}
	if err := r.empty(ctx, all); err != nil {
		return fmt.Errorf("wrap entries in epoch %d: %w", all[len(all)-1].Number, err)
	}
	if all, err = r.epochs.list(ctx); err != nil {
		return err
	}
	return r.destroy(ctx, all)
}

// begin is all epochs, after the next has begun if that was due.
func (r *Rotation) begin(ctx context.Context) ([]listed, error) {
	all, err := r.epochs.list(ctx)
	if err != nil || len(all) == 0 { // nobody has wrapped anything
		return nil, err
	}
	last := all[len(all)-1]
	if r.keys.now().Before(r.due(last)) {
		return all, nil
	}
	if _, err := r.epochs.unwrap(ctx, last.Number); err != nil { // of another root, or one that cannot be used: nothing could be wrapped anew
		return nil, err
	}
	if err := r.epochs.begin(ctx, last.Number+1); err != nil {
		return nil, err
	}
	r.count(func(s *RotationStats) { s.Begun++ })
	r.cfg.Logger.InfoContext(ctx, "keyring epoch begun", slog.Uint64("epoch", uint64(last.Number)+1))
	return r.epochs.list(ctx)
}

// maxSkew is how far ahead of ours the clock of who began an epoch may be.
const maxSkew = time.Minute

// due is when an epoch is over: as it was planned, or earlier where epochs have
// become shorter since. One that began at a time that is still to come was begun
// by a wrong clock, and would last for as long as that was ahead: it is over.
func (r *Rotation) due(e listed) time.Time {
	if now := r.keys.now(); e.Created.Sub(now) > maxSkew {
		return now
	}
	due := e.Created.Add(r.epochs.lasts)
	if !e.Ends.IsZero() && e.Ends.Before(due) {
		return e.Ends
	}
	return due
}

// empty wraps every entry in the current epoch, the last of all, and says of the
// others that they are empty. It is done when nothing that was written before
// the current epoch is of another one: after that the store takes no such entry.
func (r *Rotation) empty(ctx context.Context, all []listed) error {
	retired, current := all[:len(all)-1], all[len(all)-1].Number
	if !slices.ContainsFunc(retired, func(e listed) bool { return e.Emptied.IsZero() }) {
		return nil
	}
	for {
		found, err := r.pass(ctx, current, true)
		if err != nil {
			return err
		}
		if found.moved == 0 {
			return r.markEmptied(ctx, retired, found)
		}
	}
}

// markEmptied says of epochs in which nothing is wrapped that this is so.
func (r *Rotation) markEmptied(ctx context.Context, retired []listed, found found) error {
	r.count(func(s *RotationStats) { s.Damaged = found.damagedInAll() })
	now := mustMarshal(emptiedEntry{At: r.keys.now().UnixMicro()})
	for _, e := range retired {
		if !e.Emptied.IsZero() {
			continue
		}
		if n := found.left[e.Number]; n > 0 {
			return fmt.Errorf("%d entries of epoch %d do not open, so its key is kept: restore or erase them", n, e.Number)
		}
		err := r.keys.store.Create(ctx, "", Put{Key: emptiedName(e.Number), Value: now})
		if err != nil && !errors.Is(err, ErrExists) {
			return fmt.Errorf("say that epoch %d is empty: %w", e.Number, err)
		}
	}
	return nil
}

// destroy has the root destroy the keys of the epochs that are empty and were
// kept long enough. It looks once more that they are.
func (r *Rotation) destroy(ctx context.Context, all []listed) error {
	now, current := r.keys.now(), all[len(all)-1].Number
	var due []listed
	for _, e := range all[:len(all)-1] {
		if e.Destroyed.IsZero() && !e.Emptied.IsZero() && !now.Before(e.Retired.Add(r.epochs.keep)) {
			due = append(due, e)
		}
	}
	if len(due) == 0 {
		return nil
	}
	found, err := r.pass(ctx, current, false)
	if err != nil {
		return err
	}
	if _, err := r.epochs.unwrap(ctx, current); err != nil { // the root is not the one, or forgets: then it must destroy nothing
		return err
	}
	for _, e := range due {
		if n := found.left[e.Number]; n > 0 {
			return fmt.Errorf("%d entries are wrapped in epoch %d, which was empty: its key is kept", n, e.Number)
		}
		if err := r.end(ctx, e); err != nil {
			return fmt.Errorf("end epoch %d: %w", e.Number, err)
		}
	}
	return nil
}

// end destroys the key of an epoch, then says so. Stopped between the two, it
// finds nothing to destroy when it does so again.
func (r *Rotation) end(ctx context.Context, e listed) error {
	gone, err := r.epochs.root.Destroy(ctx, e.rootKey)
	if err != nil {
		return err
	}
	r.epochs.forget(e.Number)
	ended := mustMarshal(endedEntry{At: r.keys.now().UnixMicro(), Gone: gone.UnixMicro()})
	err = r.keys.store.Create(ctx, "", Put{Key: endedName(e.Number), Value: ended})
	if err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	r.count(func(s *RotationStats) { s.Destroyed++ })
	r.cfg.Logger.InfoContext(ctx, "keyring epoch destroyed", slog.Uint64("epoch", uint64(e.Number)), slog.Time("gone", gone))
	return nil
}
