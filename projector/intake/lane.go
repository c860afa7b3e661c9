package intake

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

const (
	// chunkBytes is what is taken and prepared at once: about as many events as
	// fit into one batch. A single message may have more.
	chunkBytes = 512 << 10

	// together is how many chunks are given their keys in one call of the
	// keyring, where as many wait: whatever people are new, the store takes
	// milliseconds of processor time for a call.
	together = 3

	// smallShare is how many events at least a goroutine is worth.
	smallShare = 64
)

// arrival is one message in hand.
type arrival struct {
	*stream.IntakeMessage
	envelope *envelope.Message // encrypted, and not opened yet
	inner    events.Message    // as it was before it was encrypted, if it was
	sealed   bool              // it was
	refusal  *events.Refusal   // why it was not opened

	waiting int  // events of it that are neither in the log nor in quarantine
	held    bool // an event of it cannot be dealt with now: it is to come again
	done    bool // it was acknowledged, or counted as held
}

// chunk is messages of one lane on their way through the steps.
type chunk struct {
	lane       events.Lane
	arrivals   []arrival
	candidates []candidate
	received   time.Time // when it was taken, by the clock of the records
	began      time.Time // the same, to measure with
}

// oldest is when the first of its messages was stored.
func (c *chunk) oldest() time.Time {
	at := c.arrivals[0].Received
	for i := range c.arrivals {
		if r := c.arrivals[i].Received; r.Before(at) {
			at = r
		}
	}
	return at
}

// last is the highest sequence of its messages.
func (c *chunk) last() (seq uint64) {
	for i := range c.arrivals {
		seq = max(seq, c.arrivals[i].Seq)
	}
	return seq
}

// after is the last control message that was stored before one of its messages.
func (c *chunk) after() (seq uint64) {
	for i := range c.arrivals {
		seq = max(seq, c.arrivals[i].After)
	}
	return seq
}

// refused is the events that are to go into quarantine.
func (c *chunk) refused() (out []*candidate) {
	for i := range c.candidates {
		if k := &c.candidates[i]; k.refusal != nil {
			out = append(out, k)
		}
	}
	return out
}

// lane takes the messages of one lane through the steps that need no order:
// take and decode, then keys and records. Each is a goroutine, so that they
// overlap with each other and with the append: the first has one chunk in hand,
// the second a few, and as many wait between them.
type lane struct {
	in     *Intake
	cfg    *Config
	lane   events.Lane
	source Source

	places map[seal.Person]int // of the chunks that are sealed; kept for its room
}

// run takes until take ends, and gives to out what it took, prepared, as long
// as hold does. It closes out. The error says why the source ended; nil where
// take did.
func (l *lane) run(take, hold context.Context, out chan<- *chunk) error {
	opened := make(chan *chunk, together-1)
	var g errgroup.Group
	g.Go(func() error {
		defer close(opened)
		return l.take(take, hold, opened)
	})
	g.Go(func() error {
		defer close(out)
		for c := range opened {
			if !l.finish(hold, behind(c, opened), out) {
				break
			}
		}
		for range opened { // what is in hand when hold has ended is delivered again
		}
		return nil
	})
	return g.Wait()
}

// behind is c and the chunks that wait behind it, as many as are given their
// keys together.
func behind(c *chunk, opened <-chan *chunk) []*chunk {
	cs := []*chunk{c}
	for len(cs) < together {
		select {
		case c, open := <-opened:
			if !open {
				return cs
			}
			cs = append(cs, c)
		default:
			return cs
		}
	}
	return cs
}

// finish gives cs to out, prepared, and reports whether hold lasted.
func (l *lane) finish(hold context.Context, cs []*chunk, out chan<- *chunk) bool {
	people := l.people(hold, cs)
	for _, c := range cs {
		l.seal(c, people)
		l.in.refuse(hold, c.refused(), c.received)
		if !give(hold, out, c) {
			return false
		}
	}
	return true
}

func give(ctx context.Context, to chan<- *chunk, c *chunk) bool {
	select {
	case to <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l *lane) take(take, hold context.Context, opened chan<- *chunk) error {
	for {
		messages, err := l.source.Next(take, l.lane, chunkBytes)
		switch {
		case take.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		for len(messages) > 0 {
			n := sameLane(messages)
			c := l.chunk(messages[:n])
			l.in.stats.took(l.lane, c)
			l.open(hold, c)
			if !give(hold, opened, c) {
				return nil
			}
			if messages = messages[n:]; len(messages) == 0 {
				l.space(take, c)
			}
		}
	}
}

// sameLane is how many of messages are logged in the lane of the first. That is
// all of them, unless the server delivers on other subjects than this version
// would ask it to.
func sameLane(messages []stream.IntakeMessage) int {
	for i := range messages {
		if messages[i].Message.Type.Lane() != messages[0].Message.Type.Lane() {
			return i
		}
	}
	return len(messages)
}

func (l *lane) chunk(messages []stream.IntakeMessage) *chunk {
	c := &chunk{lane: messages[0].Message.Type.Lane(), arrivals: make([]arrival, len(messages)), received: l.cfg.Now(), began: time.Now()}
	for i := range messages {
		c.arrivals[i].IntakeMessage = &messages[i]
	}
	return c
}
