package stream_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func (w world) impatient(t *testing.T, shard uint16, patience time.Duration) *stream.Intake {
	t.Helper()
	in, err := stream.OpenIntakeWith(t.Context(), w.projector, stream.IntakeConfig{Shard: shard, HeldFor: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

// holding acknowledges n messages, but for those that hold picks, which it
// returns. Nothing may come twice.
func holding(t *testing.T, in *stream.Intake, n int, hold func(stream.IntakeMessage) bool) (held []uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := map[uint64]bool{}
	for len(seen) < n {
		for _, m := range next(ctx, t, in) {
			if seen[m.Seq] {
				t.Fatalf("seq %d came twice", m.Seq)
			}
			seen[m.Seq] = true
			if hold(m) {
				held = append(held, m.Seq)
			} else if err := m.Ack(); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(held)
	return held
}

// inIntake is the sequences that are in the intake.
func (w world) inIntake(t *testing.T) (seqs []uint64) {
	t.Helper()
	s, err := w.operator.Stream(t.Context(), stream.IntakeStream)
	if err != nil {
		t.Fatal(err)
	}
	for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq; seq++ {
		if _, err := s.GetMsg(t.Context(), seq); err == nil {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

// A message that nobody can deal with keeps nothing but itself in the stream,
// in whatever lane it is, and is still delivered.
func TestHeldMessageKeepsOnlyItself(t *testing.T) {
	t.Parallel()
	for _, held := range []events.Type{events.TokenIssued, events.TokenRevoked} {
		t.Run(held.Name(), func(t *testing.T) {
			t.Parallel()
			w := start(t)
			want := w.put(t, stream.EventSubject("acme", held), []byte("held"))
			for i := range 50 {
				w.put(t, "rescind.events.acme.token.issued", fmt.Appendf(nil, "%d", i))
				w.put(t, "rescind.events.acme.token.revoked", fmt.Appendf(nil, "%d", i))
			}
			in := w.impatient(t, 0, 100*time.Millisecond)
			holding(t, in, 101, func(m stream.IntakeMessage) bool { return m.Seq == want })
			eventually(t, "the held message alone is in the intake", func() bool { return w.state(t, stream.IntakeStream).Msgs == 1 })
			in.Close()
			again := w.impatient(t, 0, time.Hour)
			if ms := collect(t, again, 1); ms[0].Seq != want || len(ms) != 1 {
				t.Errorf("seq %d came again, want %d", ms[0].Seq, want)
			}
			eventually(t, "the intake is empty", func() bool { return w.state(t, stream.IntakeStream).Msgs == 0 })
		})
	}
}

// Only what was acknowledged is removed, though what is behind it was.
func TestWhatIsNotAcknowledgedStays(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 60 {
		w.put(t, "rescind.events.acme.token.issued", fmt.Appendf(nil, "%d", i))
	}
	in := w.impatient(t, 0, 100*time.Millisecond)
	held := holding(t, in, 60, func(m stream.IntakeMessage) bool { return m.Seq%7 == 1 })
	eventually(t, "what was acknowledged is gone", func() bool { return int(w.state(t, stream.IntakeStream).Msgs) == len(held) })
	if got := w.inIntake(t); !slices.Equal(got, held) {
		t.Errorf("in the intake are %v, want %v", got, held)
	}
}

// Within its patience a reader removes nothing one by one: what is in hand for a
// moment costs no write for each message behind it.
func TestMessageInHandIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 20 {
		w.put(t, "rescind.events.acme.token.issued", fmt.Appendf(nil, "%d", i))
	}
	in := w.impatient(t, 0, time.Hour)
	held := holding(t, in, 20, func(m stream.IntakeMessage) bool { return m.Seq == 11 })
	eventually(t, "what is before it is gone", func() bool { return w.state(t, stream.IntakeStream).FirstSeq == held[0] })
	if st := w.state(t, stream.IntakeStream); st.Msgs != 10 {
		t.Errorf("%d messages in the intake, want 10", st.Msgs)
	}
	in.Close() // which empties once more
	if st := w.state(t, stream.IntakeStream); st.Msgs != 10 {
		t.Errorf("%d messages in the intake once it is closed, want 10", st.Msgs)
	}
}

// Publishers go on, however much more than the intake may hold comes behind a
// message that is held.
func TestHeldMessageRefusesNoPublisher(t *testing.T) {
	t.Parallel()
	w := start(t)
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{IntakeMaxBytes: 8 << 20}); err != nil {
		t.Fatal(err)
	}
	held := w.put(t, "rescind.events.acme.token.issued", []byte("held"))
	in := w.impatient(t, 0, 100*time.Millisecond)
	js := natsdtest.JetStream(t, w.Server, natsd.API)
	const count, size = 40, 900 << 10
	done := make(chan error, 1)
	go func() {
		for i := range count {
			if err := publishUntilStored(t.Context(), js, fmt.Appendf(make([]byte, size), "%d", i)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	holding(t, in, count+1, func(m stream.IntakeMessage) bool { return m.Seq == held })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "the held message alone is in the intake", func() bool { return w.state(t, stream.IntakeStream).Msgs == 1 })
}

// publishUntilStored tries again while the intake is full.
func publishUntilStored(ctx context.Context, js jetstream.JetStream, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		_, err := js.Publish(ctx, stream.EventSubject("acme", events.TokenIssued), body)
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// A shard's reader removes what is its own, and no other's.
func TestHeldMessageOfAShardKeepsOnlyItself(t *testing.T) {
	t.Parallel()
	w := sharded(t, 2)
	tenants := tenantsOf(2)
	held := w.put(t, stream.EventSubject(tenants[1], events.TokenIssued), []byte("held"))
	for i := range 20 {
		w.put(t, stream.EventSubject(tenants[i%2], events.TokenIssued), fmt.Appendf(nil, "%d", i))
	}
	in := w.impatient(t, 1, 100*time.Millisecond)
	holding(t, in, 11, func(m stream.IntakeMessage) bool { return m.Seq == held })
	eventually(t, "what was acknowledged is gone", func() bool { return w.state(t, stream.IntakeStream).Msgs == 11 })
	collect(t, w.impatient(t, 0, time.Hour), 10)
	eventually(t, "the held message alone is in the intake", func() bool { return w.state(t, stream.IntakeStream).Msgs == 1 })
}
