package intakekey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
)

// callWait bounds one look after the keys.
const callWait = 10 * time.Second

// Status is how the keys are.
type Status struct {
	Keys    int       // that are there
	Overdue int       // of them, past their end and Grace: something in the intake may need them
	Expires time.Time // of the one that takes messages longest
}

// Keeper looks after the keys of an intake.
type Keeper struct {
	cfg   Config
	ready chan struct{}

	// Owned by Run.
	marks map[string]mark

	mu     sync.Mutex
	status Status
	offset time.Duration // of the time from this process's clock
}

// mark is where the intake stream ended when a key was first seen to be past its
// end and Grace: nothing behind it is to be opened with that key.
type mark struct {
	created time.Time // of the stream
	last    uint64
}

// New is a keeper that does nothing before Run.
func New(cfg Config) (*Keeper, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Keeper{cfg: cfg.withDefaults(), ready: make(chan struct{}), marks: map[string]mark{}}, nil
}

// Ready is closed once there was a key that takes messages.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Status is how the keys were when they were looked after last.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// Run looks after the keys and answers requests until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	for serving := false; ; {
		err := k.turn(ctx)
		if err == nil && !serving { // from here on it knows the time
			stop, err := k.serve(ctx)
			if err != nil {
				return fmt.Errorf("intake keys: %w", err)
			}
			defer stop() // once
			serving = true
		}
		if k.pause(ctx, err) != nil {
			return fmt.Errorf("intake keys: %w", context.Cause(ctx))
		}
	}
}

// pause waits until keys are to be looked after again: soon where that has
// failed, as publishers may be waiting.
func (k *Keeper) pause(ctx context.Context, failed error) error {
	wait := k.cfg.Every
	if failed != nil && ctx.Err() == nil {
		k.cfg.Logger.Error("intake keys not looked after", "err", failed)
		wait = min(wait, time.Second)
	}
	return sleep.For(ctx, wait)
}

// turn makes what keys are missing and destroys those that nothing needs.
func (k *Keeper) turn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	state, err := k.cfg.Intake(ctx)
	if err != nil {
		return err
	}
	now := k.cfg.Now(state.Now)
	keys, err := k.cfg.Keyring.IntakeKeys(ctx) // one that cannot be read keeps nobody from making others
	missing, failed := k.make(ctx, keys, now)
	if failed != nil {
		return errors.Join(err, failed)
	}
	if missing {
		keys, err = k.cfg.Keyring.IntakeKeys(ctx)
	}
	keys, failed = k.destroy(ctx, keys, state, now)
	k.note(keys, now)
	return errors.Join(err, failed)
}

// make makes the key for now, and the one behind it when that is due. Missing
// says that one was not among the known, whoever has made it.
func (k *Keeper) make(ctx context.Context, known []envelope.PrivateKey, now time.Time) (missing bool, err error) {
	for _, at := range []time.Time{now, now.Add(k.cfg.Ahead + k.cfg.Overlap)} {
		from, until := k.piece(at)
		if has(known, from) {
			continue
		}
		missing = true
		made, err := k.cfg.Keyring.MakeIntakeKey(ctx, from, until)
		if err != nil {
			return missing, err
		}
		if made {
			k.cfg.Logger.Info("intake key made", "from", from, "until", until)
		}
	}
	return missing, nil
}

// piece is from when until when the key is used whose piece of time at is in.
func (k *Keeper) piece(at time.Time) (from, until time.Time) {
	period := int64(k.cfg.Period / time.Second)
	begin := at.Unix() / period * period
	return time.Unix(begin, 0).Add(-k.cfg.Overlap).UTC(), time.Unix(begin+period, 0).UTC()
}

func has(keys []envelope.PrivateKey, from time.Time) bool {
	for _, key := range keys {
		if key.NotBefore.Equal(from) {
			return true
		}
	}
	return false
}

// destroy destroys those of keys that nothing needs. Left are the others.
func (k *Keeper) destroy(ctx context.Context, keys []envelope.PrivateKey, state stream.IntakeState, now time.Time) (left []envelope.PrivateKey, err error) {
	for _, key := range keys {
		if !k.over(key.PublicKey, now) || !k.passed(key.ID, state) {
			left = append(left, key)
			continue
		}
		if failed := k.cfg.Keyring.DestroyIntakeKey(ctx, key.PublicKey); failed != nil {
			left, err = append(left, key), errors.Join(err, failed)
			continue
		}
		delete(k.marks, key.ID)
		k.cfg.Logger.Info("intake key destroyed", "until", key.Expires)
	}
	return left, err
}

// over reports whether key is past its end and Grace.
func (k *Keeper) over(key envelope.PublicKey, now time.Time) bool {
	return !now.Before(key.Expires.Add(k.cfg.Grace))
}

// passed reports whether nothing is left in the intake that was stored before
// the key of that id was past its end and Grace.
func (k *Keeper) passed(id string, state stream.IntakeState) bool {
	m, marked := k.marks[id]
	if !marked || !m.created.Equal(state.Created) {
		m = mark{state.Created, state.Last}
		k.marks[id] = m
	}
	return state.First > m.last
}

// note keeps how the keys are, and tells once that there are.
func (k *Keeper) note(keys []envelope.PrivateKey, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.offset = time.Until(now)
	k.status = Status{Keys: len(keys)}
	for _, key := range keys {
		if k.over(key.PublicKey, now) {
			k.status.Overdue++
		}
		if key.Expires.After(k.status.Expires) {
			k.status.Expires = key.Expires
		}
	}
	select {
	case <-k.ready:
	default:
		if !public(keys, now).Current(now).IsZero() {
			close(k.ready)
		}
	}
}
