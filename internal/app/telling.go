package app

import (
	"context"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure"
)

const callbacksLock = "callbacks"

// telling is how those who sent requests by OpenDSR are told how these stand; nil
// where OpenDSR is not spoken.
func (a *app) telling(p *parts) *erasure.Telling {
	if p.opendsr == nil {
		return nil
	}
	return &erasure.Telling{
		Posts: p.callbacks, Message: p.opendsr.Message,
		Lock: func(ctx context.Context) (context.Context, func(), error) {
			return stream.Elect(ctx, p.bus.js, callbacksLock, lockTTL)
		},
	}
}
