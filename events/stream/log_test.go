package stream_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func portOf(t *testing.T, s *natsd.Server) int {
	t.Helper()
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// fill appends n numbered messages, every third of the control lane.
func fill(t *testing.T, l *stream.Log, from uint64, n int) {
	t.Helper()
	for i := range uint64(n) {
		seq := from + i
		if _, err := l.Append(t.Context(), laneOf(seq), fmt.Appendf(nil, "%d", seq), seq-1); err != nil {
			t.Fatal(err)
		}
	}
}

func laneOf(seq uint64) events.Lane {
	if seq%3 == 0 {
		return events.Control
	}
	return events.Access
}

func TestLogIsAppendedToByOneWriterAtATime(t *testing.T) {
	t.Parallel()
	l := start(t).log(t)
	const writers, each = 4, 25
	var racing sync.WaitGroup
	for range writers {
		racing.Go(func() {
			for done := 0; done < each; {
				last, err := l.Last(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				_, err = l.Append(t.Context(), events.Access, fmt.Appendf(nil, "%d", last.Seq+1), last.Seq)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, stream.ErrFenced):
					t.Error(err)
					return
				}
			}
		})
	}
	racing.Wait()
	for seq := uint64(1); seq <= writers*each; seq++ {
		m, err := l.Get(t.Context(), seq)
		if err != nil || string(m.Data) != fmt.Sprint(seq) {
			t.Fatalf("seq %d holds %q, %v: written by one who expected another place", seq, m.Data, err)
		}
	}
}

func TestLastAndGet(t *testing.T) {
	t.Parallel()
	l := start(t).log(t)
	if m, err := l.Last(t.Context()); err != nil || m.Seq != 0 {
		t.Fatalf("last of an empty log: %+v, %v", m, err)
	}
	for _, seq := range []uint64{0, 1, 99} {
		if _, err := l.Get(t.Context(), seq); !errors.Is(err, stream.ErrNotFound) {
			t.Errorf("get %d of an empty log: %v", seq, err)
		}
	}
	fill(t, l, 1, 7)
	if m, err := l.Last(t.Context()); err != nil || m.Seq != 7 || string(m.Data) != "7" || m.Lane != events.Access || m.Time.IsZero() {
		t.Errorf("last: %+v, %v", m, err)
	}
	if m, err := l.LastOf(t.Context(), events.Control); err != nil || m.Seq != 6 || m.Lane != events.Control {
		t.Errorf("last of the control lane: %+v, %v", m, err)
	}
}

// Whatever Append has acknowledged is there after kill -9 of the server.
func TestAcknowledgedMessagesSurviveKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startChild(t, dir)
	acked, firstAck := make(chan uint64, 1), make(chan struct{})
	go func() { acked <- appendUntilKilled(t, c, firstAck) }()
	<-firstAck
	c.kill()
	last := <-acked
	if last == 0 {
		t.Fatal("nothing was acknowledged before the kill: this test sees nothing")
	}
	again := startChild(t, dir)
	l, err := stream.OpenLog(t.Context(), again.connect(t, natsd.Projector))
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= last; seq++ {
		if m, err := l.Get(t.Context(), seq); err != nil || string(m.Data) != fmt.Sprint(seq) {
			t.Fatalf("seq %d of %d acknowledged: %q, %v", seq, last, m.Data, err)
		}
	}
}

func (c *child) connect(t *testing.T, role natsd.Role) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(c.url, natsd.Options(role, c.dir+"/nats/"+string(role)+".creds")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// appendUntilKilled returns the last sequence that was acknowledged. It closes
// enough when there are some.
func appendUntilKilled(t *testing.T, c *child, enough chan struct{}) (last uint64) {
	if err := stream.Ensure(t.Context(), c.connect(t, natsd.Operator), stream.Topology{}); err != nil {
		t.Error(err)
	}
	l, err := stream.OpenLog(t.Context(), c.connect(t, natsd.Projector))
	if err != nil {
		t.Error(err)
		close(enough)
		return 0
	}
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := l.Append(ctx, events.Access, fmt.Appendf(nil, "%d", last+1), last)
		cancel()
		if err != nil {
			return last
		}
		if last++; last == 50 {
			close(enough)
		}
	}
}

func read(t *testing.T, l *stream.Log, from uint64, lanes ...events.Lane) *stream.Reader {
	t.Helper()
	r, err := l.Read(t.Context(), from, lanes...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// wantNext reads the messages with the given sequences, which must come next.
func wantNext(t *testing.T, r *stream.Reader, maxBytes int, want ...uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(want) > 0 {
		ms, err := r.Next(ctx, maxBytes)
		if err != nil {
			t.Fatalf("waiting for seq %d: %v", want[0], err)
		}
		for _, m := range ms {
			if len(want) == 0 || m.Seq != want[0] || string(m.Data) != fmt.Sprint(m.Seq) || m.Lane != laneOf(m.Seq) {
				t.Fatalf("got seq %d %q %s, want %v", m.Seq, m.Data, m.Lane, want)
			}
			want = want[1:]
		}
	}
}

func between(first, last uint64, lanes ...events.Lane) (seqs []uint64) {
	for seq := first; seq <= last; seq++ {
		if len(lanes) == 0 || laneOf(seq) == lanes[0] {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

func TestReaderReadsFromAnyPlaceAndFollows(t *testing.T) {
	t.Parallel()
	l := start(t).log(t)
	empty := read(t, l, 1)
	fill(t, l, 1, 20)
	all, tail, end, control := read(t, l, 0), read(t, l, 8), read(t, l, 21), read(t, l, 4, events.Control)
	wantNext(t, empty, 1<<20, between(1, 20)...)
	wantNext(t, all, 1<<20, between(1, 20)...)
	wantNext(t, tail, 1<<20, between(8, 20)...)
	wantNext(t, control, 1<<20, between(4, 20, events.Control)...)
	fill(t, l, 21, 10)
	wantNext(t, all, 1<<20, between(21, 30)...)
	wantNext(t, end, 1<<20, between(21, 30)...)
	wantNext(t, control, 1<<20, between(21, 30, events.Control)...)
	both := read(t, l, 1, events.Access, events.Control)
	wantNext(t, both, 1<<20, between(1, 30)...)
}

func TestReaderOutlivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := natsdtest.StartIn(t, natsd.Config{Dir: dir})
	w := world{Server: s, projector: natsdtest.JetStream(t, s, natsd.Projector)}
	l := w.log(t)
	all, control := read(t, l, 1), read(t, l, 1, events.Control)
	fill(t, l, 1, 10)
	wantNext(t, all, 1<<20, between(1, 10)...)
	wantNext(t, control, 1<<20, between(1, 10, events.Control)...)
	s = restart(t, s, dir)
	fill(t, (world{Server: s, projector: natsdtest.JetStream(t, s, natsd.Projector)}).log(t), 11, 10)
	wantNext(t, all, 1<<20, between(11, 20)...)
	wantNext(t, control, 1<<20, between(11, 20, events.Control)...)
}

func TestReaderOutlivesTheLossOfItsConsumer(t *testing.T) {
	t.Parallel()
	w := start(t)
	l := w.log(t)
	r := read(t, l, 1)
	fill(t, l, 1, 5)
	wantNext(t, r, 1<<20, between(1, 5)...)
	s, err := w.operator.Stream(t.Context(), stream.LogStream)
	if err != nil {
		t.Fatal(err)
	}
	for name := range s.ConsumerNames(t.Context()).Name() {
		if err := s.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, l, 6, 5)
	wantNext(t, r, 1<<20, between(6, 10)...)
}

func TestReaderKeepsToItsBound(t *testing.T) {
	t.Parallel()
	l := start(t).log(t)
	var seq uint64
	for range 40 {
		var err error
		if seq, err = l.Append(t.Context(), events.Access, make([]byte, 500_000), seq); err != nil {
			t.Fatal(err)
		}
	}
	r := read(t, l, 1)
	for next := uint64(1); next <= seq; {
		ms, err := r.Next(t.Context(), 1_200_000)
		if err != nil || len(ms) == 0 || len(ms) > 2 {
			t.Fatalf("%d messages of 500 kB within 1.2 MB, %v", len(ms), err)
		}
		if ms[0].Seq != next {
			t.Fatalf("seq %d, want %d", ms[0].Seq, next)
		}
		next += uint64(len(ms))
	}
	one := read(t, l, 1)
	if ms, err := one.Next(t.Context(), 1); err != nil || len(ms) != 1 {
		t.Fatalf("%d messages, %v: one always passes", len(ms), err)
	}
}

// A log that was created anew, or has lost its end, is not the log.
func TestReaderNoticesAnotherLog(t *testing.T) {
	t.Parallel()
	w := start(t)
	l := w.log(t)
	fill(t, l, 1, 5)
	r := read(t, l, 1)
	wantNext(t, r, 1<<20, between(1, 5)...)
	if _, err := l.Read(t.Context(), 7); !errors.Is(err, stream.ErrLogReplaced) {
		t.Errorf("read behind the end: %v", err)
	}
	if err := w.operator.DeleteStream(t.Context(), stream.LogStream); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(t.Context(), 1<<20); !errors.Is(err, stream.ErrLogReplaced) {
		t.Errorf("next after the log was deleted: %v", err)
	}
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(t.Context(), 1); !errors.Is(err, stream.ErrLogReplaced) {
		t.Errorf("read after the log was created again: %v", err)
	}
}

func TestReaderNoticesAHole(t *testing.T) {
	t.Parallel()
	w := start(t)
	if err := w.operator.DeleteStream(t.Context(), stream.LogStream); err != nil {
		t.Fatal(err)
	}
	if _, err := w.operator.CreateStream(t.Context(), jetstream.StreamConfig{Name: stream.LogStream, Subjects: []string{stream.LogSubjects}}); err != nil {
		t.Fatal(err)
	}
	l := w.log(t)
	fill(t, l, 1, 9)
	s, err := w.operator.Stream(t.Context(), stream.LogStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	r := read(t, l, 1)
	wantNext(t, r, 1<<20, between(1, 4)...)
	if ms, err := r.Next(t.Context(), 1<<20); !errors.Is(err, stream.ErrLogReplaced) {
		t.Fatalf("next at a hole: %d messages, %v", len(ms), err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(4)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(t.Context(), 1); !errors.Is(err, stream.ErrLogReplaced) {
		t.Fatalf("read of a log that lost its beginning: %v", err)
	}
}

func TestClosedReaderSaysSo(t *testing.T) {
	t.Parallel()
	r := read(t, start(t).log(t), 1)
	r.Close()
	if _, err := r.Next(t.Context(), 1); !errors.Is(err, stream.ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := read(t, w.log(t), 1).Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("reader: %v", err)
	}
	if _, err := w.intake(t).Next(ctx, events.Access, 1<<20); !errors.Is(err, context.Canceled) {
		t.Errorf("intake: %v", err)
	}
}
