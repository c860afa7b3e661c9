package app

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/erasure"
)

const callbacksLock = "callbacks"

// telling is how those who sent requests by OpenDSR are told how these stand; nil
// where OpenDSR is not spoken. Controllers verify the signature by the certificate:
// the sender's own is by a key of this process, which is not published.
func (a *app) telling(p *parts) (*erasure.Telling, error) {
	if p.opendsr == nil {
		return nil, nil
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("callbacks: %w", err)
	}
	sender, err := callback.New(callback.Config{Key: key, Insecure: a.cfg.Profile == config.Dev})
	if err != nil {
		return nil, err
	}
	return &erasure.Telling{
		Posts: sender, Message: p.opendsr.Message,
		Lock: func(ctx context.Context) (func(), error) {
			return stream.AcquireLock(ctx, p.bus.js, callbacksLock, lockTTL)
		},
	}, nil
}
