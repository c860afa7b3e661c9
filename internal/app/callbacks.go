package app

import (
	"context"
	"crypto/ed25519"
	"errors"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/store"
)

const noticesLock = "notices"

// callbacks makes what posts to URLs that others have named.
func (a *app) callbacks(p *parts) (*callback.Sender, error) {
	allow, err := a.cfg.Callbacks.Prefixes()
	if err != nil {
		return nil, err
	}
	roots, err := a.cfg.Callbacks.Roots()
	if err != nil {
		return nil, err
	}
	return callback.New(callback.Config{KeyFrom: p.callbackKey, Allow: allow, Roots: roots, Insecure: a.cfg.Profile == config.Dev})
}

// callbackKeysOf is the keys that callbacks are or were signed with, the oldest
// first. They follow from the keys of receipts, so that there is one secret to
// keep for years.
func (p *parts) callbackKeysOf(ctx context.Context) (out []ed25519.PrivateKey, err error) {
	keys, err := p.keys.ReceiptKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		key, err := callback.DeriveKey(k.Private.Seed())
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	return out, nil
}

func (p *parts) callbackKey(ctx context.Context) (ed25519.PrivateKey, error) {
	keys, err := p.callbackKeysOf(ctx)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("there is none")
	}
	return keys[len(keys)-1], nil
}

// callbackKeys is what receivers verify with.
func (p *parts) callbackKeys(ctx context.Context) (out []query.Key, err error) {
	keys, err := p.callbackKeysOf(ctx)
	for _, k := range keys {
		public := k.Public().(ed25519.PublicKey)
		out = append(out, query.Key{ID: callback.KeyID(public), Public: public})
	}
	return out, err
}

// notifying is how recipients are told of erasures; with an empty registry,
// nobody is.
func (a *app) notifying(p *parts, archive *store.Archive) (*erasure.Notifying, error) {
	registry, err := a.cfg.Registry()
	if err != nil {
		return nil, err
	}
	archive.Recipients = registry
	return &erasure.Notifying{
		Registry: registry, Disclosures: archive, Outbox: stream.NewOutbox(p.bus.js), Sender: p.callbacks,
		Lock: func(ctx context.Context) (context.Context, func(), error) {
			return stream.Elect(ctx, p.bus.js, noticesLock, lockTTL)
		},
	}, nil
}
