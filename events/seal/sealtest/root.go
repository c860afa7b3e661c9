package sealtest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/seal"
)

// TestRoot runs the contract of seal.Root against the roots that open gives.
// Each call of open gives another handle, as another process would have it, on
// the same root, which nobody else uses.
func TestRoot(t *testing.T, open func(t *testing.T) seal.Root) {
	for name, test := range map[string]func(t *testing.T, root, other seal.Root){
		"what was wrapped is unwrapped":       testRootRoundTrip,
		"each secret has a key of its own":    testRootKeys,
		"what was destroyed opens nowhere":    testRootDestroy,
		"destroying twice is no error":        testRootDestroyTwice,
		"destroying spares the other keys":    testRootDestroyOne,
		"the key of another root is told":     testRootUnknown,
		"what was changed does not open":      testRootChanged,
		"a cut call never says it is gone":    testRootCancelled,
		"a secret is not in what wraps it":    testRootHides,
		"the delay is what destroying says":   testRootDelay,
		"a permanent root says so every time": testRootPermanent,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t), open(t)) })
	}
}

var secret = bytes.Repeat([]byte("0123456789abcdef"), 2)

func wrap(t *testing.T, root seal.Root) seal.Wrapped {
	t.Helper()
	w, err := root.Wrap(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func wantUnwraps(t *testing.T, root seal.Root, w seal.Wrapped) {
	t.Helper()
	if got, err := root.Unwrap(t.Context(), w); err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("unwrap: %d bytes, %v", len(got), err)
	}
}

// destroys reports whether the root can destroy.
func destroys(root seal.Root) bool {
	_, err := root.Delay()
	return err == nil
}

func destroy(t *testing.T, root seal.Root, key string) time.Time {
	t.Helper()
	gone, err := root.Destroy(t.Context(), key)
	if err != nil {
		t.Fatalf("destroy: %v", err)
	}
	return gone
}

func testRootRoundTrip(t *testing.T, root, other seal.Root) {
	w := wrap(t, root)
	wantUnwraps(t, root, w)
	wantUnwraps(t, other, w)
}

func testRootKeys(t *testing.T, root, other seal.Root) {
	if !destroys(root) {
		return // one for all: that is why it cannot
	}
	if a, b := wrap(t, root), wrap(t, other); a.Key == b.Key || a.Key == "" {
		t.Fatalf("keys %q and %q", a.Key, b.Key)
	}
}

func testRootDestroy(t *testing.T, root, other seal.Root) {
	if !destroys(root) {
		return
	}
	w := wrap(t, root)
	wantUnwraps(t, other, w)
	destroy(t, root, w.Key)
	for _, r := range []seal.Root{root, other} {
		if got, err := r.Unwrap(t.Context(), w); !errors.Is(err, seal.ErrRootKey) || got != nil {
			t.Fatalf("unwrap after destroy: %d bytes, %v; want ErrRootKey", len(got), err)
		}
	}
}

func testRootDestroyTwice(t *testing.T, root, other seal.Root) {
	if !destroys(root) {
		return
	}
	w := wrap(t, root)
	first := destroy(t, root, w.Key)
	if again := destroy(t, other, w.Key); again.Before(first.Add(-time.Minute)) {
		t.Fatalf("gone at %s, and asked again at %s", first, again)
	}
}

func testRootDestroyOne(t *testing.T, root, other seal.Root) {
	if !destroys(root) {
		return
	}
	a, b, c := wrap(t, root), wrap(t, root), wrap(t, other)
	destroy(t, root, b.Key)
	for _, w := range []seal.Wrapped{a, c, wrap(t, root)} {
		wantUnwraps(t, root, w)
		wantUnwraps(t, other, w)
	}
}

func testRootUnknown(t *testing.T, root, _ seal.Root) {
	w := wrap(t, root)
	for _, key := range []string{"", "..", "../x", "00112233445566778899aabbccddeeff", w.Key + "0"} {
		w.Key = key
		if _, err := root.Unwrap(t.Context(), w); !errors.Is(err, seal.ErrRootKey) {
			t.Errorf("key %q: %v, want ErrRootKey", key, err)
		}
	}
}

func testRootChanged(t *testing.T, root, _ seal.Root) {
	good, other := wrap(t, root), wrap(t, root)
	for i := range good.Secret {
		w := seal.Wrapped{Key: good.Key, Secret: slices.Clone(good.Secret)}
		w.Secret[i] ^= 1
		wantChangedSecret(t, root, w)
	}
	for _, changed := range [][]byte{nil, good.Secret[:len(good.Secret)-1], append(slices.Clone(good.Secret), 'A')} {
		wantChangedSecret(t, root, seal.Wrapped{Key: good.Key, Secret: changed})
	}
	if destroys(root) {
		wantChangedSecret(t, root, seal.Wrapped{Key: good.Key, Secret: other.Secret})
	}
}

func wantChangedSecret(t *testing.T, root seal.Root, w seal.Wrapped) {
	t.Helper()
	if got, err := root.Unwrap(t.Context(), w); !errors.Is(err, seal.ErrSealed) || got != nil {
		t.Fatalf("changed: %d bytes, %v; want ErrSealed", len(got), err)
	}
}

func testRootCancelled(t *testing.T, root, _ seal.Root) {
	w := wrap(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := root.(seal.KEK); ok {
		return // it asks nobody
	}
	if _, err := root.Unwrap(ctx, w); err == nil || errors.Is(err, seal.ErrRootKey) || errors.Is(err, seal.ErrSealed) {
		t.Errorf("unwrap on a cancelled context: %v", err)
	}
	if _, err := root.Wrap(ctx, secret); err == nil {
		t.Error("wrap on a cancelled context: no error")
	}
	if _, err := root.Destroy(ctx, w.Key); err == nil {
		t.Error("destroy on a cancelled context: no error")
	}
	wantUnwraps(t, root, w)
}

func testRootHides(t *testing.T, root, _ seal.Root) {
	if w := wrap(t, root); bytes.Contains(w.Secret, secret[:8]) || bytes.Contains([]byte(w.Key), secret[:8]) {
		t.Error("the secret is in clear")
	}
}

func testRootDelay(t *testing.T, root, _ seal.Root) {
	delay, err := root.Delay()
	if err != nil {
		return
	}
	before := time.Now().Add(-time.Second)
	gone := destroy(t, root, wrap(t, root).Key)
	if after := time.Now().Add(delay + time.Second); gone.Before(before) || gone.After(after) {
		t.Errorf("gone at %s, want between %s and %s", gone, before, after)
	}
}

func testRootPermanent(t *testing.T, root, other seal.Root) {
	if destroys(root) {
		return
	}
	w := wrap(t, root)
	if _, err := root.Destroy(t.Context(), w.Key); !errors.Is(err, seal.ErrPermanent) {
		t.Errorf("destroy: %v, want ErrPermanent", err)
	}
	if _, err := other.Delay(); !errors.Is(err, seal.ErrPermanent) {
		t.Errorf("delay: %v, want ErrPermanent", err)
	}
	wantUnwraps(t, root, w)
}
