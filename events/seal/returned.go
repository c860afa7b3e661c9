package seal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/rescindhq/rescind/events"
)

// What was destroyed can come back: with a copy of the store that was made
// before. Whoever knows what was destroyed, from a ledger that no such copy
// brings back, finds it here and destroys it again.
//
//	l.erasures  ledgerEntry: what that ledger is written under
const ledgerName = "l.erasures"

type ledgerEntry struct {
	ID      [8]byte `cbor:"1,keyasint"`
	Key     key     `cbor:"2,keyasint"`
	Created int64   `cbor:"3,keyasint"` // µs
}

// LedgerKey is the key of the ledger of what was destroyed, and which one that
// is: made on first use, the same for all who share the store.
func (k *Keyring) LedgerKey(ctx context.Context) (id string, secret [32]byte, err error) {
	var e ledgerEntry
	err = k.read(ctx, ledgerName, &e)
	if errors.Is(err, ErrNotFound) {
		err = k.makeLedgerKey(ctx, &e)
	}
	if err != nil {
		return "", secret, fmt.Errorf("key of the erasure ledger: %w", err)
	}
	return hex.EncodeToString(e.ID[:]), e.Key, nil
}

func (k *Keyring) makeLedgerKey(ctx context.Context, e *ledgerEntry) error {
	*e = ledgerEntry{Key: newKey(), Created: k.now().UnixMicro()}
	rand.Read(e.ID[:])
	err := k.create(ctx, entry{ledgerName, *e})
	if errors.Is(err, ErrExists) { // somebody else was faster
		return k.read(ctx, ledgerName, e)
	}
	return err
}

// Reference is a person of a tenant, or what a hold keeps of one, as what was
// destroyed is named.
type Reference struct {
	Tenant string
	Ref    events.Ref
}

// Returned is those of people from whose reference something leads on, although
// Destroy has returned for all of them. It asks the store for all of them, a
// thousand in a request.
func (k *Keyring) Returned(ctx context.Context, people []Reference) ([]Reference, error) {
	return k.there(ctx, people, seatName)
}

// ReturnedHolds is those of the keys of holds that are there, although
// DestroyHold has returned for all of them.
func (k *Keyring) ReturnedHolds(ctx context.Context, keys []Reference) ([]Reference, error) {
	return k.there(ctx, keys, holdName)
}

func (k *Keyring) there(ctx context.Context, all []Reference, name func(string, events.Ref) string) (found []Reference, err error) {
	if len(all) == 0 {
		return nil, nil
	}
	names := make([]string, len(all))
	for i, r := range all {
		if !events.ValidTenant(r.Tenant) {
			return nil, errors.New("what was destroyed: not the name of a tenant")
		}
		names[i] = name(r.Tenant, r.Ref)
	}
	got, err := k.store.Get(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("look for what was destroyed: %w", err)
	}
	for i, r := range all {
		if _, is := got[names[i]]; is {
			found = append(found, r)
		}
	}
	return found, nil
}

// DestroyAgain is Destroy of somebody who was forgotten and came back. A
// reference that does not open, because it is of an epoch that is over or
// damaged, leads nowhere and is erased.
func (k *Keyring) DestroyAgain(ctx context.Context, r Reference) error {
	_, err := k.Destroy(ctx, r.Tenant, r.Ref)
	if errors.Is(err, ErrEpoch) || errors.Is(err, ErrSealed) {
		if _, unread := k.seatOf(ctx, r.Tenant, r.Ref); errors.Is(unread, ErrEpoch) || errors.Is(unread, ErrSealed) {
			return k.erase(ctx, seatName(r.Tenant, r.Ref))
		}
	}
	return err
}
