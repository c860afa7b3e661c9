package seal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
)

// Config is what a keyring needs.
type Config struct {
	// Store keeps the entries. Required.
	Store Store

	// KEK wraps every entry. Required. Whoever has it and the store has
	// everything; whoever has one of them has nothing.
	KEK KEK

	// CacheSubjects is how many people's data keys are kept in memory, about
	// 250 bytes each. Default 100,000; 2 to 10,000,000. Fewer costs reads of the
	// store, about three for each person that a batch names anew.
	CacheSubjects int

	// CacheTTL is how long a cached key is used without asking the store again:
	// what bounds the time in which a process that missed [Keyring.Evict] still
	// seals under a key that was destroyed (it never opens with one). Default
	// 30 s; 1 ms to 1 min.
	CacheTTL time.Duration

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

const (
	defaultCacheSubjects = 100_000
	maxCacheSubjects     = 10_000_000
	defaultCacheTTL      = 30 * time.Second
	maxCacheTTL          = time.Minute
	cachedTenants        = 10_000
)

func (c *Config) defaults() {
	if c.CacheSubjects == 0 {
		c.CacheSubjects = defaultCacheSubjects
	}
	if c.CacheTTL == 0 {
		c.CacheTTL = defaultCacheTTL
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c.defaults()
	var faults []error
	if c.Store == nil {
		faults = append(faults, errors.New("store is missing"))
	}
	if !c.KEK.set {
		faults = append(faults, errors.New("key-encryption key is missing"))
	}
	if c.CacheSubjects < 2 || c.CacheSubjects > maxCacheSubjects {
		faults = append(faults, fmt.Errorf("cache of %d subjects: want 2 to %d", c.CacheSubjects, maxCacheSubjects))
	}
	if c.CacheTTL < time.Millisecond || c.CacheTTL > maxCacheTTL {
		faults = append(faults, fmt.Errorf("cache for %s: want 1ms to %s", c.CacheTTL, maxCacheTTL))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	return nil
}

// Keyring finds, makes and destroys keys.
type Keyring struct {
	store Store
	kek   KEK
	now   func() time.Time

	subjects *cache[seat, SubjectKey]
	tenants  *cache[string, *Tenant]
}

// NewKeyring is a keyring over cfg.Store. It reads nothing yet.
func NewKeyring(cfg Config) (*Keyring, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.defaults()
	return &Keyring{
		store: cfg.Store, kek: cfg.KEK, now: cfg.Now,
		subjects: newCache[seat, SubjectKey](cfg.CacheSubjects, cfg.CacheTTL, cfg.Now),
		tenants:  newCache[string, *Tenant](cachedTenants, cfg.CacheTTL, cfg.Now),
	}, nil
}

// reads is how many entries are read at once, to hide the way to the store.
const reads = 64

// each calls do for every item, several at once.
func each[T any](ctx context.Context, items []T, do func(ctx context.Context, i int, item T) error) error {
	if len(items) == 1 {
		return do(ctx, 0, items[0])
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(reads)
	for i, item := range items {
		g.Go(func() error { return do(ctx, i, item) })
	}
	return g.Wait()
}

// Evict forgets what is cached of the person whose fence is e.<tenant>.<handle>
// in the store. It is to be called when a fence is announced.
func (k *Keyring) Evict(tenant, handle string) { k.subjects.remove(seat{tenant, handle}) }

// Lookup is the key of p, for one who asks and does not seal: it never makes
// one, and never answers from a cache. The error wraps ErrNotFound where p was
// never seen; Erased is set where p was erased.
func (k *Keyring) Lookup(ctx context.Context, p Person) (SubjectKey, error) {
	t, err := k.LookupTenant(ctx, p.Tenant)
	if err != nil {
		return SubjectKey{}, fmt.Errorf("look up subject: %w", err)
	}
	s, _, err := k.find(ctx, t.seat(p.Issuer, p.Subject))
	if err != nil {
		return SubjectKey{}, fmt.Errorf("look up subject: %w", err)
	}
	return s, nil
}

// find reads the key at a seat. Where there is none yet the error wraps
// ErrNotFound, and ref is the reference that stands there without a key, from
// somebody who was stopped half-way.
func (k *Keyring) find(ctx context.Context, at seat) (s SubjectKey, ref events.Ref, err error) {
	erased, err := k.fenced(ctx, at)
	if err != nil || erased {
		return SubjectKey{Erased: erased}, ref, err
	}
	var subject subjectEntry
	if err := k.read(ctx, subjectName(at), &subject); err != nil {
		return s, ref, err
	}
	var e keyEntry
	if err := k.read(ctx, keyName(at.tenant, subject.Ref), &e); err != nil {
		return s, subject.Ref, err
	}
	return SubjectKey{Ref: subject.Ref, Generation: e.Generation, key: e.Key}, subject.Ref, nil
}
