package intake

import (
	"context"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
)

// ackRig breaks the source's connection, which is not the log's, between the
// first append and the acknowledgements of what is in it.
type ackRig struct {
	*rig
	applied bool // they take effect before

	mu    sync.Mutex
	conn  *nats.Conn
	taken []stream.IntakeMessage
}

func (r *ackRig) change(c *Config) {
	c.Log = ackLog{Log: c.Log, broken: new(sync.Once), broke: r.broke}
	c.Open = r.open
}

func (r *ackRig) open(ctx context.Context) (Source, error) {
	nc, err := r.server.Connect(natsd.Projector)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	in, err := stream.OpenIntake(ctx, js)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn, r.taken = nc, nil
	return ackSource{Source: in, rig: r, conn: nc}, nil
}

// broke has the acknowledgements of what was taken fail, and take effect or not.
func (r *ackRig) broke() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.applied {
		for i := range r.taken {
			_ = r.taken[i].Ack() // the next line sees to it
		}
		_ = r.conn.Flush()
	}
	r.conn.Close()
}

type ackSource struct {
	Source
	rig  *ackRig
	conn *nats.Conn
}

func (s ackSource) Next(ctx context.Context, lane events.Lane, maxBytes int) ([]stream.IntakeMessage, error) {
	out, err := s.Source.Next(ctx, lane, maxBytes)
	s.rig.mu.Lock()
	defer s.rig.mu.Unlock()
	s.rig.taken = append(s.rig.taken, out...)
	return out, err
}

func (s ackSource) Close() {
	s.Source.Close()
	s.conn.Close()
}

// ackLog calls broke when the first append is done.
type ackLog struct {
	Log
	broken *sync.Once
	broke  func()
}

func (l ackLog) Append(ctx context.Context, lane events.Lane, data []byte, expectLast uint64) (uint64, error) {
	seq, err := l.Log.Append(ctx, lane, data, expectLast)
	l.broken.Do(l.broke)
	return seq, err
}

// An acknowledgement that fails, applied or not, is a message that comes again
// or does not: nothing is logged twice, nothing stays in the intake, and the
// writer goes on.
func TestAcknowledgementThatFails(t *testing.T) {
	t.Parallel()
	for name, applied := range map[string]bool{"failed": false, "failed but applied": true} {
		for _, ev := range []events.Event{issued("e"), revoked("e")} {
			t.Run(name+"/"+ev.Type.Name(), func(t *testing.T) {
				t.Parallel()
				r := &ackRig{rig: newRig(t), applied: applied}
				in := r.start(r.change)
				r.publish(ev)
				r.until("the acknowledgement has failed", func() bool { return in.Stats().Acks == 1 })
				r.publish(issued("after"))
				r.drained()
				if got := len(r.facts()); got != 2 {
					t.Errorf("%d facts, want 2", got)
				}
				s := in.Stats()
				if again := s.Skipped+s.Duplicates == 1; again == applied || s.Terms != 2 || s.Records != 2 {
					t.Errorf("applied %t: %+v", applied, s)
				}
				in.stop()
				next := r.start()
				r.publish(issued("last"))
				r.drained()
				if s := next.Stats(); len(r.facts()) != 3 || s.Messages != 1 {
					t.Errorf("after a restart: %d facts, %+v", len(r.facts()), s)
				}
			})
		}
	}
}
