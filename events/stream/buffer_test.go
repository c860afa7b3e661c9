package stream

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// A buffer gives out what was put, in order and once, and never holds more
// than its bound and one item.
func TestBufferAgainstAQueue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const maxItems, maxBytes = 5, 20
		b := newBuffer(maxItems, maxBytes, func(n *int) int { return *n }, make(chan struct{}, 1))
		var model []int
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "put") {
				n := rapid.IntRange(0, 30).Draw(t, "size")
				room := len(model) < maxItems && sum(model) < maxBytes
				if got := b.tryPut(n); got != room {
					t.Fatalf("put: %v with %v in it", got, model)
				} else if got {
					model = append(model, n)
				}
				continue
			}
			atMost, bytes := rapid.IntRange(1, 6).Draw(t, "items"), rapid.IntRange(0, 30).Draw(t, "bytes")
			got, err := b.take(nil, atMost, bytes)
			if err != nil || len(got) > atMost || len(got) == 0 && len(model) > 0 || len(got) > 1 && sum(got) > bytes {
				t.Fatalf("take(%d, %d) = %v, %v with %v in it", atMost, bytes, got, err, model)
			}
			for i := range got {
				if got[i] != model[i] {
					t.Fatalf("took %v of %v", got, model)
				}
			}
			model = model[len(got):]
			if len(got) < atMost && len(model) > 0 && sum(got)+model[0] <= bytes {
				t.Fatalf("left %v behind that fit", model)
			}
		}
	})
}

func sum(ns []int) (s int) {
	for _, n := range ns {
		s += n
	}
	return s
}

func TestBufferMakesPutWait(t *testing.T) {
	t.Parallel()
	b := newBuffer(1, 1<<10, func(*int) int { return 1 }, make(chan struct{}, 1))
	if err := b.put(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.put(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Fatalf("put into a full buffer: %v", err)
	}
	done := make(chan error)
	go func() { done <- b.put(t.Context(), 3) }()
	for _, want := range []int{1, 3} {
		got, err := []int(nil), error(nil)
		for len(got) == 0 && err == nil {
			<-b.added
			got, err = b.take(nil, 10, 10)
		}
		if err != nil || got[0] != want {
			t.Fatalf("took %v, %v, want %d", got, err, want)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestBufferFailsAfterWhatWasPut(t *testing.T) {
	t.Parallel()
	b := newBuffer(9, 9, func(*int) int { return 1 }, make(chan struct{}, 1))
	broken := errors.New("broken")
	if err := b.put(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	b.fail(broken)
	if got, err := b.take(nil, 9, 9); err != nil || len(got) != 1 {
		t.Fatalf("took %v, %v before the failure", got, err)
	}
	if _, err := b.take(nil, 9, 9); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}
