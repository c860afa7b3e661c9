package seal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/rescindhq/rescind/events"
)

// A legal hold keeps some of what a person who is forgotten is in. What it keeps
// is sealed again under a key of the hold's own, and that key is destroyed when
// the hold is released.
//
//	h.<tenant>.<hold>  keyEntry: the key of a hold
//	r.<tenant>.<hold>  fenceEntry: the hold was released
func holdName(tenant string, hold events.Ref) string     { return hexName("h.", tenant, hold) }
func releasedName(tenant string, hold events.Ref) string { return hexName("r.", tenant, hold) }

// Fence stops whatever would still be sealed for the person behind ref, and
// whatever would be opened but by OpenFenced. It is the first step of Destroy,
// for one who has something to do before the key goes.
func (k *Keyring) Fence(ctx context.Context, tenant string, ref events.Ref) error {
	e, err := k.seatOf(ctx, tenant, ref)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil // gone already
	case err != nil:
		return fmt.Errorf("fence: %w", err)
	}
	return k.fence(ctx, seat{tenant, e.Handle})
}

// Handle is what the fence of the person behind ref is named by, for Evict. The
// error wraps ErrNotFound where they were forgotten.
func (k *Keyring) Handle(ctx context.Context, tenant string, ref events.Ref) (string, error) {
	e, err := k.seatOf(ctx, tenant, ref)
	if err != nil {
		return "", fmt.Errorf("handle: %w", err)
	}
	return hex.EncodeToString(e.Handle[:]), nil
}

// OpenFenced is Open of what is a person's, until their key is destroyed,
// whether the fence is set or not.
func (k *Keyring) OpenFenced(ctx context.Context, r OpenRequest) ([]byte, error) {
	s, err := k.seatOf(ctx, r.Tenant, r.Ref)
	if errors.Is(err, ErrNotFound) {
		err = ErrDestroyed
	}
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	var e keyEntry
	err = k.read(ctx, keyName(seat{r.Tenant, s.Handle}), &e)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && e.Ref != r.Ref:
		return nil, fmt.Errorf("open: %w", ErrDestroyed)
	case err != nil:
		return nil, fmt.Errorf("open: %w", err)
	case e.Generation != r.Generation:
		return nil, fmt.Errorf("open: generation %d of the data key, which is at %d: %w", r.Generation, e.Generation, ErrSealed)
	}
	key := SubjectKey{Ref: e.Ref, Generation: e.Generation, key: e.Key}
	plain, err := key.open(&r)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return plain, nil
}

// HoldKey is the key of a hold, made where there is none yet. What it seals is
// bound to the event. The error wraps ErrDestroyed once DestroyHold was called,
// in whatever process.
func (k *Keyring) HoldKey(ctx context.Context, tenant string, hold events.Ref) (SubjectKey, error) {
	made := false
	for range rivals {
		key, err := k.holdKey(ctx, tenant, hold)
		switch {
		case errors.Is(err, ErrDestroyed) && made: // by whoever released the hold meanwhile
			return key, errors.Join(err, k.erase(ctx, holdName(tenant, hold)))
		case !errors.Is(err, ErrNotFound):
			return key, err
		}
		made = true
		err = k.create(ctx, entry{holdName(tenant, hold), keyEntry{Key: newDataKey(), Generation: firstGeneration, Created: k.now().UnixMicro()}})
		if err != nil && !errors.Is(err, ErrExists) {
			return SubjectKey{}, fmt.Errorf("make the key of a hold: %w", err)
		}
	}
	return SubjectKey{}, errors.New("the key of a hold went as often as it was made")
}

// holdKey reads fence and key. Whoever made a key reads again after: a fence
// that is not seen then was set later, and DestroyHold erases the key after it.
func (k *Keyring) holdKey(ctx context.Context, tenant string, hold events.Ref) (SubjectKey, error) {
	if hold.IsZero() || !events.ValidTenant(tenant) {
		return SubjectKey{}, errors.New("key of a hold: no hold")
	}
	got, err := k.load(ctx, []string{releasedName(tenant, hold), holdName(tenant, hold)})
	if err != nil {
		return SubjectKey{}, err
	}
	released, err := k.setIn(got, releasedName(tenant, hold))
	if err != nil {
		return SubjectKey{}, err
	}
	if released {
		return SubjectKey{}, fmt.Errorf("key of a hold: %w", ErrDestroyed)
	}
	var e keyEntry
	if err := k.decode(got, holdName(tenant, hold), &e); err != nil {
		return SubjectKey{}, err
	}
	return SubjectKey{Generation: e.Generation, key: e.Key}, nil
}

// OpenHeld opens what HoldKey sealed for the event of r. The error wraps
// ErrDestroyed where the hold was released, or kept nothing.
func (k *Keyring) OpenHeld(ctx context.Context, hold events.Ref, r OpenRequest) ([]byte, error) {
	key, err := k.holdKey(ctx, r.Tenant, hold)
	if errors.Is(err, ErrNotFound) {
		err = ErrDestroyed
	}
	if err != nil {
		return nil, fmt.Errorf("open held: %w", err)
	}
	plain, err := key.open(&r)
	if err != nil {
		return nil, fmt.Errorf("open held: %w", err)
	}
	return plain, nil
}

// DestroyHold destroys the key of a hold, for ever: it sets a fence and then
// erases the key. It can be called again after any error, and where there is no
// key. Whoever makes a key while this runs sees the fence and erases it.
func (k *Keyring) DestroyHold(ctx context.Context, tenant string, hold events.Ref) error {
	if hold.IsZero() || !events.ValidTenant(tenant) {
		return errors.New("destroy the key of a hold: no hold")
	}
	err := k.create(ctx, entry{releasedName(tenant, hold), fenceEntry{Erased: k.now().UnixMicro()}})
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("destroy the key of a hold: %w", err)
	}
	return k.erase(ctx, holdName(tenant, hold))
}
