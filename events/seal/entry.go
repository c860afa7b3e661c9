package seal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/rescindhq/rescind/events"
)

// What the names of all tenants' root keys and feed keys begin with.
const (
	allRoots    = "t."
	allFeedKeys = "f."
)

// The kinds of entry, each the first token of its key. A key says who somebody
// is only to those who hold the tenant's lookup key, and a reference only what
// a record says anyway.
//
//	t.<tenant>               rootEntry: what the tenant's own keys are derived from
//	f.<tenant>.<generation>  feedEntry: one generation of the feed key
//	s.<tenant>.<ref>         seatEntry: where the person behind a reference is found
//	k.<tenant>.<handle>      keyEntry: the reference and data key of a person
//	e.<tenant>.<handle>      fenceEntry: the person was erased
//	i.<seconds>              intakeEntry: what publishers encrypt to, from then on
//	d.<tenant>.<mark>        fenceEntry: the data key of that mark was destroyed
//	g.<tenant>.<handle>.<g>  renewalEntry: see renew.go
//	h.<tenant>.<hold>        keyEntry: see hold.go
//	r.<tenant>.<hold>        fenceEntry: see hold.go
//	v.<number>               receiptEntry: what receipts of erasures are signed with
//	l.erasures               ledgerEntry: see returned.go
//
// Whoever seals knows the person and reads one entry; only whoever opens or
// destroys comes from the reference and reads two.
func rootName(tenant string) string   { return allRoots + tenant }
func feedPrefix(tenant string) string { return allFeedKeys + tenant + "." }
func feedName(tenant string, g uint32) string {
	return feedPrefix(tenant) + strconv.FormatUint(uint64(g), 10)
}
func seatName(tenant string, ref events.Ref) string { return hexName("s.", tenant, ref) }
func keyName(at seat) string                        { return hexName("k.", at.tenant, at.handle) }
func fenceName(at seat) string                      { return hexName("e.", at.tenant, at.handle) }

func markName(tenant string, mark [16]byte) string {
	return hexName("d.", tenant, mark)
}

func hexName(kind, tenant string, last [16]byte) string {
	var room [128]byte
	b := append(append(append(room[:0], kind...), tenant...), '.')
	return string(hex.AppendEncode(b, last[:]))
}

// handle is a keyed hash of issuer and subject. A cache or a log that holds it
// names nobody. No two tenants have the same: their keys differ.
type handle [16]byte

// seat is where a person is found.
type seat struct {
	tenant string
	handle handle
}

type rootEntry struct {
	Root    key   `cbor:"1,keyasint"`
	Created int64 `cbor:"2,keyasint"` // µs
}

type feedEntry struct {
	Key     [16]byte `cbor:"1,keyasint"`
	Created int64    `cbor:"2,keyasint"` // µs
}

// seatEntry is there before the keyEntry that it leads to, and goes after it:
// so long as anything could be sealed under a reference, it can be opened and
// destroyed by it.
type seatEntry struct {
	Handle      handle  `cbor:"1,keyasint"`
	Fingerprint [8]byte `cbor:"2,keyasint"` // of the data key, for the receipt when that is gone already
}

type keyEntry struct {
	Ref        events.Ref `cbor:"1,keyasint"`
	Key        dataKey    `cbor:"2,keyasint"`
	Generation uint32     `cbor:"3,keyasint"`
	Created    int64      `cbor:"4,keyasint"` // µs
}

// fenceEntry does not hold the reference: it outlives the person's data, and
// must not lead from one to the other.
type fenceEntry struct {
	Erased int64 `cbor:"1,keyasint"` // µs
}

// read gets, unwraps and decodes the entry of that name into v. The error
// wraps ErrNotFound where there is none.
func (k *Keyring) read(ctx context.Context, name string, v any) error {
	got, err := k.load(ctx, []string{name})
	if err != nil {
		return err
	}
	return k.decode(got, name, v)
}

// load is what the store has under names, still wrapped, with the keys at hand
// to unwrap it. An entry whose epoch ends meanwhile was wrapped anew before, so
// that reading it again finds it in another one.
func (k *Keyring) load(ctx context.Context, names []string) (got map[string][]byte, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	for whole, tries := false, 2; !whole && tries > 0; tries-- {
		if got, err = k.store.Get(ctx, names...); err != nil {
			return nil, fmt.Errorf("read %s entry: %w", kind(names[0]), err)
		}
		if whole, err = k.epochs.need(ctx, got); err != nil {
			return nil, fmt.Errorf("read %s entry: %w", kind(names[0]), err)
		}
	}
	return got, nil
}

// loadAll is load of every name that begins so. What is not there was destroyed since
// it was listed.
func (k *Keyring) loadAll(ctx context.Context, prefix string) (names []string, got map[string][]byte, err error) {
	if names, err = k.store.List(ctx, prefix); err != nil {
		return nil, nil, fmt.Errorf("list %s entries: %w", kind(prefix), err)
	}
	got, err = k.load(ctx, names)
	return names, got, err
}

// decode unwraps and decodes into v the entry of that name out of what load
// got. The error wraps ErrNotFound where there is none.
func (k *Keyring) decode(got map[string][]byte, name string, v any) error {
	stored, ok := got[name]
	if !ok {
		return fmt.Errorf("read %s entry: %w", kind(name), ErrNotFound)
	}
	plain, err := k.unwrap(name, stored)
	if err != nil {
		k.reportEntry(name, err)
		return fmt.Errorf("unwrap %s entry: %w", kind(name), err)
	}
	if err := cbor.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("decode %s entry: %w", kind(name), ErrSealed)
	}
	return nil
}

func (k *Keyring) unwrap(name string, stored []byte) ([]byte, error) {
	n, err := epochOf(stored)
	if err != nil {
		return nil, err
	}
	w := k.epochs.get(n)
	if w == nil {
		return nil, ErrEpoch
	}
	return w.unwrap(name, stored)
}

// entry is one to create, before it is wrapped.
type entry struct {
	name  string
	value any
}

// create wraps entries in the current epoch and puts them into the store: see
// Store.Create. Where that epoch turns out to be over, it does so in the next. A
// beginning of entries may have been written before the epoch ended: then the
// error wraps ErrExists, of what is the caller's own.
func (k *Keyring) create(ctx context.Context, entries ...entry) error {
	w, err := k.epochs.confirmed(ctx)
	for range rivals {
		if err != nil {
			return err
		}
		if err := k.store.Create(ctx, epochName(w.epoch+1), wrapped(w, entries)...); !errors.Is(err, ErrRetired) {
			return err
		}
		w, err = k.epochs.renew(ctx, w)
	}
	return errors.New("epochs kept ending")
}

func wrapped(w *wrapper, entries []entry) []Put {
	puts := make([]Put, len(entries))
	for i, e := range entries {
		puts[i] = Put{Key: e.name, Value: w.wrap(e.name, mustMarshal(e.value))}
	}
	return puts
}

// kind is what an error may say of an entry's name.
func kind(name string) string {
	letter, _, _ := strings.Cut(name, ".")
	switch letter {
	case "t":
		return "tenant"
	case "f":
		return "feed key"
	case "s":
		return "seat"
	case "k":
		return "data key"
	case "e":
		return "fence"
	case "i":
		return "intake key"
	case "d":
		return "mark"
	case "g":
		return "renewal"
	case "h":
		return "hold key"
	case "r":
		return "released hold"
	case "v":
		return "receipt key"
	case "l":
		return "ledger key"
	default:
		return "unknown"
	}
}

// fenced reports whether the person at that seat was erased.
func (k *Keyring) fenced(ctx context.Context, at seat) (bool, error) {
	got, err := k.load(ctx, []string{fenceName(at)})
	if err != nil {
		return false, err
	}
	return k.fencedIn(got, at)
}

// fencedIn is fenced in what load got. A fence that does not open is an error
// and not a fence: taking it for one would drop the person's data for ever.
func (k *Keyring) fencedIn(got map[string][]byte, at seat) (bool, error) {
	return k.setIn(got, fenceName(at))
}

// setIn reports whether there is a fence of that name in what load got.
func (k *Keyring) setIn(got map[string][]byte, name string) (bool, error) {
	err := k.decode(got, name, new(fenceEntry))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
