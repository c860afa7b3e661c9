package app

import (
	"context"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/feedkey"
)

const feedKeysLock = "feedkeys"

// turnFeedKeys turns the keys that revocations are hashed under, in one of the intakes at
// a time.
func (a *app) turnFeedKeys(ctx context.Context, elections, b *bus, keys *seal.Keyring) (func(context.Context) error, error) {
	logs, err := stream.OpenLogs(ctx, b.js, a.cfg.Shards)
	if err != nil {
		return nil, err
	}
	k, err := feedkey.New(feedkey.Config{
		Keyring: keys, Logs: logs, Intake: b.intakeState, Period: a.cfg.Keys.FeedPeriod, Logger: a.log.With("role", "feedkeys"),
		Lock: func(ctx context.Context) (context.Context, func(), error) {
			return stream.Elect(ctx, elections.js, feedKeysLock, lockTTL)
		},
	})
	if err != nil {
		return nil, err
	}
	a.watchFeedKeys(k)
	return k.Run, nil
}

func (a *app) watchFeedKeys(k *feedkey.Keeper) {
	m := a.meter()
	m.count("feed_keys_made_total", "Feed keys that were made for tenants whose last one was due.", func() float64 { return float64(k.Status().Made) })
	m.count("feed_keys_destroyed_total", "Feed keys that were destroyed: nothing lives that was hashed under them.", func() float64 { return float64(k.Status().Destroyed) })
	m.count("feed_keys_failures_total", "Times that what was due of feed keys could not be done; it is tried again.", func() float64 { return float64(k.Status().Failures) })
	m.gauge("feed_keys", "Feed keys that are there; 0 where another process looks after them, as for all below.", func() float64 { return float64(k.Status().Keys) })
	m.gauge("feed_keys_retired", "Of them, those that nothing is hashed under any more, and that something which lives was.", func() float64 { return float64(k.Status().Retired) })
	m.gauge("feed_keys_lost", "Feed keys that are not there, though something that was hashed under them has not expired: tokens of their tenants are unknown, unless all of it is lifted.", func() float64 { return float64(k.Status().Lost) })
	m.gauge("feed_key_oldest_seconds", "When the oldest feed key was made, in seconds since 1970.", func() float64 {
		if oldest := k.Status().Oldest; !oldest.IsZero() {
			return float64(oldest.Unix())
		}
		return 0
	})
}
