package seal

import (
	"errors"
	"time"
)

// Tampering is something that is not as this package left it, and was refused.
type Tampering struct {
	Kind   TamperKind
	Tenant string
	Entry  string // the kind of the keyring's entry; empty where it is none
}

// TamperKind says what was found.
type TamperKind string

// The kinds of tampering.
const (
	// EntryDamaged is an entry of the keyring that does not open under its name:
	// it was changed, cut, or put in the place of another.
	EntryDamaged TamperKind = "entry_damaged"
	// EntryForeign is one of an epoch whose key is not to be had: it was put back
	// from an old copy of the keyring, or is another keyring's.
	EntryForeign TamperKind = "entry_foreign"
	// KeyReturned is a key or reference of a person who was forgotten more than an
	// hour ago: somebody put it back.
	KeyReturned TamperKind = "key_returned"
	// PartDamaged is a sealed personal part that does not open for its event,
	// person and tenant: it was changed, cut, or put in the place of another.
	PartDamaged TamperKind = "part_damaged"
)

// longFence is the age of a fence from which a key behind it is no longer one
// that somebody is about to erase.
const longFence = time.Hour

func (k *Keyring) tampered(t Tampering) {
	if k.onTampering != nil {
		k.onTampering(t)
	}
}

// reportEntry tells of an entry that does not open.
func (k *Keyring) reportEntry(name string, err error) {
	kindOf := EntryDamaged
	if errors.Is(err, ErrEpoch) {
		kindOf = EntryForeign
	}
	k.tampered(Tampering{Kind: kindOf, Tenant: tenantOf(name), Entry: kind(name)})
}

// longFenced reports whether the person at that seat was forgotten so long ago
// that nobody is about to erase the key, in what load got.
func (k *Keyring) longFenced(got map[string][]byte, at seat) (bool, error) {
	var e fenceEntry
	erased, err := k.fenceIn(got, at, &e)
	return erased && k.now().Sub(time.UnixMicro(e.Erased)) > longFence, err
}
