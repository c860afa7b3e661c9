package intake

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/projector/ledger"
)

// TestControlGoesFirst has access messages in every place where they can be
// before the log, and lets a control message overtake all but the batch that is
// being appended.
func TestControlGoesFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate := &gatedLog{Log: r.log, at: 1, waiting: make(chan struct{}), open: make(chan struct{})}
	in := r.start(func(c *Config) { c.Log = gate })
	r.publish(issued("first"))
	<-gate.waiting
	for i := range 20 {
		r.publish(issued(fmt.Sprint("e", i)))
		r.until("it is taken, or cannot be", func() bool { s := in.Stats(); return s.Messages >= uint64(min(i+2, 3)) })
	}
	r.publish(revoked("e3"))
	r.until("it is taken", func() bool { return !in.Stats().Oldest.IsZero() && in.took(events.Control) })
	close(gate.open)
	r.drained()
	all := r.records()
	if all[1].Type != events.TokenRevoked || all[1].Batch.Lane != events.Control || all[1].Batch.Count != 1 {
		t.Errorf("the second batch is %+v with %s", all[1].Batch, all[1].Type)
	}
	if len(all) != 22 || all[2].Batch.Lane != events.Access {
		t.Errorf("%d records, the third in %+v", len(all), all[2].Batch)
	}
}

// took reports whether anything of a lane was taken in this term.
func (in *running) took(lane events.Lane) bool {
	in.stats.mu.Lock()
	defer in.stats.mu.Unlock()
	_, some := in.stats.behind[lane]
	return some
}

// TestCoveredMessageIsSkipped delivers messages again after everything that
// would tell them by their events is forgotten.
func TestCoveredMessageIsSkipped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var kept []kept
	var mu sync.Mutex
	in := r.start(onSource(func(s Source) Source { return &keeping{Source: s, mu: &mu, kept: &kept} }))
	r.publish(issued("a"), revoked("a"))
	r.drained()
	in.stop()

	again := r.build()
	at, err := again.recover(t.Context())
	r.check(err)
	at.window = newWindow(1000)
	w, err := at.writer(kept[0].created, 2)
	r.check(err)
	for i := range kept {
		l := &lane{in: again.Intake, cfg: &again.cfg}
		c := l.chunk([]stream.IntakeMessage{kept[i].IntakeMessage})
		l.open(t.Context(), c)
		l.seal(c, l.people(t.Context(), []*chunk{c}))
		r.check(w.take(t.Context(), c))
	}
	r.check(w.flush(t.Context()))
	if got := len(r.facts()); got != 2 {
		t.Errorf("%d facts, want 2", got)
	}
	if s := again.Stats(); s.Skipped != 2 || s.Duplicates != 0 {
		t.Errorf("%+v", s)
	}
}

// keeping remembers what it handed over.
type keeping struct {
	Source
	mu   *sync.Mutex
	kept *[]kept
}

type kept struct {
	stream.IntakeMessage
	created int64
}

func (k *keeping) Next(ctx context.Context, lane events.Lane, maxBytes int) ([]stream.IntakeMessage, error) {
	out, err := k.Source.Next(ctx, lane, maxBytes)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range out {
		*k.kept = append(*k.kept, kept{m, k.Created().UnixNano()})
	}
	return out, err
}

// TestIntakeStreamMadeAgain counts from one again: what was covered before
// must not be taken for what comes now.
func TestIntakeStreamMadeAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start()
	r.publish(issued("a"), issued("b"), issued("c"))
	r.drained()
	in.stop()
	operator := natsdtest.JetStream(t, r.server, natsd.Operator)
	r.check(operator.DeleteStream(t.Context(), stream.IntakeStream))
	r.check(stream.Ensure(t.Context(), operator, stream.Topology{}))
	again := r.start()
	r.publish(issued("d"), issued("e"))
	r.drained()
	if got := len(r.facts()); got != 5 {
		t.Errorf("%d facts, want 5", got)
	}
	if s := again.Stats(); s.Skipped != 0 {
		t.Errorf("%+v", s)
	}
}

func TestCoveredKnowsAStreamThatWasMadeAgain(t *testing.T) {
	t.Parallel()
	at := time.Unix(1e9, 0)
	var c covered
	c.add(1, at)
	c.add(2, at.Add(time.Second))
	if !c.has(1, at) || !c.has(2, at.Add(time.Second)) || c.has(3, at) {
		t.Error("what was added is not what is covered")
	}
	if c.has(1, at.Add(time.Minute)) {
		t.Error("a message stored after all covered ones is covered")
	}
	if c.has(2, at) {
		t.Error("what is known of another stream is still believed")
	}
}

func TestCoveredIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c covered
		in := map[uint64]bool{}
		for range rapid.IntRange(0, 2000).Draw(t, "n") {
			seq := rapid.Uint64Range(1, 3000).Draw(t, "seq")
			c.add(seq, time.Time{})
			in[seq] = true
		}
		if len(c.ranges) > maxCovered {
			t.Fatalf("%d ranges", len(c.ranges))
		}
		for seq := range uint64(3001) {
			if c.has(seq, time.Time{}) && !in[seq] {
				t.Fatalf("seq %d was never dealt with", seq)
			}
		}
	})
}

// steppingClock moves on with each look.
type steppingClock struct {
	mu   sync.Mutex
	at   time.Time
	step time.Duration
}

func (c *steppingClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(c.step)
	return c.at
}

// TestTailIsTheWindow writes batches over hours of its clock and compares the
// tail that is read with the headers.
func TestTailIsTheWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	clock := &steppingClock{at: time.Now(), step: 3 * time.Minute}
	in := r.start(func(c *Config) { c.Now = clock.now })
	const n = 40
	for i := range n {
		r.publish(issued(fmt.Sprint("e", i)))
		r.until("it is logged", func() bool { return in.Stats().Records == uint64(i+1) })
	}
	in.stop()
	last, err := r.log.Last(t.Context())
	r.check(err)
	for _, window := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour, 3 * time.Hour, 100 * time.Hour} {
		again := r.build(func(c *Config) { c.DedupWindow = window })
		again.recent = 3
		at, err := again.recover(t.Context())
		r.check(err)
		end, err := at.header(last)
		r.check(err)
		want := 0
		for seq := uint64(1); seq <= last.Seq; seq++ {
			m, err := r.log.Get(t.Context(), seq)
			r.check(err)
			h, err := at.header(m)
			r.check(err)
			if end.Written-h.Written <= window.Microseconds() || end.Size-h.Size < 3 {
				want++
			}
		}
		if got := at.window.len; got != want {
			t.Errorf("window %s: %d events remembered, want %d", window, got, want)
		}
		if at.seq != last.Seq || at.tree.Size() != end.Size || at.tree.Root() != end.Root {
			t.Errorf("window %s: stands at seq %d size %d", window, at.seq, at.tree.Size())
		}
	}
}

func TestTailIsBoundedInIDs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start()
	for i := range 5 {
		r.publishBatch(issuedMany(fmt.Sprint("b", i), 300)...)
		r.until("it is logged", func() bool { return in.Stats().Records == uint64(300*(i+1)) })
	}
	in.stop()
	w, err := r.build(func(c *Config) { c.DedupIDs = 1000 }).recover(t.Context())
	r.check(err)
	if got := w.window.len; got != 1000 {
		t.Errorf("%d events remembered, want 1000", got)
	}
	if _, known := w.window.find(events.EventRef("acme", "//id.example.com/a", "b4-0299")); !known {
		t.Error("the last event is not remembered")
	}
}

// TestControlStateComesFromTheWholeLane has what matters to the controls long
// before the tail, with access batches after it and none of control.
func TestControlStateComesFromTheWholeLane(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	clock := &steppingClock{at: time.Now(), step: time.Minute}
	in := r.start(func(c *Config) { c.Now = clock.now })
	r.publish(events.Event{
		ID: "k", Source: "s", Type: events.KeyPublished, Time: issued("").Time, Tenant: "acme", Environment: "test",
		Data: events.Data{Issuer: issuer, KeyID: "k1", Algorithm: "ES256"},
	})
	r.drained()
	for i := range 10 {
		r.publish(signedBy(fmt.Sprint("e", i), "k1"))
		r.until("it is logged", func() bool { return in.Stats().Records == uint64(i+2) })
	}
	in.stop()
	again := r.start(func(c *Config) { c.DedupWindow = time.Minute }, func(in *Intake) { in.recent = 1 })
	r.publish(signedBy("later", "k1"))
	r.drained()
	if got := again.Stats().Findings; got != 0 {
		t.Errorf("%d findings about a key that was published", got)
	}
}

// TestCorruptLogIsNotContinued puts a batch behind a good log that cannot be
// right, each in its own way.
func TestCorruptLogIsNotContinued(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]func(b *events.Batch) (lane events.Lane){
		"another root": func(b *events.Batch) events.Lane { b.Header.Root[0] ^= 1; return events.Access },
		"a record more": func(b *events.Batch) events.Lane {
			b.Items[0].Record = append(b.Items[0].Record, 0)
			return events.Access
		},
		"another record": func(b *events.Batch) events.Lane { b.Items[0].Record[20] ^= 1; return events.Access },
		"an index left out": func(b *events.Batch) events.Lane {
			b.Header.First++
			b.Header.Size++
			return events.Access
		},
		"an older epoch":  func(b *events.Batch) events.Lane { b.Header.Epoch = 0; return events.Access },
		"another lane":    func(*events.Batch) events.Lane { return events.Control },
		"another shard":   func(b *events.Batch) events.Lane { b.Header.Shard = 9; return events.Access },
		"another version": func(b *events.Batch) events.Lane { b.Header.Version = 9; return events.Access },
		"no digest":       func(b *events.Batch) events.Lane { b.Items[0].Digest = nil; return events.Access },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			in := r.start()
			r.publish(issued("a"))
			r.drained()
			in.stop()
			b := r.nextBatch("forged")
			lane := tamper(b)
			data, err := b.Marshal()
			r.check(err)
			_, err = r.log.Append(t.Context(), lane, data, 1)
			r.check(err)
			again := r.start()
			r.publish(issued("b"))
			if err := again.wait(); !errors.Is(err, ErrCorrupt) {
				t.Errorf("stopped with %v", err)
			}
			if last, err := r.log.Last(t.Context()); err != nil || last.Seq != 2 || r.waiting() != 1 {
				t.Errorf("log at %d, %d messages waiting, %v", last.Seq, r.waiting(), err)
			}
		})
	}
}

// nextBatch is a batch that could follow the log, which has one.
func (r *rig) nextBatch(id string) *events.Batch {
	r.Helper()
	last, err := r.log.Last(r.Context())
	r.check(err)
	before, err := events.UnmarshalBatch(last.Data)
	r.check(err)
	tree, err := ledger.FromEdge(before.Header.Size, before.Header.Edge)
	r.check(err)
	ev := issued(id)
	record, err := events.NewRecord(&ev, "test", time.Now()).Marshal()
	r.check(err)
	tree.Append(events.LeafHash(record))
	h := before.Header
	h.First, h.Count, h.Size, h.Root, h.Edge = h.Size, 1, h.Size+1, tree.Root(), tree.Edge()
	return &events.Batch{Header: h, Items: []events.Item{{Record: record, Digest: make([]byte, 8)}}}
}

// TestUntamperedBatchIsContinued is what gives the test above its meaning.
func TestUntamperedBatchIsContinued(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start()
	r.publish(issued("a"))
	r.drained()
	in.stop()
	data, err := r.nextBatch("foreign").Marshal()
	r.check(err)
	_, err = r.log.Append(t.Context(), events.Access, data, 1)
	r.check(err)
	r.start()
	r.publish(issued("b"))
	r.drained()
	if got := len(r.facts()); got != 3 {
		t.Errorf("%d facts, want 3", got)
	}
}

// TestServerRestart stops the server under a running intake.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := rigIn(t, dir)
	u, err := url.Parse(r.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	in := r.start()
	r.publish(issued("before"))
	r.drained()
	natsdtest.Stop(t, r.server)
	natsdtest.StartIn(t, natsd.Config{Dir: dir, Port: port})
	r.until("publishing works again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ev := issued("after")
		b, err := events.MarshalEvent(&ev)
		r.check(err)
		_, err = r.publisher.Publish(ctx, onIssued, b, jetstream.WithMsgID("after"))
		return err == nil
	})
	r.until("the event is logged", func() bool { return in.Stats().Size == 2 })
	r.drained()
	if got := len(r.facts()); got != 2 {
		t.Errorf("%d facts, want 2", got)
	}
}
