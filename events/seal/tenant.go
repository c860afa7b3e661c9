package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rescindhq/rescind/events"
)

// Tenant holds one tenant's keys as they were when it was read. It does not
// change; [Keyring.Tenant] gives a newer one once Config.CacheTTL has passed.
type Tenant struct {
	name      string
	lookup    *mac       // issuer and subject → handle
	reference *mac       // identifiers → references
	digest    *mac       // events → digests
	data      SubjectKey // seals what names no subject
	feed      feedKeys
}

// Name is the tenant's name.
func (t *Tenant) Name() string { return t.name }

// TokenRef is the reference of a token: HMAC-SHA-256 under the tenant's
// reference key, cut to 16 bytes. It is zero where jti is empty.
func (t *Tenant) TokenRef(iss, jti string) events.Ref { return t.ref("token", iss, jti) }

// SessionRef is the reference of a session, zero where sid is empty.
func (t *Tenant) SessionRef(iss, sid string) events.Ref { return t.ref("session", iss, sid) }

// GrantRef is the reference of a grant, zero where id is empty.
func (t *Tenant) GrantRef(iss, id string) events.Ref { return t.ref("grant", iss, id) }

// AskRef is the reference of a request under the id that by, who sent it, gave
// it. It is zero where id is empty.
func (t *Tenant) AskRef(by, id string) events.Ref { return t.ref("ask", by, id) }

// SaidRef is the reference of what was said under such an id. Who knows the
// tenant's key, but not the id, cannot tell from it what was said.
func (t *Tenant) SaidRef(id, said string) events.Ref { return t.ref("said", id, said) }

func (t *Tenant) ref(what, iss, id string) events.Ref {
	if id == "" {
		return events.Ref{}
	}
	sum := t.reference.ofParts(what, iss, id)
	return events.Ref(sum[:16])
}

// Digest is HMAC-SHA-256 of an event's canonical form under the tenant's
// digest key, cut to 8 bytes: enough to tell a duplicate from a conflict, and
// worth nothing without the key.
func (t *Tenant) Digest(canonical []byte) [8]byte {
	sum := t.digest.of(canonical)
	return [8]byte(sum[:8])
}

// seat is where (iss, sub) is kept.
func (t *Tenant) seat(iss, sub string) seat {
	sum := t.lookup.ofParts("subject", iss, sub)
	return seat{t.name, handle(sum[:16])}
}

// derive is a key for one purpose, made from k with HKDF-SHA-256. A purpose says
// what k is, too.
func (k *key) derive(purpose string, size int) []byte {
	b, err := hkdf.Key(sha256.New, k[:], nil, purpose, size)
	if err != nil {
		panic(err) // the sizes are constant and allowed
	}
	return b
}

const ofTenant = "rescind tenant v1 "

func (k *key) deriveMAC(purpose string) *mac { return newMAC(key(k.derive(ofTenant+purpose, keySize))) }

// Tenant is the keys of the tenant of that name, made on first use.
func (k *Keyring) Tenant(ctx context.Context, tenant string) (*Tenant, error) {
	return k.tenant(ctx, tenant, true)
}

// LookupTenant is Tenant, but never makes one: an error that wraps ErrNotFound
// says that there is none.
func (k *Keyring) LookupTenant(ctx context.Context, tenant string) (*Tenant, error) {
	return k.tenant(ctx, tenant, false)
}

// Tenants is the name of every tenant, sorted.
func (k *Keyring) Tenants(ctx context.Context) ([]string, error) {
	names, err := k.store.List(ctx, allRoots)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], allRoots)
	}
	slices.Sort(names)
	return names, nil
}

// tenant is the cached or stored tenant. Where a part of it is missing, it is
// made if so asked.
func (k *Keyring) tenant(ctx context.Context, name string, make bool) (*Tenant, error) {
	if !events.ValidTenant(name) {
		return nil, errors.New("keys of tenant: not the name of a tenant")
	}
	if t, ok := k.tenants.get(name); ok {
		return t, nil
	}
	mark := k.tenants.mark()
	t, err := k.loadTenant(ctx, name)
	if make && errors.Is(err, ErrNotFound) {
		if err = k.makeTenant(ctx, name); err == nil {
			t, err = k.loadTenant(ctx, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("keys of tenant %s: %w", name, err)
	}
	k.tenants.put(name, t, mark)
	return t, nil
}

// loadTenant reads a whole tenant: an error wraps ErrNotFound where its root
// or its first feed key is missing.
func (k *Keyring) loadTenant(ctx context.Context, name string) (*Tenant, error) {
	var e rootEntry
	if err := k.read(ctx, rootName(name), &e); err != nil {
		return nil, err
	}
	feed, err := k.loadFeed(ctx, name)
	if err != nil {
		return nil, err
	}
	t := &Tenant{
		name: name, feed: feedKeys{feed, e.Root.standing(name), inUse(feed, k.now())},
		lookup: e.Root.deriveMAC("lookup"), reference: e.Root.deriveMAC("reference"), digest: e.Root.deriveMAC("digest"),
		data: SubjectKey{Generation: 1, key: dataKey(e.Root.derive(ofTenant+"data", sivKeySize))},
	}
	t.data.ready = newSIV(&t.data.key)
	return t, nil
}

// makeTenant creates what is missing of a tenant. Somebody else may be doing
// the same: what is there first stays.
func (k *Keyring) makeTenant(ctx context.Context, name string) error {
	now := k.now()
	err := k.create(ctx, entry{rootName(name), rootEntry{Root: newKey(), Created: now.UnixMicro()}})
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("create root key: %w", err)
	}
	return k.createFeedKey(ctx, name, numberAt(now), now)
}
