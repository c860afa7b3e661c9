package seal

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The keys that receipts of erasures are signed with. They are the deployment's
// and no tenant's, and stay: what one has signed is verified for years.
//
//	v.<number>  receiptEntry
const receiptPrefix = "v."

func receiptName(number uint32) string {
	return receiptPrefix + strconv.FormatUint(uint64(number), 10)
}

type receiptEntry struct {
	Seed    []byte `cbor:"1,keyasint"` // RFC 8032, section 5.1.5
	Created int64  `cbor:"2,keyasint"` // µs
}

// ReceiptKey signs receipts of erasures.
type ReceiptKey struct {
	Number  uint32 // from 1
	Created time.Time
	Private ed25519.PrivateKey
}

// ReceiptKeys is every key that receipts are or were signed with, the oldest
// first. It makes the first one where there is none: of several processes that
// do at once, one does.
func (k *Keyring) ReceiptKeys(ctx context.Context) ([]ReceiptKey, error) {
	keys, err := k.receiptKeys(ctx)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	err = k.create(ctx, entry{receiptName(1), receiptEntry{Seed: seed, Created: k.now().UnixMicro()}})
	if err != nil && !errors.Is(err, ErrExists) {
		return nil, fmt.Errorf("make a key for receipts: %w", err)
	}
	return k.receiptKeys(ctx)
}

func (k *Keyring) receiptKeys(ctx context.Context) ([]ReceiptKey, error) {
	names, got, err := k.loadAll(ctx, receiptPrefix)
	if err != nil {
		return nil, err
	}
	keys := make([]ReceiptKey, 0, len(names))
	for _, name := range names {
		key, err := k.receiptKeyIn(got, name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b ReceiptKey) int { return cmp.Compare(a.Number, b.Number) })
	return keys, nil
}

func (k *Keyring) receiptKeyIn(got map[string][]byte, name string) (ReceiptKey, error) {
	number, err := strconv.ParseUint(strings.TrimPrefix(name, receiptPrefix), 10, 32)
	if err != nil {
		return ReceiptKey{}, errors.New("a key for receipts is named by no number")
	}
	var e receiptEntry
	if err := k.decode(got, name, &e); err != nil {
		return ReceiptKey{}, err
	}
	if len(e.Seed) != ed25519.SeedSize {
		return ReceiptKey{}, fmt.Errorf("a key for receipts of %d bytes: %w", len(e.Seed), ErrSealed)
	}
	return ReceiptKey{Number: uint32(number), Created: micro(e.Created), Private: ed25519.NewKeyFromSeed(e.Seed)}, nil
}
