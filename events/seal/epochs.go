package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// epochs is the keys of epochs that this process has unwrapped. One that was
// unwrapped is kept until its epoch is known to be destroyed, so that a root
// that cannot be reached stops nobody who is at work.
type epochs struct {
	store Store
	root  Root
	lasts time.Duration // how long an epoch does
	keep  time.Duration // how long its key is kept after that
	now   func() time.Time

	asking chan struct{} // held by the one who asks store and root

	mu     sync.RWMutex
	opened map[uint32]*wrapper
	latest *wrapper // of the current epoch, as far as we know; nil where we do not
	spare  spare
}

// spare is a secret that the root has wrapped for an epoch which, as far as is
// known, did not begin with it. It is for the next attempt: each key of a root
// costs something.
type spare struct {
	epoch uint32 // 0: there is none
	Wrapped
}

func newEpochs(cfg Config) *epochs {
	return &epochs{
		store: cfg.Store, root: cfg.Root, lasts: cfg.EpochLasts, keep: cfg.EpochKeep, now: cfg.Now,
		asking: make(chan struct{}, 1), opened: map[uint32]*wrapper{},
	}
}

// confirmed is the key to wrap in: that of an epoch which the store has. It may
// be over: then the store takes no entry of it. What would be wrapped in one that
// the store does not have, because an operator put a backup in its place, could
// never be unwrapped.
func (e *epochs) confirmed(ctx context.Context) (*wrapper, error) {
	w := e.known()
	if w == nil {
		return e.renew(ctx, nil)
	}
	got, err := e.store.Get(ctx, epochName(w.epoch))
	if err != nil {
		return nil, fmt.Errorf("read epoch %d: %w", w.epoch, err)
	}
	if bytes.Equal(got[epochName(w.epoch)], w.entry) {
		return w, nil
	}
	e.forget(w.epoch)
	return e.renew(ctx, nil)
}

func (e *epochs) known() *wrapper {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.latest
}

// renew is the key of the current epoch, read anew unless somebody else has done
// that since it was known to be was. It makes the first epoch.
func (e *epochs) renew(ctx context.Context, was *wrapper) (*wrapper, error) {
	if err := e.ask(ctx); err != nil {
		return nil, err
	}
	defer e.asked()
	if w := e.known(); w != nil && w != was {
		return w, nil
	}
	n, err := e.last(ctx)
	if err != nil {
		return nil, fmt.Errorf("current epoch: %w", err)
	}
	w, err := e.open(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("current epoch: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.latest = w
	return w, nil
}

// last is the number of the current epoch. It makes the first.
func (e *epochs) last(ctx context.Context) (uint32, error) {
	numbers, err := e.numbers(ctx)
	if err != nil {
		return 0, err
	}
	if len(numbers) > 0 {
		return numbers[len(numbers)-1], nil
	}
	return 1, e.begin(ctx, 1)
}

// ask waits until nobody else asks store and root for epochs.
func (e *epochs) ask(ctx context.Context) error {
	select {
	case e.asking <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *epochs) asked() { <-e.asking }

// begin makes epoch n, unless somebody else has. Its key is as durable as the
// root's before anything says that it is there.
func (e *epochs) begin(ctx context.Context, n uint32) error {
	wrapped, err := e.wrapped(ctx, n)
	if err != nil {
		return fmt.Errorf("make the key of epoch %d: %w", n, err)
	}
	err = e.store.Create(ctx, "", Put{Key: epochName(n), Value: mustMarshal(e.plan(wrapped))})
	if errors.Is(err, ErrExists) {
		err = e.discard(ctx, n, wrapped.Key)
	}
	if err != nil {
		e.swapSpare(spare{n, wrapped})
		return fmt.Errorf("begin epoch %d: %w", n, err)
	}
	return nil
}

// wrapped is a new secret that the root has wrapped for epoch n: that of an
// attempt before this one where there is one. What was left of another epoch may
// be its key, and is destroyed if it is not.
func (e *epochs) wrapped(ctx context.Context, n uint32) (Wrapped, error) {
	left := e.swapSpare(spare{})
	switch left.epoch {
	case n:
		return left.Wrapped, nil
	case 0:
	default:
		if err := e.discard(ctx, left.epoch, left.Key); err != nil && !errors.Is(err, ErrEpoch) {
			e.swapSpare(left)
			return Wrapped{}, err
		}
	}
	secret := newKey()
	return e.root.Wrap(ctx, secret[:])
}

func (e *epochs) swapSpare(s spare) (was spare) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was, e.spare = e.spare, s
	return was
}

// plan is the entry of an epoch that begins now.
func (e *epochs) plan(wrapped Wrapped) epochEntry {
	now := e.now()
	entry := epochEntry{Key: wrapped, Created: now.UnixMicro()}
	if delay, err := e.root.Delay(); err == nil {
		ends := now.Add(e.lasts)
		entry.Ends, entry.Gone = ends.UnixMicro(), ends.Add(e.keep+delay).UnixMicro()
	}
	return entry
}

// discard destroys the root's key that was made for epoch n, which another was
// faster to begin.
func (e *epochs) discard(ctx context.Context, n uint32, rootKey string) error {
	entry, err := e.read(ctx, n)
	if err != nil || entry.Key.Key == rootKey {
		return err
	}
	if _, err := e.root.Destroy(ctx, rootKey); err != nil && !errors.Is(err, ErrPermanent) {
		return fmt.Errorf("destroy a key that was not needed: %w", err)
	}
	return nil
}

// read is the entry of epoch n.
func (e *epochs) read(ctx context.Context, n uint32) (epochEntry, error) {
	got, err := e.store.Get(ctx, epochName(n))
	if err != nil {
		return epochEntry{}, fmt.Errorf("read epoch %d: %w", n, err)
	}
	stored, there := got[epochName(n)]
	if !there {
		return epochEntry{}, fmt.Errorf("read epoch %d: %w", n, ErrEpoch)
	}
	var entry epochEntry
	if err := cbor.Unmarshal(stored, &entry); err != nil {
		return epochEntry{}, fmt.Errorf("decode epoch %d: %w: %w", n, ErrEpoch, ErrSealed)
	}
	return entry, nil
}

// open is the key of epoch n. The caller asks.
func (e *epochs) open(ctx context.Context, n uint32) (*wrapper, error) {
	if w := e.get(n); w != nil {
		return w, nil
	}
	w, err := e.unwrap(ctx, n)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opened[n] = w
	return w, nil
}

func (e *epochs) get(n uint32) *wrapper {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.opened[n]
}

// unwrap is the key of epoch n, from store and root.
func (e *epochs) unwrap(ctx context.Context, n uint32) (*wrapper, error) {
	entry, err := e.read(ctx, n)
	if err != nil {
		return nil, err
	}
	secret, err := e.root.Unwrap(ctx, entry.Key)
	switch {
	case errors.Is(err, ErrRootKey), errors.Is(err, ErrSealed):
		return nil, fmt.Errorf("epoch %d: %w: %w", n, ErrEpoch, err)
	case err != nil:
		return nil, fmt.Errorf("unwrap the key of epoch %d: %w", n, err)
	case len(secret) != keySize:
		return nil, fmt.Errorf("the key of epoch %d has %d bytes: %w: %w", n, len(secret), ErrEpoch, ErrSealed)
	}
	return entry.wrapper(n, secret), nil
}

// need opens the epochs that stored entries are wrapped in. Whole is false where
// there is one whose key is not to be had.
func (e *epochs) need(ctx context.Context, stored map[string][]byte) (whole bool, err error) {
	missing := e.missing(stored)
	if len(missing) == 0 {
		return true, nil
	}
	if err := e.ask(ctx); err != nil {
		return false, err
	}
	defer e.asked()
	whole = true
	for n := range missing {
		switch _, err := e.open(ctx, n); {
		case errors.Is(err, ErrEpoch):
			whole = false
		case err != nil:
			return false, err
		}
	}
	return whole, nil
}

func (e *epochs) missing(stored map[string][]byte) map[uint32]bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var missing map[uint32]bool
	for _, v := range stored {
		n, err := epochOf(v)
		if err != nil || e.opened[n] != nil {
			continue
		}
		if missing == nil {
			missing = map[uint32]bool{}
		}
		missing[n] = true
	}
	return missing
}

// forget drops the keys of epochs, which the root has destroyed.
func (e *epochs) forget(destroyed ...uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range destroyed {
		delete(e.opened, n)
		if e.latest != nil && e.latest.epoch == n {
			e.latest = nil
		}
	}
}
