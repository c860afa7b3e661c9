package verifiers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// Registry knows the verifiers.
type Registry struct {
	cfg   Config
	ready chan struct{} // closed when who is registered was read

	heard   atomic.Uint64 // receipts taken
	refused atomic.Uint64 // receipts dropped

	mu        sync.Mutex // for the rest
	known     revocation.Head
	verifiers map[string]*verifier
	claims    map[string]*verifier // those with a claim
	moves     int                  // in all tracks
	changed   chan struct{}        // closed at the next change; nil where nobody waits
	full      time.Time            // not to look for room before
}

// New is a Registry that knows nobody yet.
func New(cfg Config) (*Registry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Registry{cfg: cfg.withDefaults(), ready: make(chan struct{}), verifiers: map[string]*verifier{}, claims: map[string]*verifier{}}, nil
}

const (
	liveBuffer = 8192 // receipts that wait; what does not fit is said again within a second
	retryEvery = 500 * time.Millisecond
)

// Run hears receipts until ctx is done, and then returns nil.
func (r *Registry) Run(ctx context.Context) error {
	live := make(chan *nats.Msg, liveBuffer)
	sub, err := r.cfg.Conn.ChanSubscribe(stream.LiveVerifiers, live)
	if err != nil {
		return fmt.Errorf("verifiers: subscribe: %w", err)
	}
	defer func() {
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			r.cfg.Logger.Warn("subscription to receipts not ended", slog.Any("err", err))
		}
	}()
	return r.follow(ctx, live)
}

// follow takes receipts, and has who is registered read, beside, at once and
// from time to time: sooner after a failure.
func (r *Registry) follow(ctx context.Context, live <-chan *nats.Msg) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	again := time.NewTimer(0)
	defer again.Stop()
	loaded := make(chan error, 1) // one is under way at most
	for {
		select {
		case m := <-live:
			r.receive(stream.VerifierOf(m.Subject), m.Data)
		case <-again.C:
			beside.Go(func() { loaded <- r.load(ctx) })
		case err := <-loaded:
			switch {
			case r.cfg.Conn.IsClosed():
				return fmt.Errorf("verifiers: %w", nats.ErrConnectionClosed)
			case err == nil:
				again.Reset(r.cfg.ReloadEvery)
			case ctx.Err() == nil:
				r.cfg.Logger.Warn("registered verifiers not read", slog.Any("err", err))
				again.Reset(retryEvery)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// load reads who is registered.
func (r *Registry) load(ctx context.Context) error {
	began := r.cfg.Now()
	kept, err := stream.KeptVerifiers(ctx, r.cfg.Conn)
	if err != nil {
		return err
	}
	r.restore(kept, began)
	return nil
}

// restore takes what was kept of those that were not heard themselves, and
// forgets those that are neither kept nor heard since the reading began.
func (r *Registry) restore(kept []stream.KeptVerifier, began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make(map[string]bool, len(kept))
	for _, k := range kept {
		receipt, err := parse(k.ID, k.Data)
		if err != nil {
			continue // it was counted when it came
		}
		names[k.ID] = true
		v := r.verifiers[k.ID]
		if v == nil || v.heard.Before(k.Time) && !v.fresh(began, r.cfg.FreshFor) {
			r.take(receipt, earlier(k.Time, began))
		}
		if is := r.verifiers[k.ID]; v == nil && is != nil {
			is.kept = true
		}
	}
	for id, v := range r.verifiers {
		if !names[id] && !v.fresh(began, r.cfg.FreshFor) {
			r.drop(id, v)
		}
	}
	select {
	case <-r.ready:
	default:
		close(r.ready)
	}
	r.wake()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

var errRefused = errors.New("not a receipt of this verifier")

// parse reads a receipt that came on the subject of the verifier with id.
func parse(id string, data []byte) (revocation.Receipt, error) {
	if len(data) > stream.MaxReceiptBytes {
		return revocation.Receipt{}, errRefused
	}
	receipt, err := revocation.ParseReceipt(data)
	if err != nil {
		return revocation.Receipt{}, err
	}
	if receipt.ID != id {
		return revocation.Receipt{}, errRefused
	}
	return receipt, nil
}

// receive takes one receipt as it comes.
func (r *Registry) receive(id string, data []byte) {
	receipt, err := parse(id, data)
	if err != nil {
		r.refused.Add(1)
		return
	}
	r.heard.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.verifiers[id]
	kept := v != nil && v.kept
	if kept { // it is older than what comes now, and no time of it counts
		v.claim = nil
		delete(r.claims, id)
	}
	r.take(receipt, r.cfg.Now())
	if kept {
		r.moves -= v.begin()
	}
	r.wake()
}

// take notes a receipt that was heard then.
func (r *Registry) take(receipt revocation.Receipt, heard time.Time) {
	v := r.verifiers[receipt.ID]
	if receipt.Stopped {
		if v != nil && v.last.Instance == receipt.Instance { // else another process goes on
			r.drop(receipt.ID, v)
		}
		return
	}
	if v == nil {
		if v = r.add(receipt.ID, heard); v == nil {
			r.refused.Add(1)
			return
		}
	}
	v.hear(receipt, heard, r.cfg.FreshFor)
	r.judge(v)
}

// grace is how much later than a verifier we may learn of a position.
const grace = time.Second

// judge believes what v said last, or keeps it until we know as much. The first
// such claim is kept for a while though others follow: it says when.
func (r *Registry) judge(v *verifier) {
	switch {
	case len(v.last.Places) == 0:
		v.claim, v.unconfirmed = nil, time.Time{}
		delete(r.claims, v.last.ID)
	case within(v.last.Places, &r.known):
		delete(r.claims, v.last.ID)
		r.moves += v.believe(&v.last, v.heard, r.limit())
	case v.claim == nil || v.heard.Sub(v.claimed) > grace:
		claim := v.last
		v.claim, v.claimed = &claim, v.heard
		r.claims[v.last.ID] = v
	}
	if v.claim != nil && v.unconfirmed.IsZero() {
		v.unconfirmed = v.heard
	}
}

// Advance tells how far our own view of the feed is. It does not block.
func (r *Registry) Advance(h revocation.Head) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = h
	for id, v := range r.claims {
		if !within(v.claim.Places, &r.known) {
			continue
		}
		seen := v.claimed
		if now := r.cfg.Now(); now.Sub(seen) > grace { // it said so before it could know
			seen = now
		}
		r.moves += v.believe(v.claim, seen, r.limit())
		delete(r.claims, id)
		r.judge(v)
	}
	r.wake()
}

// maxMoves bounds what all tracks hold together, 16 bytes each, but for the
// movesLeast that each may; movesEach is what one holds at most.
const (
	maxMoves   = 2_000_000
	movesEach  = 10_000
	movesLeast = 16
)

// limit is how many moves one track may hold.
func (r *Registry) limit() int {
	if r.moves >= maxMoves {
		return movesLeast
	}
	return min(movesEach, max(maxMoves/max(1, len(r.verifiers)*r.known.Shards()), movesLeast))
}

// add is a new verifier, nil where there is no room for one.
func (r *Registry) add(id string, now time.Time) *verifier {
	if len(r.verifiers) >= r.cfg.MaxVerifiers && !r.evict(now) {
		return nil
	}
	v := &verifier{}
	r.verifiers[id] = v
	return v
}

// evictApart is how often to look for room at most: whoever fills the registry
// must not have us search it for each message.
const evictApart = 20 * time.Millisecond

// evict drops who was silent longest.
func (r *Registry) evict(now time.Time) bool {
	if now.Before(r.full) {
		return false
	}
	r.full = now.Add(evictApart)
	oldest := ""
	for id, v := range r.verifiers {
		if !v.fresh(now, r.cfg.FreshFor) && (oldest == "" || v.heard.Before(r.verifiers[oldest].heard)) {
			oldest = id
		}
	}
	if oldest == "" {
		return false
	}
	r.drop(oldest, r.verifiers[oldest])
	return true
}

func (r *Registry) drop(id string, v *verifier) {
	for i := range v.tracks {
		r.moves -= len(v.tracks[i].moves)
	}
	v.gone = true
	delete(r.verifiers, id)
	delete(r.claims, id)
}

// wake lets those who wait look again.
func (r *Registry) wake() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Ready is closed when who is registered was read for the first time.
func (r *Registry) Ready() <-chan struct{} { return r.ready }
