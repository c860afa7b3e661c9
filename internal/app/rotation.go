package app

import (
	"context"
	"time"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

const (
	keyringLock = "keyring"
	epochsWait  = 2 * time.Second
)

// rotation takes the keyring from epoch to epoch, in one of the intakes at a
// time. It is nil where the root cannot destroy: there would be no use in it.
func (a *app) rotation(ctx context.Context, elections, b *bus, keys *seal.Keyring) (func(context.Context) error, error) {
	if a.cfg.Keys.Root.Permanent() {
		a.log.Warn("keys.root cannot destroy: whoever keeps a copy of the keyring can read what is erased later")
		return nil, nil
	}
	store, err := stream.OpenKeyStore(ctx, b.js)
	if err != nil {
		return nil, err
	}
	r, err := seal.NewRotation(seal.RotationConfig{
		Keyring: keys, Revisions: store, Logger: a.log.With("role", "rotation"),
		Lock: func(ctx context.Context) (context.Context, func(), error) {
			return stream.Elect(ctx, elections.js, keyringLock, lockTTL)
		},
	})
	if err != nil {
		return nil, err
	}
	a.watchRotation(r, keys)
	return r.Run, nil
}

// forgetEvery is how long a process may have the key of an epoch in memory that
// was destroyed.
const forgetEvery = 10 * time.Minute

func (a *app) forgetEpochs(ctx context.Context, keys *seal.Keyring) error {
	due := time.NewTicker(forgetEvery)
	defer due.Stop()
	for {
		select {
		case <-due.C:
		case <-ctx.Done():
			return nil
		}
		if err := keys.ForgetEpochs(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("keys of destroyed epochs stay in memory", "err", err)
		}
	}
}

func (a *app) watchRotation(r *seal.Rotation, keys *seal.Keyring) {
	m := a.meter()
	m.count("keyring_rewrapped_total", "Entries of the keyring that were wrapped anew because their epoch was over.", func() float64 { return float64(r.Stats().Rewrapped) })
	m.count("keyring_epochs_destroyed_total", "Keys of epochs that the root has destroyed.", func() float64 { return float64(r.Stats().Destroyed) })
	m.count("keyring_rotation_failures_total", "Times that what was due in the keyring could not be done; it is tried again.", func() float64 { return float64(r.Stats().Failures) })
	m.gauge("keyring_entries_damaged", "Entries of the keyring that do not open and keep the key of their epoch from being destroyed.", func() float64 { return float64(r.Stats().Damaged) })
	m.gauge("keyring_oldest_epoch_seconds", "Age of the oldest epoch whose key is not destroyed; -1: not known.", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), epochsWait)
		defer cancel()
		return oldest(ctx, keys)
	})
}

// oldest is the age of the oldest epoch that an old copy of the keyring could be
// read of, 0 where there is none, -1 where that is not known.
func oldest(ctx context.Context, keys *seal.Keyring) float64 {
	all, err := keys.Epochs(ctx)
	if err != nil {
		return -1
	}
	for _, e := range all {
		if e.Destroyed.IsZero() {
			return time.Since(e.Created).Seconds()
		}
	}
	return 0
}
