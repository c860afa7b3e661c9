package seal

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
)

// FeedKeyAhead is how long a feed key is there before it is used: longer than any
// process or verifier goes without reading the keys again, and as long as a
// backup of the keyring can be restored by default, so that the newest backup that
// opens has every key that an entry was made with.
const FeedKeyAhead = 8 * 24 * time.Hour

// LongestFeedKey is how long a revocation may last that a publisher says the end of and
// that is under a feed key which rotates.
const LongestFeedKey = 400 * 24 * time.Hour

// feedKeys is the feed keys of a tenant as they were when they were read.
type feedKeys struct {
	generations []storedFeedKey // living, oldest first; never empty
	standing    events.FeedKey
	current     events.FeedKey
}

type storedFeedKey struct {
	events.FeedKey
	created time.Time
}

// inUse is the newest of keys that has been there for long enough, or the first of
// all: before that nothing was hashed.
func inUse(keys []storedFeedKey, now time.Time) events.FeedKey {
	current := keys[0]
	for _, k := range keys[1:] {
		if !now.Before(k.created.Add(FeedKeyAhead)) {
			current = k
		}
	}
	return current.FeedKey
}

// standing is the tenant's feed key that does not rotate. It is made from what
// stays as long as the tenant, so that every keyring that has the tenant has it. So is
// its number: that of a tenant that was made anew is another.
func (k *key) standing(tenant string) events.FeedKey {
	number := binary.BigEndian.Uint32(k.derive(ofTenant+"standing feed number", 4)) % (events.LastStanding - events.FirstStanding + 1)
	return events.FeedKey{Tenant: tenant, Generation: events.FirstStanding + number, Key: [16]byte(k.derive(ofTenant+"standing feed", 16))}
}

// FeedKeys is every living generation of the feed key, oldest first, and behind
// them the one that does not rotate.
func (t *Tenant) FeedKeys() []events.FeedKey {
	out := make([]events.FeedKey, 0, len(t.feed.generations)+1)
	for _, k := range t.feed.generations {
		out = append(out, k.FeedKey)
	}
	return append(out, t.feed.standing)
}

// FeedKey is the current generation of the feed key, which is not the newest in the
// first FeedKeyAhead of that.
func (t *Tenant) FeedKey() events.FeedKey { return t.feed.current }

// FeedKeyFor is what a new revocation of a scope is hashed under that lasts so long. One
// of a key, or one that lasts longer than LongestFeedKey, would keep a generation alive for as
// long, with the hashes of people in it: it is under the feed key that does not rotate.
// One with a cut-off, such as a subject's, never is: how long it lasts is no publisher's
// to say.
func (t *Tenant) FeedKeyFor(s events.Scope, lasts time.Duration) events.FeedKey {
	if s == events.ScopeKey || lasts > LongestFeedKey && !s.HasCutoff() {
		return t.feed.standing
	}
	return t.feed.current
}

func (t *Tenant) newestFeedKey() events.FeedKey {
	return t.feed.generations[len(t.feed.generations)-1].FeedKey
}

// loadFeed is the living feed keys of a tenant, oldest first.
func (k *Keyring) loadFeed(ctx context.Context, tenant string) ([]storedFeedKey, error) {
	_, got, err := k.loadAll(ctx, feedPrefix(tenant))
	if err != nil {
		return nil, err
	}
	var keys []storedFeedKey
	for name := range got {
		key, err := k.feedKeyIn(got, name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("feed keys: %w", ErrNotFound)
	}
	slices.SortFunc(keys, func(a, b storedFeedKey) int { return cmp.Compare(a.Generation, b.Generation) })
	return keys, nil
}

func (k *Keyring) feedKeyIn(got map[string][]byte, name string) (storedFeedKey, error) {
	tenant, number, _ := strings.Cut(strings.TrimPrefix(name, allFeedKeys), ".")
	generation, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return storedFeedKey{}, errors.New("list feed keys: an entry is named by no generation")
	}
	var e feedEntry
	if err := k.decode(got, name, &e); err != nil {
		return storedFeedKey{}, err
	}
	return storedFeedKey{events.FeedKey{Tenant: tenant, Generation: uint32(generation), Key: e.Key}, time.UnixMicro(e.Created)}, nil
}

// numberAt is the number of a generation that is made then, in units of four seconds:
// no key that is made later gets it, whatever backup is restored, and until 2084 it
// is below events.FirstStanding.
func numberAt(now time.Time) uint32 { return uint32(max(now.Unix()/4, 1)) }

func (k *Keyring) createFeedKey(ctx context.Context, tenant string, generation uint32, now time.Time) error {
	e := feedEntry{Created: now.UnixMicro()}
	rand.Read(e.Key[:])
	err := k.create(ctx, entry{feedName(tenant, generation), e})
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("create feed key: %w", err)
	}
	return nil
}

// RotateFeedKey makes the generation behind after of a tenant's feed key, where
// that is the newest, and returns the newest. It is made now, as the caller knows the
// time, and used FeedKeyAhead later; the older ones stay until
// [Keyring.DestroyFeedKey].
func (k *Keyring) RotateFeedKey(ctx context.Context, tenant string, after uint32, now time.Time) (events.FeedKey, error) {
	t, err := k.tenantAnew(ctx, tenant)
	if err != nil {
		return events.FeedKey{}, fmt.Errorf("rotate feed key: %w", err)
	}
	if newest := t.newestFeedKey(); newest.Generation != after {
		return newest, nil
	}
	if err := k.createFeedKey(ctx, tenant, max(after+1, numberAt(now)), now); err != nil {
		return events.FeedKey{}, fmt.Errorf("rotate feed key of tenant %s: %w", tenant, err)
	}
	if t, err = k.tenantAnew(ctx, tenant); err != nil {
		return events.FeedKey{}, fmt.Errorf("rotate feed key: %w", err)
	}
	return t.newestFeedKey(), nil
}

// DestroyFeedKey destroys one generation of a tenant's feed key, once the last
// entry hashed under it has expired. The current one and those to come are refused.
// Other processes drop it once their Config.CacheTTL has passed. Doing it again is no
// error.
func (k *Keyring) DestroyFeedKey(ctx context.Context, tenant string, generation uint32) error {
	t, err := k.tenantAnew(ctx, tenant)
	if err != nil {
		return fmt.Errorf("destroy feed key: %w", err)
	}
	if generation >= t.FeedKey().Generation {
		return fmt.Errorf("destroy feed key of tenant %s: generation %d is not older than the current one", tenant, generation)
	}
	if err := k.store.Erase(ctx, feedName(tenant, generation)); err != nil {
		return fmt.Errorf("destroy feed key of tenant %s: %w", tenant, err)
	}
	k.tenants.remove(tenant)
	return nil
}

// tenantAnew is the tenant as the store has it now.
func (k *Keyring) tenantAnew(ctx context.Context, tenant string) (*Tenant, error) {
	k.tenants.remove(tenant)
	return k.LookupTenant(ctx, tenant)
}

// FeedGeneration says that there is a generation of a tenant's feed key.
type FeedGeneration struct {
	Tenant     string
	Generation uint32
	Created    time.Time // it is used from FeedKeyAhead later; the first of a tenant at once
}

// FeedGenerations is every generation of every tenant's feed key that rotates, as
// the store has them now, by tenant and age. Beside an error are those that could be
// read.
func (k *Keyring) FeedGenerations(ctx context.Context) ([]FeedGeneration, error) {
	_, got, err := k.loadAll(ctx, allFeedKeys)
	if err != nil {
		return nil, err
	}
	var out []FeedGeneration
	var faults []error
	for name := range got {
		key, err := k.feedKeyIn(got, name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		out = append(out, FeedGeneration{key.Tenant, key.Generation, key.created})
	}
	slices.SortFunc(out, func(a, b FeedGeneration) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Generation, b.Generation))
	})
	return out, errors.Join(faults...)
}
