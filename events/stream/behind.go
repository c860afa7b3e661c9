package stream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	heldFor       = 10 * time.Second // rarely is a message longer in hand that is not held
	removedAtOnce = 1000             // messages that are removed one by one, between two purges
	dealtAtMost   = 1 << 20          // sequences that are kept; what is beyond goes with a purge, or when another reader comes
)

// dealt is what one consumer has behind it and in hand since this reader opened
// it, and what of that was acknowledged and may still be in the stream. Whoever
// acknowledges has dealt with the message for good, so that one may go, whatever
// the consumer knows of it, and whoever else has it in hand.
type dealt struct {
	mu   sync.Mutex
	seqs []uint64 // in the order of acknowledgement
	last uint64   // the highest that was delivered or, before this reader, acknowledged
	turn int      // how often it was forgotten
}

// delivered notes that seq, or all up to it, was delivered.
func (d *dealt) delivered(seq uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = max(d.last, seq)
}

// upTo is seq, or the last where that is lower.
func (d *dealt) upTo(seq uint64) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return min(d.last, seq)
}

// acknowledges is ack, which notes that seq is dealt with. One of what was
// delivered before all was forgotten is not sent: the message comes again, and
// its sequence may be another's by now.
func (d *dealt) acknowledges(seq uint64, ack func() error) func() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	turn := d.turn
	return func() error {
		if !d.add(turn, seq) {
			return nil
		}
		return ack()
	}
}

// add notes seq, unless all was forgotten since turn.
func (d *dealt) add(turn int, seq uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if turn == d.turn && len(d.seqs) < dealtAtMost {
		d.seqs = append(d.seqs, seq)
	}
	return turn == d.turn
}

// forget drops what is known: all of it that is still there is delivered again.
func (d *dealt) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn++
	d.seqs, d.last = nil, 0
}

// gone drops what is up to floor, and reports whether anything is left.
func (d *dealt) gone(floor uint64) (left bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	behind := d.seqs[:0]
	for _, seq := range d.seqs {
		if seq > floor {
			behind = append(behind, seq)
		}
	}
	d.seqs = behind
	return len(behind) > 0
}

// first is the one that was acknowledged first.
func (d *dealt) first() (seq uint64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.seqs) == 0 {
		return 0, false
	}
	return d.seqs[0], true
}

// removed drops seq, which was the first.
func (d *dealt) removed(seq uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.seqs) > 0 && d.seqs[0] == seq { // else all was forgotten meanwhile
		d.seqs = d.seqs[1:]
	}
}

// dealtByLane is what was dealt with, by the consumer that delivered it.
type dealtByLane struct{ control, access dealt }

// stall is how long the same message has kept others that were dealt with in
// the stream. It belongs to the goroutine that empties.
type stall struct {
	floor uint64
	since time.Time
}

// behind reports whether a message that is held keeps others behind floor for
// longer than it may.
func (i *Intake) behind(floor uint64) bool {
	control, access := i.dealt.control.gone(floor), i.dealt.access.gone(floor)
	if floor != i.stall.floor || !control && !access || i.stall.since.IsZero() {
		i.stall = stall{floor, time.Now()}
	}
	return time.Since(i.stall.since) >= i.patience
}

// removeBehind removes, one by one, what was dealt with behind a message that is
// held. What is left goes the next time.
func (i *Intake) removeBehind(ctx context.Context) {
	left := removedAtOnce
	for _, d := range []*dealt{&i.dealt.control, &i.dealt.access} {
		for seq, ok := d.first(); ok && left > 0; seq, ok = d.first() {
			if err := i.stream.DeleteMsg(ctx, seq); err != nil && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) { // that one is gone
				return
			}
			d.removed(seq)
			left--
		}
	}
}

func (i *Intake) dealtOf(b *buffer[IntakeMessage]) *dealt {
	if b == i.control {
		return &i.dealt.control
	}
	return &i.dealt.access
}
