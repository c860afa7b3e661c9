package seal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
)

// readFeedKeys is the feed keys that were in the store when it was last asked, by the
// names of their entries. What is under a name changes where a keyring goes back to an
// older copy, which has another root of a tenant that is made anew.
type readFeedKeys struct {
	mu    sync.Mutex
	of    map[string]events.FeedKey
	since time.Time // none of them was read before
}

// FeedKeys is all that verifiers look under, of every tenant. The store is asked each
// time which there are, and for those that are new, and for all once Config.CacheTTL has
// passed. Where one cannot be read it is an
// error: a key that is left out is taken for destroyed.
func (k *Keyring) FeedKeys(ctx context.Context) ([]events.FeedKey, error) {
	k.feed.mu.Lock()
	defer k.feed.mu.Unlock()
	k.forgetFeedKeys()
	now, fresh, err := k.knownFeedKeys(ctx)
	if err != nil {
		return nil, err
	}
	got, err := k.load(ctx, fresh)
	if err != nil {
		return nil, err
	}
	for name := range got { // one that is not there was destroyed since it was listed
		if now[name], err = k.verifiersKeyIn(got, name); err != nil {
			return nil, err
		}
	}
	k.feed.of = now
	return slices.Collect(maps.Values(now)), nil
}

// forgetFeedKeys drops what was read as long ago as tenants are cached.
func (k *Keyring) forgetFeedKeys() {
	if now := k.now(); now.Sub(k.feed.since) >= k.tenants.ttl {
		k.feed.of, k.feed.since = nil, now
	}
}

// knownFeedKeys is those that are there and were read before, and the names of the
// others.
func (k *Keyring) knownFeedKeys(ctx context.Context) (known map[string]events.FeedKey, fresh []string, err error) {
	known = make(map[string]events.FeedKey, len(k.feed.of))
	for _, prefix := range []string{allRoots, allFeedKeys} {
		names, err := k.store.List(ctx, prefix)
		if err != nil {
			return nil, nil, fmt.Errorf("list feed keys: %w", err)
		}
		for _, name := range names {
			if key, was := k.feed.of[name]; was {
				known[name] = key
			} else {
				fresh = append(fresh, name)
			}
		}
	}
	return known, fresh, nil
}

// verifiersKeyIn is the feed key of one generation, or the standing one of a tenant.
func (k *Keyring) verifiersKeyIn(got map[string][]byte, name string) (events.FeedKey, error) {
	tenant, isRoot := strings.CutPrefix(name, allRoots)
	if !isRoot {
		key, err := k.feedKeyIn(got, name)
		return key.FeedKey, err
	}
	var e rootEntry
	if err := k.decode(got, name, &e); err != nil {
		return events.FeedKey{}, err
	}
	return e.Root.standing(tenant), nil
}
