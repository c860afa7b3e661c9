package seal

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/rescindhq/rescind/events"
)

// A person who was forgotten may come back. That is a new relationship, which
// somebody has to state: until then the fence stands.
//
//	g.<tenant>.<handle>.<generation>  renewalEntry: the person may be known again
func renewalPrefix(at seat) string { return hexName("g.", at.tenant, at.handle) + "." }

type renewalEntry struct {
	Created int64 `cbor:"1,keyasint"` // µs
	Lifts   int64 `cbor:"2,keyasint"` // when the fence that it takes away was set, µs

	For events.Ref `cbor:"3,keyasint"` // what names the statement that it was made for; zero where nothing does
}

var (
	// ErrLiving says that a person was not forgotten.
	ErrLiving = errors.New("the person was not forgotten")

	// ErrErasing says that a person's erasure is not finished.
	ErrErasing = errors.New("the person's erasure is not finished")
)

// RenewFor lets a person who was forgotten be known again, under a new reference
// and a new key of a higher generation. What was sealed before stays destroyed.
// Nothing else removes a fence. Stopped at any step, the person is forgotten
// until it is called again; other processes know within Config.CacheTTL. By names
// the statement that it is done for: called again with the same it does no more, and the
// person is known again as they were after the first call. With the zero one it is
// done for none. The error wraps ErrNotFound where the person was never seen,
// ErrLiving where they were not forgotten, and ErrErasing where their old key is
// still there.
func (k *Keyring) RenewFor(ctx context.Context, p Person, by events.Ref) (SubjectKey, error) {
	t, err := k.LookupTenant(ctx, p.Tenant)
	if err != nil {
		return SubjectKey{}, fmt.Errorf("renew: %w", err)
	}
	at := t.seat(p.Issuer, p.Subject)
	err = k.renewable(ctx, at, by)
	if errors.Is(err, ErrLiving) && !by.IsZero() && k.madeFor(ctx, at, by) {
		k.evict(at.handle)
		return k.Lookup(ctx, p)
	}
	if err != nil {
		return SubjectKey{}, fmt.Errorf("renew: %w", err)
	}
	if err := k.erase(ctx, fenceName(at)); err != nil {
		return SubjectKey{}, fmt.Errorf("renew: %w", err)
	}
	k.evict(at.handle)
	return k.Lookup(ctx, p)
}

// renewable makes the new key of a person who was forgotten, behind the fence,
// unless one is there that was made for this. It looks again where an entry is
// there already: somebody else renews the same person, or it wrote that one itself
// before an epoch ended.
func (k *Keyring) renewable(ctx context.Context, at seat, by events.Ref) error {
	for range rivals {
		if err := k.makeRenewable(ctx, at, by); !errors.Is(err, ErrExists) {
			return err
		}
	}
	return errors.New("others kept renewing the same person")
}

func (k *Keyring) makeRenewable(ctx context.Context, at seat, by events.Ref) error {
	got, err := k.load(ctx, []string{fenceName(at), keyName(at)})
	if err != nil {
		return err
	}
	var fence fenceEntry
	err = k.decode(got, fenceName(at), &fence)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	erased := err == nil
	key, there, err := k.keyIn(got, at, 0)
	switch {
	case err != nil:
		return err
	case !erased && there:
		return ErrLiving
	case !erased:
		return ErrNotFound
	case there:
		return k.renewed(ctx, at, key, fence)
	default:
		return k.makeRenewed(ctx, at, fence, by)
	}
}

// renewed checks that a key behind a fence is one that Renew made, and not one
// that Destroy has still to erase.
func (k *Keyring) renewed(ctx context.Context, at seat, key known, fence fenceEntry) error {
	name := renewalPrefix(at) + strconv.FormatUint(uint64(key.generation), 10)
	var e renewalEntry
	err := k.read(ctx, name, &e)
	if errors.Is(err, ErrNotFound) || err == nil && e.Lifts != fence.Erased {
		return ErrErasing
	}
	return err
}

// RenewedFor is what names the statement that a person's key was made for, also where the
// fence still stands before it: zero where that is nothing, or there is no key.
func (k *Keyring) RenewedFor(ctx context.Context, p Person) (events.Ref, error) {
	t, err := k.LookupTenant(ctx, p.Tenant)
	if err != nil {
		return events.Ref{}, fmt.Errorf("read a renewal: %w", err)
	}
	by, err := k.renewedFor(ctx, t.seat(p.Issuer, p.Subject))
	if err != nil {
		return by, fmt.Errorf("read a renewal: %w", err)
	}
	return by, nil
}

func (k *Keyring) renewedFor(ctx context.Context, at seat) (events.Ref, error) {
	var key keyEntry
	err := k.read(ctx, keyName(at), &key)
	var e renewalEntry
	if err == nil {
		err = k.read(ctx, renewalPrefix(at)+strconv.FormatUint(uint64(key.Generation), 10), &e)
	}
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return e.For, err
}

// madeFor reports whether a person's key is known to be made for a statement.
func (k *Keyring) madeFor(ctx context.Context, at seat, by events.Ref) bool {
	is, err := k.renewedFor(ctx, at)
	return err == nil && is == by
}

func (k *Keyring) makeRenewed(ctx context.Context, at seat, fence fenceEntry, by events.Ref) error {
	before, err := k.store.List(ctx, renewalPrefix(at))
	if err != nil {
		return fmt.Errorf("list renewals: %w", err)
	}
	generation := firstGeneration + 1 + uint32(len(before))
	p, now := propose([]seat{at})[0], k.now().UnixMicro()
	err = k.create(ctx,
		entry{renewalPrefix(at) + strconv.FormatUint(uint64(generation), 10), renewalEntry{Created: now, Lifts: fence.Erased, For: by}},
		entry{seatName(at.tenant, p.ref), seatEntry{Handle: at.handle, Fingerprint: p.key.fingerprint()}},
		entry{keyName(at), keyEntry{Ref: p.ref, Key: p.key, Generation: generation, Created: now}})
	if errors.Is(err, ErrExists) {
		if err := k.withdrawLosers(ctx, []proposal{p}); err != nil {
			return fmt.Errorf("withdraw a new key: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("make a new key: %w", err)
	}
	return nil
}
