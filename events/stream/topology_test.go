package stream_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

func TestTopologyReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	err := stream.Topology{
		Replicas: 2, IntakeMaxBytes: 1, LogMaxBytes: 1, QuarantineMaxAge: 1, RevocationsMaxAge: 1, ControlAckWait: 1, AccessAckWait: 1,
	}.Validate()
	for _, name := range []string{"replicas", "intake max bytes", "log max bytes", "quarantine", "revocations", "control", "access"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported in: %v", name, err)
		}
	}
	if err := (stream.Topology{}).Validate(); err != nil {
		t.Errorf("the zero topology: %v", err)
	}
}

func TestEnsureMayBeCalledAgainAndByTwoAtOnce(t *testing.T) {
	t.Parallel()
	w := bare(t)
	var racing sync.WaitGroup
	for range 4 {
		racing.Go(func() {
			if err := stream.Ensure(t.Context(), w.operator, stream.Topology{}); err != nil {
				t.Error(err)
			}
		})
	}
	racing.Wait()
	if _, err := w.projector.Publish(t.Context(), stream.LogSubject(events.Control), []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{IntakeMaxBytes: 16 << 20, RevocationsMaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	s, err := w.operator.Stream(t.Context(), stream.IntakeStream)
	if err != nil || s.CachedInfo().Config.MaxBytes != 16<<20 || s.CachedInfo().State.Consumers != 2 {
		t.Fatalf("%v: the intake was not brought to the new topology: %+v", err, s.CachedInfo())
	}
	if n := w.state(t, stream.LogStream).Msgs; n != 1 {
		t.Fatalf("%d messages in the log after a second Ensure, want 1", n)
	}
}

// A consumer that was missing is put back and delivered what came meanwhile.
func TestEnsureMendsAMissingConsumer(t *testing.T) {
	t.Parallel()
	w := start(t)
	if err := w.operator.DeleteConsumer(t.Context(), stream.IntakeStream, stream.ControlConsumer); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.OpenIntake(t.Context(), w.projector); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("open the intake without a consumer: %v", err)
	}
	seq := w.put(t, stream.EventSubject("acme", events.TokenRevoked), []byte("{}"))
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, w.intake(t), 1)[0].Seq; got != seq {
		t.Fatalf("delivered seq %d, published %d", got, seq)
	}
}

// Sequences of a stream that was made anew are other messages: its reader must
// neither go on nor empty it.
// A control event that was stored while the control consumer was not asked to
// deliver it, and that it has behind it, is not left to it by the other one and
// then lost: the consumer is made anew.
func TestEnsureDeliversWhatOtherFiltersPassedOver(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, err := w.operator.Consumer(t.Context(), stream.IntakeStream, stream.ControlConsumer)
	if err != nil {
		t.Fatal(err)
	}
	old := c.CachedInfo().Config
	old.FilterSubjects = slices.DeleteFunc(slices.Clone(old.FilterSubjects), func(s string) bool { return strings.HasSuffix(s, ".service") })
	if len(old.FilterSubjects) == len(c.CachedInfo().Config.FilterSubjects) {
		t.Fatalf("filters %q", old.FilterSubjects)
	}
	if _, err := w.operator.UpdateConsumer(t.Context(), stream.IntakeStream, old); err != nil {
		t.Fatal(err)
	}
	passed := w.put(t, stream.ServiceSubject("acme", events.TokenRevoked), []byte("{}"))
	w.put(t, stream.EventSubject("acme", events.TokenRevoked), []byte("{}"))
	reader, err := w.projector.Consumer(t.Context(), stream.IntakeStream, stream.ControlConsumer)
	if err != nil {
		t.Fatal(err)
	}
	m, err := reader.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(t.Context()); err != nil { // it has the other one behind it
		t.Fatal(err)
	}
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, w.intake(t), 2)[0].Seq; got != passed {
		t.Fatalf("delivered seq %d first, want %d", got, passed)
	}
}

func TestIntakeStopsWhenTheStreamIsReplaced(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	w.put(t, stream.EventSubject("acme", events.TokenIssued), []byte("old"))
	collect(t, in, 1)
	if err := w.operator.DeleteStream(t.Context(), stream.IntakeStream); err != nil {
		t.Fatal(err)
	}
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	seq := w.put(t, stream.EventSubject("acme", events.TokenIssued), []byte("new"))
	if _, err := in.Next(t.Context(), events.Access, 1); !errors.Is(err, stream.ErrIntakeReplaced) && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Fatalf("next: %v", err)
	}
	in.Close()
	if got := collectUnacked(t, w.intake(t), 1); got[0].Seq != seq || string(got[0].Message.Body) != "new" {
		t.Fatalf("delivered seq %d %q", got[0].Seq, got[0].Message.Body)
	}
}

func TestIntakeStopsWhenAConsumerIsRemoved(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	if err := w.operator.DeleteConsumer(t.Context(), stream.IntakeStream, stream.ControlConsumer); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Next(t.Context(), events.Control, 1); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Fatalf("next: %v", err)
	}
}

// Even whoever may do everything to a stream cannot shorten the log.
func TestLogCannotBeShortened(t *testing.T) {
	t.Parallel()
	w := start(t)
	if _, err := w.log(t).Append(t.Context(), events.Control, []byte("kept"), 0); err != nil {
		t.Fatal(err)
	}
	s, err := w.operator.Stream(t.Context(), stream.LogStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err == nil {
		t.Error("purge succeeded")
	}
	if err := s.DeleteMsg(t.Context(), 1); err == nil {
		t.Error("delete succeeded")
	}
	cfg := s.CachedInfo().Config
	cfg.DenyDelete, cfg.DenyPurge = false, false
	if _, err := w.operator.UpdateStream(t.Context(), cfg); err == nil {
		t.Error("the denial could be lifted")
	}
}

// A full log refuses: it does not make room by dropping its oldest.
func TestFullLogRefuses(t *testing.T) {
	t.Parallel()
	w := start(t)
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{LogMaxBytes: 8 << 20}); err != nil {
		t.Fatal(err)
	}
	l := w.log(t)
	var err error
	var seq uint64
	for range 20 {
		var next uint64
		if next, err = l.Append(t.Context(), events.Access, make([]byte, 900_000), seq); err != nil {
			break
		}
		seq = next
	}
	if err == nil || errors.Is(err, stream.ErrFenced) {
		t.Fatalf("append to a full log: %v", err)
	}
	if s := w.state(t, stream.LogStream); s.FirstSeq != 1 || s.LastSeq != seq {
		t.Fatalf("the log holds %d to %d, want 1 to %d", s.FirstSeq, s.LastSeq, seq)
	}
}
