package seal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/rescindhq/rescind/events"
)

// OpenRequest is what a record says about its sealed personal part.
type OpenRequest struct {
	Tenant, Source, ID string
	Ref                events.Ref // SubjectRef; zero where the tenant's own key sealed it
	Generation         uint32     // DataKey
	Sealed             []byte
	Hash               events.Hash // PayloadHash; what SealPersonalTo sealed opens only with it
}

// Open is the plain bytes of a sealed personal part. The error wraps
// ErrDestroyed where the person was forgotten, and ErrSealed where the bytes
// were changed or belong to another event. It asks the store every time, so
// that a key destroyed anywhere opens nothing anywhere.
func (k *Keyring) Open(ctx context.Context, r OpenRequest) ([]byte, error) {
	s, err := k.keyOf(ctx, r.Tenant, r.Ref)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if s.Generation != r.Generation {
		return nil, fmt.Errorf("open: generation %d of the data key, which is at %d: %w", r.Generation, s.Generation, ErrSealed)
	}
	plain, err := s.open(&r)
	if err != nil {
		k.tampered(Tampering{Kind: PartDamaged, Tenant: r.Tenant})
		return nil, fmt.Errorf("open: %w", err)
	}
	return plain, nil
}

// keyOf is the key behind a reference.
func (k *Keyring) keyOf(ctx context.Context, tenant string, ref events.Ref) (SubjectKey, error) {
	if ref.IsZero() {
		t, err := k.LookupTenant(ctx, tenant)
		if err != nil {
			return SubjectKey{}, err
		}
		return t.data, nil
	}
	e, err := k.seatOf(ctx, tenant, ref)
	switch {
	case errors.Is(err, ErrNotFound):
		return SubjectKey{}, ErrDestroyed
	case err != nil:
		return SubjectKey{}, err
	}
	p, there, err := k.readPerson(ctx, seat{tenant, e.Handle})
	if err != nil {
		return SubjectKey{}, err
	}
	// Where the fence was set the person is forgotten, even if the one who set
	// it was stopped before the key was gone. Another reference at the seat: this
	// one lost a race when the person was first seen, and sealed nothing.
	if !there || p.erased || p.ref != ref {
		return SubjectKey{}, ErrDestroyed
	}
	return p.subjectKey(), nil
}

// seatOf reads the entry behind a reference.
func (k *Keyring) seatOf(ctx context.Context, tenant string, ref events.Ref) (seatEntry, error) {
	var e seatEntry
	if !events.ValidTenant(tenant) {
		return e, errors.New("not the name of a tenant")
	}
	err := k.read(ctx, seatName(tenant, ref), &e)
	return e, err
}

// Destroyed is what Destroy did.
type Destroyed struct {
	// AlreadyGone says that no key was behind the reference: it was destroyed
	// before, or there never was one.
	AlreadyGone bool

	// KeyFingerprint names the key that was destroyed: 16 hex
	// digits of a SHA-256 over it. Empty where AlreadyGone.
	KeyFingerprint string
}

// Destroy forgets the person behind ref: it sets the fence, then erases the
// data key, then the reference. From the fence on, nothing of that person is
// opened and nothing new is sealed, by any process. Stopped at any step, it
// has only to be called again; done twice, it is done once.
func (k *Keyring) Destroy(ctx context.Context, tenant string, ref events.Ref) (Destroyed, error) {
	if ref.IsZero() {
		return Destroyed{}, errors.New("destroy: no reference")
	}
	e, err := k.seatOf(ctx, tenant, ref)
	switch {
	case errors.Is(err, ErrNotFound):
		return Destroyed{AlreadyGone: true}, nil
	case err != nil:
		return Destroyed{}, fmt.Errorf("destroy: %w", err)
	}
	at := seat{tenant, e.Handle}
	if err := k.fence(ctx, at); err != nil {
		return Destroyed{}, fmt.Errorf("destroy: %w", err)
	}
	if err := k.erasePerson(ctx, at, ref); err != nil {
		return Destroyed{}, fmt.Errorf("destroy: %w", err)
	}
	return Destroyed{KeyFingerprint: hex.EncodeToString(e.Fingerprint[:])}, nil
}

// fence says for ever that the person at that seat was erased.
func (k *Keyring) fence(ctx context.Context, at seat) error {
	err := k.create(ctx, entry{fenceName(at), fenceEntry{Erased: k.now().UnixMicro()}})
	if errors.Is(err, ErrExists) {
		_, err = k.fenced(ctx, at)
	}
	if err != nil {
		return fmt.Errorf("set fence: %w", err)
	}
	k.evict(at.handle)
	return nil
}

// erasePerson erases what stands at a seat. What leads from ref to the seat
// goes last: as long as it is there, calling Destroy again finds the seat.
func (k *Keyring) erasePerson(ctx context.Context, at seat, ref events.Ref) error {
	var e keyEntry
	err := k.read(ctx, keyName(at), &e)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrSealed) && !errors.Is(err, ErrEpoch) { // what cannot be read can still be erased
		return err
	}
	if err == nil {
		if err := k.mark(ctx, at.tenant, &e.Key); err != nil {
			return err
		}
	}
	if err == nil && e.Ref != ref {
		if err := k.erase(ctx, seatName(at.tenant, e.Ref)); err != nil {
			return err
		}
	}
	return k.erase(ctx, keyName(at), seatName(at.tenant, ref))
}

// mark says for ever that a key was destroyed, before it is: whoever puts it back
// is found. A mark leads to nobody, as only who has the key can make it.
func (k *Keyring) mark(ctx context.Context, tenant string, key *dataKey) error {
	err := k.create(ctx, entry{markName(tenant, key.mark()), fenceEntry{Erased: k.now().UnixMicro()}})
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("mark the key as destroyed: %w", err)
	}
	return nil
}

// KeyMark is the mark that a person's data key leaves when it is destroyed, as
// hex: it names the key, before and after, to those who cannot have it. The error
// wraps ErrDestroyed where the key is gone.
func (k *Keyring) KeyMark(ctx context.Context, tenant string, ref events.Ref) (string, error) {
	at, err := k.seatOf(ctx, tenant, ref)
	if errors.Is(err, ErrNotFound) {
		err = ErrDestroyed
	}
	if err != nil {
		return "", fmt.Errorf("mark of a key: %w", err)
	}
	var e keyEntry
	err = k.read(ctx, keyName(seat{tenant, at.Handle}), &e)
	if errors.Is(err, ErrNotFound) || err == nil && e.Ref != ref {
		err = ErrDestroyed
	}
	if err != nil {
		return "", fmt.Errorf("mark of a key: %w", err)
	}
	mark := e.Key.mark()
	return hex.EncodeToString(mark[:]), nil
}

func (k *dataKey) mark() [16]byte {
	sum := sha256.Sum256(append([]byte("rescind destroyed key v1\x00"), k[:]...))
	return [16]byte(sum[:16])
}

func (k *dataKey) fingerprint() [8]byte {
	sum := sha256.Sum256(append([]byte("rescind data key fingerprint v1\x00"), k[:]...))
	return [8]byte(sum[:8])
}
