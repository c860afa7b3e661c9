package intakekey

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
)

// group makes one of several keepers answer a request.
const group = "intakekeys"

// serve answers requests until the function that it returns is called.
func (k *Keeper) serve(ctx context.Context) (stop func(), err error) {
	end, err := stream.ServeTogether(ctx, k.cfg.Conn, stream.IntakeKeysSubject, group, k.answer)
	if err != nil {
		return nil, err
	}
	return func() {
		if err := end(); err != nil {
			k.cfg.Logger.Warn("subscription to requests for intake keys not ended", "err", err)
		}
	}, nil
}

// answer gives all the same answer, and none where there is none to be trusted:
// the publisher asks again.
func (k *Keeper) answer(ctx context.Context, requests []*nats.Msg) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	k.mu.Lock()
	now := time.Now().Add(k.offset)
	k.mu.Unlock()
	set, err := published(ctx, k.cfg.Keyring, now)
	if err != nil {
		k.cfg.Logger.Warn("requests for intake keys not answered", "count", len(requests), "err", err)
		return
	}
	body, err := json.Marshal(set)
	if err != nil {
		k.cfg.Logger.Error("intake keys cannot be written", "err", err)
		return
	}
	for _, m := range requests {
		if err := m.Respond(body); err != nil {
			k.cfg.Logger.Warn("request for intake keys not answered", "err", err)
		}
	}
}

// published is the public halves of the keys that have not ended. One that
// cannot be read keeps nobody from the others.
func published(ctx context.Context, keyring interface {
	IntakeKeys(context.Context) ([]envelope.PrivateKey, error)
}, now time.Time) (envelope.Set, error) {
	keys, err := keyring.IntakeKeys(ctx)
	if len(keys) > 0 {
		err = nil
	}
	return public(keys, now), err
}

// public is the public halves of those of keys that have not ended.
func public(keys []envelope.PrivateKey, now time.Time) envelope.Set {
	set := envelope.Set{Now: now}
	for _, key := range keys {
		if now.Before(key.Expires) {
			set.Keys = append(set.Keys, key.PublicKey)
		}
	}
	return set
}
