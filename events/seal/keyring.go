package seal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config is what a keyring needs.
type Config struct {
	// Store keeps the entries. Required.
	Store Store

	// Root wraps the keys that entries are wrapped under, one for each epoch.
	// Required. Whoever can use it and has the store has everything; whoever has
	// one of them has nothing.
	Root Root

	// EpochLasts is how long an epoch is planned to last: see [Rotation]. Default
	// 7 days; 1 s to 366 days. All who share a store say the same. Longer means
	// that a copy of the keyring can be read for longer after an erasure; shorter,
	// that all entries are wrapped anew more often.
	EpochLasts time.Duration

	// EpochKeep is how long the key of an epoch is kept after its end: as long a
	// backup of the keyring that was made in it can be restored and used. Default
	// 24 h; 0 is that, negative is not at all; at most 90 days.
	EpochKeep time.Duration

	// CacheSubjects is how many people's data keys are kept in memory, at most
	// 280 bytes each. Default 100,000; 2 to 10,000,000. Fewer costs reads of the
	// store: a call for each batch that names somebody anew.
	CacheSubjects int

	// CacheTTL is how long a cached key is used without asking the store for a
	// fence: what bounds the time in which a process that missed [Keyring.Evict] still
	// seals under a key that was destroyed (it never opens with one). Default
	// 30 s; 1 ms to 1 min.
	CacheTTL time.Duration

	// Held reports whether whoever forgets somebody waits until this process has
	// dropped their key. As long as it is false, a cached key is used only after the
	// store was asked for a fence. Before it becomes true again everybody is to be
	// evicted: who was forgotten meanwhile was not told of. It is called often. nil:
	// nobody waits, and CacheTTL alone is the bound.
	Held func() bool

	// OnTampering is told, at once, of what was refused because somebody has
	// changed it, each time that it is met. It must not wait. nil is not told.
	OnTampering func(Tampering)

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// MaxCacheTTL bounds Config.CacheTTL in every process: what was changed so long
// ago is known everywhere.
const MaxCacheTTL = time.Minute

const (
	defaultCacheSubjects = 100_000
	maxCacheSubjects     = 10_000_000
	defaultCacheTTL      = 30 * time.Second
	maxCacheTTL          = MaxCacheTTL
	defaultEpochLasts    = 7 * 24 * time.Hour
	maxEpochLasts        = 366 * 24 * time.Hour
	defaultEpochKeep     = 24 * time.Hour
	maxEpochKeep         = 90 * 24 * time.Hour
	cachedTenants        = 10_000
	cachedCiphers        = 8_000 // 1.2 KB each; who is evicted has none, whether or not their key is cached
)

func (c *Config) defaults() {
	if c.CacheSubjects == 0 {
		c.CacheSubjects = defaultCacheSubjects
	}
	if c.CacheTTL == 0 {
		c.CacheTTL = defaultCacheTTL
	}
	if c.EpochLasts == 0 {
		c.EpochLasts = defaultEpochLasts
	}
	if c.EpochKeep == 0 {
		c.EpochKeep = defaultEpochKeep
	}
	c.EpochKeep = max(c.EpochKeep, 0)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Held == nil {
		c.Held = func() bool { return true }
	}
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c.defaults()
	var faults []error
	if c.Store == nil {
		faults = append(faults, errors.New("store is missing"))
	}
	if c.Root == nil || c.Root == Root(KEK{}) {
		faults = append(faults, errors.New("root is missing"))
	}
	if c.EpochLasts < time.Second || c.EpochLasts > maxEpochLasts {
		faults = append(faults, fmt.Errorf("epochs of %s: want 1s to %s", c.EpochLasts, maxEpochLasts))
	}
	if c.EpochKeep > maxEpochKeep {
		faults = append(faults, fmt.Errorf("keys of epochs kept for %s: want at most %s", c.EpochKeep, maxEpochKeep))
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
	store  Store
	epochs *epochs
	now    func() time.Time

	onTampering func(Tampering)
	held        func() bool

	subjects *cache[handle, known]
	ciphers  *cache[handle, ready] // of those who were in a batch lately
	tenants  *cache[string, *Tenant]
	intake   intakeKeys
	feed     readFeedKeys
}

// NewKeyring is a keyring over cfg.Store. It reads nothing yet.
func NewKeyring(cfg Config) (*Keyring, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.defaults()
	return &Keyring{
		store: cfg.Store, epochs: newEpochs(cfg), now: cfg.Now, onTampering: cfg.OnTampering, held: cfg.Held,
		subjects: newCache[handle, known](cfg.CacheSubjects, cfg.CacheTTL, cfg.Now),
		ciphers:  newCache[handle, ready](min(cachedCiphers, cfg.CacheSubjects), cfg.CacheTTL, cfg.Now),
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
// in the store, of everybody where the handle is empty. It is to be called when a
// fence is announced.
func (k *Keyring) Evict(tenant, handle string) {
	if handle == "" {
		k.subjects.clear()
		k.ciphers.clear()
	}
	if h, err := hex.DecodeString(handle); err == nil && len(h) == len(seat{}.handle) { // nobody is at any other
		k.evict([16]byte(h))
	}
}

func (k *Keyring) evict(h handle) {
	k.subjects.remove(h)
	k.ciphers.remove(h)
}

// Lookup is the key of p, for one who asks and does not seal: it never makes
// one, and never answers from a cache. The error wraps ErrNotFound where p was
// never seen; Erased is set where p was erased.
func (k *Keyring) Lookup(ctx context.Context, p Person) (SubjectKey, error) {
	t, err := k.LookupTenant(ctx, p.Tenant)
	if err != nil {
		return SubjectKey{}, fmt.Errorf("look up subject: %w", err)
	}
	found, there, err := k.readPerson(ctx, t.seat(p.Issuer, p.Subject))
	switch {
	case err != nil:
		return SubjectKey{}, fmt.Errorf("look up subject: %w", err)
	case !there:
		return SubjectKey{}, fmt.Errorf("look up subject: %w", ErrNotFound)
	}
	return found.subjectKey(), nil
}

// readPerson is what the store knows of the person at a seat.
func (k *Keyring) readPerson(ctx context.Context, at seat) (p known, there bool, err error) {
	found := map[seat]known{}
	_, err = k.find(ctx, questions{seats: []seat{at}}, found)
	p, there = found[at]
	return p, there, err
}

// find reads what is asked for into found. Vacant are the seats where nobody
// is.
//
// It calls the store once, for fences and keys, and that call is not one
// instant. That is safe because a person's entries only ever go in one order:
// the fence comes, then the key goes. Where Destroy runs meanwhile, find sees
// one of three things. The fence: the person is forgotten. No fence and no key:
// it looks like never seen, so Subjects makes a key, and as the fence was there
// before the key went, it is there when settle looks, which takes back what was
// made. No fence and the key, or no fence and a key that was known before: as
// though find had run before Destroy, and whoever caches that is told by Evict
// or CacheTTL.
func (k *Keyring) find(ctx context.Context, q questions, found map[seat]known) (vacant []seat, err error) {
	names := make([]string, 0, 2*len(q.seats))
	for _, at := range q.seats {
		names = append(names, fenceName(at))
		if _, ok := q.confirmed[at]; !ok {
			names = append(names, keyName(at))
		}
	}
	read := k.subjects.clock()
	got, err := k.load(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, at := range q.seats {
		p, there := q.confirmed[at]
		erased, err := k.fencedIn(got, at)
		if err == nil && !erased && !there {
			p, there, err = k.keyIn(got, at, read)
		}
		switch {
		case err != nil:
			return nil, err
		case erased:
			k.reportReturned(ctx, got, at)
			found[at] = known{erased: true}
		case there:
			found[at] = p
		default:
			vacant = append(vacant, at)
		}
	}
	return vacant, nil
}

// keyIn is the key at a seat in what load got, read then.
func (k *Keyring) keyIn(got map[string][]byte, at seat, read int64) (p known, there bool, err error) {
	var e keyEntry
	switch err := k.decode(got, keyName(at), &e); {
	case errors.Is(err, ErrNotFound):
		return known{}, false, nil
	case err != nil:
		return known{}, false, err
	}
	return known{ref: e.Ref, generation: e.Generation, key: e.Key, read: read}, true, nil
}
