package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

// evictionWait is how long every process may take to drop a key: longer than one
// that is gone is waited for, and no shorter than anything is kept. An answer that waits
// for it has query.RenewWait.
const evictionWait = max(time.Minute, seal.MaxCacheTTL)

// errUnconfirmed says that somebody has not confirmed in all of that time.
var errUnconfirmed = errors.New("not every process has confirmed that it dropped a key")

// forgetting is a keyring whose Fence and Renew are done only when every process that
// keeps keys in memory has dropped what it knew of the person. Destroy is called behind
// Fence: from then on nobody keeps anything of them.
type forgetting struct {
	*seal.Keyring
	bus *bus
}

// Fence stops whatever would still be sealed for a person.
func (f forgetting) Fence(ctx context.Context, tenant string, ref events.Ref) error {
	handle, err := f.Handle(ctx, tenant, ref)
	switch {
	case errors.Is(err, seal.ErrNotFound):
		return nil // gone already
	case err != nil:
		return fmt.Errorf("fence: %w", err)
	}
	if err := f.Keyring.Fence(ctx, tenant, ref); err != nil {
		return err
	}
	if err := f.evicted(ctx, tenant, handle); err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	return nil
}

// RenewFor lets a person be known again. Whoever has not confirmed in time knows all
// the same: nothing is kept in memory for longer than is waited for. Where it could not be
// waited, nobody can say that all know, and it has only to be called again.
func (f forgetting) RenewFor(ctx context.Context, p seal.Person, by events.Ref) (seal.SubjectKey, error) {
	key, err := f.Keyring.RenewFor(ctx, p, by)
	if err != nil {
		return key, err
	}
	handle, err := f.Handle(ctx, p.Tenant, key.Ref)
	if err != nil {
		return key, fmt.Errorf("renew: %w", err)
	}
	if err := f.evicted(ctx, p.Tenant, handle); err != nil && !errors.Is(err, errUnconfirmed) {
		return key, fmt.Errorf("renew: %w", err)
	}
	return key, nil
}

// evicted returns when every process has dropped what it knew of a person.
func (f forgetting) evicted(ctx context.Context, tenant, handle string) error {
	waiting, cancel := context.WithTimeout(ctx, evictionWait)
	defer cancel()
	_, err := stream.AwaitEviction(waiting, f.bus.js, tenant, handle)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errUnconfirmed, err)
	}
	return err
}
