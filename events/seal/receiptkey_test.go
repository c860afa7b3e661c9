package seal_test

import (
	"sync"
	"testing"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

func receiptKeys(t *testing.T, k *seal.Keyring) []seal.ReceiptKey {
	t.Helper()
	keys, err := k.ReceiptKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestReceiptKeyIsOne: however many processes ask for it at once, and after an
// epoch whose key is gone.
func TestReceiptKeyIsOne(t *testing.T) {
	t.Parallel()
	s := newSite()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { _, _ = s.keyring(t).ReceiptKeys(t.Context()) })
	}
	all.Wait()
	one := receiptKeys(t, s.keyring(t))
	s.rotate(t)
	s.wantSound(t)
	other := receiptKeys(t, s.keyring(t))
	if len(one) != 1 || len(other) != 1 || one[0].Number != 1 || one[0].Created.IsZero() || !one[0].Private.Equal(other[0].Private) {
		t.Errorf("%v and %v", one, other)
	}
}

// TestKeyMark names a key as long as it is there, behind the fence too, and is
// what Destroy leaves.
func TestKeyMark(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	k := open(t, store)
	people := subjects(t, k, person(1), person(2))
	mark, err := k.KeyMark(t.Context(), "acme", people[0].Ref)
	other, _ := k.KeyMark(t.Context(), "acme", people[1].Ref)
	if err != nil || len(mark) != 32 || mark == other {
		t.Fatalf("%s %s %v", mark, other, err)
	}
	if err := k.Fence(t.Context(), "acme", people[0].Ref); err != nil {
		t.Fatal(err)
	}
	if again, err := k.KeyMark(t.Context(), "acme", people[0].Ref); err != nil || again != mark {
		t.Errorf("behind the fence: %s %v", again, err)
	}
	if _, err := k.Destroy(t.Context(), "acme", people[0].Ref); err != nil {
		t.Fatal(err)
	}
	_, err = k.KeyMark(t.Context(), "acme", people[0].Ref)
	wantErr(t, err, seal.ErrDestroyed)
	if marks, err := store.Get(t.Context(), "d.acme."+mark); err != nil || len(marks) != 1 {
		t.Errorf("what is left is not the mark: %v %v", marks, err)
	}
}
