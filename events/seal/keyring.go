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
	// store: two calls for each batch that names somebody anew.
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

// calls is how many calls of the store are made at once, to hide the way to it.
const calls = 64

// each calls do for every item, several at once.
func each[T any](ctx context.Context, items []T, do func(ctx context.Context, i int, item T) error) error {
	if len(items) == 1 {
		return do(ctx, 0, items[0])
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(calls)
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
	at, found := t.seat(p.Issuer, p.Subject), map[seat]SubjectKey{}
	vacant, err := k.find(ctx, []seat{at}, found)
	switch {
	case err != nil:
		return SubjectKey{}, fmt.Errorf("look up subject: %w", err)
	case len(vacant) > 0:
		return SubjectKey{}, fmt.Errorf("look up subject: %w", ErrNotFound)
	}
	return found[at], nil
}

// holder is a seat, and the reference that stands there.
type holder struct {
	at  seat
	ref events.Ref // zero where there is none
}

// find reads the keys at seats into found. Vacant are the seats without a key:
// those without a reference, and those where a reference stands alone, from
// somebody who was stopped half-way.
//
// It calls the store twice, for fences and references and then for data keys,
// and neither call is one instant. That is safe because a person's entries only
// ever go in one order: the fence comes, the reference goes, the data key goes.
// Where Destroy runs meanwhile, find sees one of four things. The fence: the
// person is forgotten. No fence and no reference, or no fence and a reference
// whose key is gone: it looks like never seen or half made, so Subjects makes
// a key, and as the fence was there before anything went, it is there when
// settle looks, which takes back what was made. No fence and the whole key: as
// though find had run before Destroy, and whoever caches that is told by Evict
// or CacheTTL.
func (k *Keyring) find(ctx context.Context, seats []seat, found map[seat]SubjectKey) (vacant []holder, err error) {
	names := make([]string, 0, 2*len(seats))
	for _, at := range seats {
		names = append(names, fenceName(at), subjectName(at))
	}
	got, err := k.load(ctx, names)
	if err != nil {
		return nil, err
	}
	var held []holder
	for _, at := range seats {
		var subject subjectEntry
		erased, err := k.fencedIn(got, at)
		if err == nil && !erased {
			err = k.decode(got, subjectName(at), &subject)
		}
		switch {
		case errors.Is(err, ErrNotFound):
			vacant = append(vacant, holder{at: at})
		case err != nil:
			return nil, err
		case erased:
			found[at] = SubjectKey{Erased: true}
		default:
			held = append(held, holder{at, subject.Ref})
		}
	}
	alone, err := k.findDataKeys(ctx, held, found)
	return append(vacant, alone...), err
}

// findDataKeys reads the keys behind the references of held into found, and
// returns those that have none.
func (k *Keyring) findDataKeys(ctx context.Context, held []holder, found map[seat]SubjectKey) (alone []holder, err error) {
	names := make([]string, len(held))
	for i, h := range held {
		names[i] = keyName(h.at.tenant, h.ref)
	}
	got, err := k.load(ctx, names)
	if err != nil {
		return nil, err
	}
	for i, h := range held {
		var e keyEntry
		switch err := k.decode(got, names[i], &e); {
		case errors.Is(err, ErrNotFound):
			alone = append(alone, h)
		case err != nil:
			return nil, err
		default:
			found[h.at] = SubjectKey{Ref: h.ref, Generation: e.Generation, key: e.Key}
		}
	}
	return alone, nil
}
