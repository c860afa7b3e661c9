package seal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events/envelope"
)

// Intake keys stand in the keyring under the time from which they are used, and
// not under their ids: of several processes that make the key of one day at
// once, all but one find that there is one.
//
//	i.<seconds>  intakeEntry
const intakePrefix = "i."

func intakeName(notBefore time.Time) string {
	return intakePrefix + strconv.FormatInt(notBefore.Unix(), 10)
}

type intakeEntry struct {
	Private   []byte `cbor:"1,keyasint"`
	NotBefore int64  `cbor:"2,keyasint"` // s
	Expires   int64  `cbor:"3,keyasint"` // s
	Created   int64  `cbor:"4,keyasint"` // µs
}

// intakeKeys is what was read of them last.
type intakeKeys struct {
	mu    sync.Mutex
	keys  map[string]envelope.PrivateKey
	until time.Time
}

// get is those of ids that are known, and whether these are all.
func (c *intakeKeys) get(ids []string, now time.Time) (found map[string]envelope.PrivateKey, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Before(c.until) {
		return nil, false
	}
	return pick(c.keys, ids)
}

func pick(keys map[string]envelope.PrivateKey, ids []string) (found map[string]envelope.PrivateKey, all bool) {
	found, all = make(map[string]envelope.PrivateKey, len(ids)), true
	for _, id := range ids {
		k, there := keys[id]
		if all = all && there; there {
			found[id] = k
		}
	}
	return found, all
}

func (c *intakeKeys) set(keys []envelope.PrivateKey, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys, c.until = byID(keys), until
}

func byID(keys []envelope.PrivateKey) map[string]envelope.PrivateKey {
	m := make(map[string]envelope.PrivateKey, len(keys))
	for _, k := range keys {
		m[k.ID] = k
	}
	return m
}

// IntakeKeys is every key that opens what publishers encrypted, as the store has
// them now, the earliest first. Beside an error are those that could be read:
// it says that there may be others.
func (k *Keyring) IntakeKeys(ctx context.Context) ([]envelope.PrivateKey, error) {
	read := k.now()
	_, got, err := k.loadAll(ctx, intakePrefix)
	if err != nil {
		return nil, err
	}
	var keys []envelope.PrivateKey
	var faults []error
	for name := range got {
		key, err := k.intakeKeyIn(got, name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b envelope.PrivateKey) int { return a.NotBefore.Compare(b.NotBefore) })
	k.intake.set(keys, read.Add(k.subjects.ttl))
	return keys, errors.Join(faults...)
}

func (k *Keyring) intakeKeyIn(got map[string][]byte, name string) (envelope.PrivateKey, error) {
	var e intakeEntry
	if err := k.decode(got, name, &e); err != nil {
		return envelope.PrivateKey{}, err
	}
	return envelope.ParsePrivate(e.Private, time.Unix(e.NotBefore, 0), time.Unix(e.Expires, 0))
}

// FindIntakeKeys is those of the keys with these ids that are there: one that is
// missing never was, or was destroyed. It asks the store where it does not know
// all of them, once for however many, and every Config.CacheTTL. Beside an error
// one that is missing may be there.
func (k *Keyring) FindIntakeKeys(ctx context.Context, ids ...string) (map[string]envelope.PrivateKey, error) {
	if found, all := k.intake.get(ids, k.now()); all {
		return found, nil
	}
	keys, err := k.IntakeKeys(ctx)
	found, all := pick(byID(keys), ids)
	if all {
		err = nil
	}
	return found, err
}

// MakeIntakeKey makes the key for messages that are sent from notBefore until
// expires, where there is none for the same beginning: whoever is first makes
// it, and only they are told that they have. It is durable on return.
func (k *Keyring) MakeIntakeKey(ctx context.Context, notBefore, expires time.Time) (made bool, err error) {
	key, err := envelope.Generate(notBefore, expires)
	if err != nil {
		return false, err
	}
	secret, err := key.Bytes()
	if err != nil {
		return false, fmt.Errorf("make intake key: %w", err)
	}
	e := intakeEntry{Private: secret, NotBefore: notBefore.Unix(), Expires: expires.Unix(), Created: k.now().UnixMicro()}
	err = k.create(ctx, entry{intakeName(notBefore), e})
	if err != nil && !errors.Is(err, ErrExists) {
		return false, fmt.Errorf("make intake key: %w", err)
	}
	return err == nil, nil
}

// DestroyIntakeKey destroys a key: once Config.CacheTTL has passed as well, what
// was encrypted to it opens nowhere. Doing it again is no error.
func (k *Keyring) DestroyIntakeKey(ctx context.Context, key envelope.PublicKey) error {
	k.intake.set(nil, time.Time{})
	if err := k.store.Erase(ctx, intakeName(key.NotBefore)); err != nil {
		return fmt.Errorf("destroy intake key: %w", err)
	}
	k.intake.set(nil, time.Time{})
	return nil
}
