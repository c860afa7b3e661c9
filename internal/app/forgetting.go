package app

import (
	"context"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

// evictionWait is how long every process may take to drop a key: longer than one
// that is gone is waited for.
const evictionWait = time.Minute

// forgetting is a keyring whose Destroy is done only when every process that
// keeps keys in memory has dropped the person's.
type forgetting struct {
	*seal.Keyring
	bus *bus
}

// Destroy forgets a person. Where it did before, but may have been stopped before
// everybody had dropped the key, nothing says whose it was: all are dropped.
func (f forgetting) Destroy(ctx context.Context, tenant string, ref events.Ref) (seal.Destroyed, error) {
	done, err := f.Keyring.Destroy(ctx, tenant, ref)
	if err != nil {
		return done, err
	}
	ctx, cancel := context.WithTimeout(ctx, evictionWait)
	defer cancel()
	if _, err := stream.AwaitEviction(ctx, f.bus.js, tenant, done.Handle); err != nil {
		return done, fmt.Errorf("destroy: %w", err)
	}
	return done, nil
}
