package stream

import (
	"context"
	"sync"
)

// buffer is what was received and not yet taken, bounded in messages and
// bytes: at the bound, put waits, and with it the server. One message more
// than the bound may be in it, so that a large one passes.
type buffer[T any] struct {
	maxItems int
	maxBytes int
	size     func(*T) int

	mu    sync.Mutex
	items []T
	bytes int
	err   error // why nothing more will come

	added chan struct{} // a signal, after something was put or the buffer failed
	taken chan struct{} // a signal, after something was taken
}

func newBuffer[T any](maxItems, maxBytes int, size func(*T) int, added chan struct{}) *buffer[T] {
	return &buffer[T]{maxItems: maxItems, maxBytes: maxBytes, size: size, added: added, taken: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// unsignal takes back a signal that nobody has seen.
func unsignal(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// put adds v once there is room. Only one goroutine may put.
func (b *buffer[T]) put(ctx context.Context, v T) error {
	for !b.tryPut(v) {
		select {
		case <-b.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	signal(b.added)
	return nil
}

func (b *buffer[T]) tryPut(v T) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.items) >= b.maxItems || b.bytes >= b.maxBytes {
		return false
	}
	b.items = append(b.items, v)
	b.bytes += b.size(&v)
	return true
}

// front is what take would return first, if anything.
func (b *buffer[T]) front() (v T, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.items) == 0 {
		return v, false
	}
	return b.items[0], true
}

// clear drops what is there.
func (b *buffer[T]) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items, b.bytes = nil, 0
	signal(b.taken)
}

// fail makes take return err once everything before it was taken.
func (b *buffer[T]) fail(err error) {
	b.mu.Lock()
	b.err = err
	b.mu.Unlock()
	signal(b.added)
}

// take appends to out what is there, oldest first, while out has fewer than
// maxItems items and the items taken fewer than maxBytes bytes. It never waits.
func (b *buffer[T]) take(out []T, maxItems, maxBytes int) ([]T, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, bytes := 0, 0
	for n < len(b.items) && len(out)+n < maxItems && (n == 0 || bytes+b.size(&b.items[n]) <= maxBytes) {
		bytes += b.size(&b.items[n])
		n++
	}
	if n == 0 && len(b.items) == 0 {
		return out, b.err
	}
	out = append(out, b.items[:n]...)
	clear(b.items[:n])
	b.items = b.items[n:]
	b.bytes -= bytes
	if n > 0 {
		signal(b.taken)
	}
	return out, nil
}
