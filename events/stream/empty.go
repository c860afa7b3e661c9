package stream

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// emptyEvery is how often the intake is emptied of what was dealt with. A
// message that is removed by itself costs the server one more synced write,
// which the next publisher waits for.
const emptyEvery = 500 * time.Millisecond

// emptyLast is how long a reader that ends tries to empty the intake once more:
// one whose connection is dead must soon be able to read again.
const emptyLast = time.Second

// left is the control messages that the access consumer delivered as well. It
// acknowledges them once the control consumer has delivered them: so whatever
// the access consumer has left behind it is known to the other.
type left struct {
	mu       sync.Mutex
	messages []leftMessage // in the order of delivery
	last     uint64        // the sequence of the latest, cleared or not
}

type leftMessage struct {
	seq uint64
	msg jetstream.Msg
}

func (l *left) add(seq uint64, msg jetstream.Msg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, leftMessage{seq, msg})
	l.last = max(l.last, seq)
}

// before is the last control message that was stored before one of access that
// is delivered now.
func (l *left) before(seq uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return min(l.last, seq)
}

// clear forgets them: they are delivered again.
func (l *left) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = nil
}

// release acknowledges those up to seq.
func (l *left) release(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.messages[:0]
	for _, m := range l.messages {
		if m.seq > seq || m.msg.Ack() != nil {
			rest = append(rest, m)
		}
	}
	clear(l.messages[len(rest):])
	l.messages = rest
}

// empty empties the stream, now and then and at the end. What could not be
// removed goes the next time, or when another reader comes.
func (i *Intake) empty(run context.Context) {
	tick := time.NewTicker(emptyEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			i.emptyNow(run, requestWait)
		case <-run.Done():
			i.emptyNow(context.WithoutCancel(run), emptyLast)
			return
		}
	}
}

func (i *Intake) emptyNow(ctx context.Context, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	to, err := i.dealtWith(ctx)
	if err != nil {
		return
	}
	behind := i.behind(to)
	if to == i.emptied && !behind || i.check(ctx) != nil { // of a stream that was made anew the sequences are other messages
		return
	}
	if to > 0 && to != i.emptied && i.purge(ctx, to+1) == nil {
		i.emptied = to
	}
	if behind {
		i.removeBehind(ctx)
	}
}

// purge removes this shard's messages before a sequence.
func (i *Intake) purge(ctx context.Context, before uint64) error {
	if slices.Equal(i.subjects, []string{EventSubjects}) { // all there are
		return i.stream.Purge(ctx, jetstream.WithPurgeSequence(before))
	}
	for _, s := range i.subjects {
		if err := i.stream.Purge(ctx, jetstream.WithPurgeSubject(s), jetstream.WithPurgeSequence(before)); err != nil {
			return err
		}
	}
	return nil
}

// dealtWith is the sequence up to which every message of the shard was
// acknowledged, to whichever reader it was delivered. Access is asked first:
// what it has behind it control had delivered by then.
func (i *Intake) dealtWith(ctx context.Context) (uint64, error) {
	access, err := i.state(ctx, consumerOf(AccessConsumer, i.shard))
	if err != nil {
		return 0, err
	}
	control, err := i.state(ctx, consumerOf(ControlConsumer, i.shard))
	if err != nil {
		return 0, err
	}
	i.left.release(i.dealt.control.upTo(control.Delivered.Stream))
	to := i.dealt.access.upTo(access.AckFloor.Stream) // of what is beyond, this reader knows nothing
	if control.NumAckPending > 0 || control.NumPending > 0 {
		to = min(to, control.AckFloor.Stream)
	}
	return to, nil
}

func (i *Intake) state(ctx context.Context, consumer string) (*jetstream.ConsumerInfo, error) {
	c, err := i.stream.Consumer(ctx, consumer)
	if err != nil {
		return nil, err
	}
	return c.CachedInfo(), nil
}
