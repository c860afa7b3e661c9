package seal

import (
	"context"
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
	// KeyReturned is a person's key that was destroyed more than an hour ago:
	// somebody put it back.
	KeyReturned TamperKind = "key_returned"
	// PartDamaged is a sealed personal part that does not open for its event,
	// person and tenant: it was changed, cut, or put in the place of another.
	PartDamaged TamperKind = "part_damaged"
)

// longMark is the age of a mark from which its key is no longer one that somebody
// is about to erase.
const longMark = time.Hour

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

// longMarked reports whether the key of a mark was destroyed, and so long ago that
// nobody is about to erase it, in what load got.
func (k *Keyring) longMarked(got map[string][]byte, mark string) (bool, error) {
	var e fenceEntry
	err := k.decode(got, mark, &e)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && k.now().Sub(time.UnixMicro(e.Erased)) > longMark, err
}

// reportReturned tells of a key behind a fence that was destroyed before.
func (k *Keyring) reportReturned(ctx context.Context, got map[string][]byte, at seat) {
	p, there, err := k.keyIn(got, at, 0)
	if err != nil || !there {
		return
	}
	mark := markName(at.tenant, p.key.mark())
	marks, err := k.load(ctx, []string{mark})
	if err != nil {
		return
	}
	if late, _ := k.longMarked(marks, mark); late {
		k.tampered(Tampering{Kind: KeyReturned, Tenant: at.tenant, Entry: kind(keyName(at))})
	}
}
