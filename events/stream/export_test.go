package stream

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Waiting is how many messages of each lane Next would find.
func (i *Intake) Waiting() (control, access int) {
	return i.control.len(), i.access.len()
}

// Failed reports whether Next of either lane ends with an error.
func (i *Intake) Failed() bool { return i.control.failed() || i.access.failed() }

func (b *buffer[T]) failed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err != nil
}

func (b *buffer[T]) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.items)
}

// CollectMulti reads the answer to a direct get of several from messages.
func CollectMulti(next func() (*nats.Msg, error)) (map[string][]byte, error) {
	a, err := collectMulti(next)
	return a.data, err
}

// OnlyCopy is what decides whether a KeyStore uses direct gets.
func OnlyCopy(cfg jetstream.StreamConfig) bool { return onlyCopy(cfg) }

// SetTTL is how long h is waited for once it is gone.
func (h *Holder) SetTTL(d time.Duration) { h.ttl = d }

// Full reports whether r has no room for what it is sent.
func (r *Reader) Full() bool {
	r.buf.mu.Lock()
	defer r.buf.mu.Unlock()
	return len(r.buf.items) >= r.buf.maxItems || r.buf.bytes >= r.buf.maxBytes
}

// Conn is the connection of p.
func (p *Publisher) Conn() *nats.Conn { return p.cfg.Conn }

// ElectBy is Elect by a clock.
func ElectBy(ctx context.Context, js jetstream.JetStream, name string, ttl time.Duration, now func() time.Time) (term context.Context, release func(), err error) {
	_, term, release, err = elect(ctx, js, name, ttl, now)
	return term, release, err
}

// SetClock is what h takes the time from.
func (h *Holder) SetClock(now func() time.Time) { h.now = now }

// FewPuts is how many entries a KeyStore creates without a batch.
const FewPuts = fewPuts
