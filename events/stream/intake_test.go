package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// put publishes body on an event subject as a service of ours, whatever the
// subject.
func (w world) put(t *testing.T, subject string, body []byte) uint64 {
	t.Helper()
	if w.api == nil {
		w.api = natsdtest.JetStream(t, w.Server, natsd.API)
	}
	ack, err := w.api.Publish(t.Context(), subject, body)
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

func TestMessageIsGoneWhenItIsAcknowledged(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	w.put(t, "rescind.events.acme.token.issued", []byte("1"))
	w.put(t, "rescind.events.acme.token.revoked", []byte("2"))
	ms := collectUnacked(t, in, 2)
	if n := w.state(t, stream.IntakeStream).Msgs; n != 2 {
		t.Fatalf("%d messages in the intake before any acknowledgement, want 2", n)
	}
	for _, m := range ms {
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the intake is empty", func() bool { return w.state(t, stream.IntakeStream).Msgs == 0 })
}

// collectUnacked reads n messages and leaves them in the stream.
func collectUnacked(t *testing.T, in *stream.Intake, n int) (out []stream.IntakeMessage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(out) < n {
		out = append(out, next(ctx, t, in)...)
	}
	return out
}

// next is what has arrived in either lane, control before access, once
// something has.
func next(ctx context.Context, t *testing.T, in *stream.Intake) (out []stream.IntakeMessage) {
	t.Helper()
	eventually(t, "a message", func() bool { c, a := in.Waiting(); return c+a > 0 || in.Failed() })
	for _, lane := range []events.Lane{events.Control, events.Access} {
		if c, a := in.Waiting(); lane == events.Control && c == 0 || lane == events.Access && a == 0 {
			continue
		}
		ms, err := in.Next(ctx, lane, 8<<20)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ms...)
	}
	return out
}

// A subject that nobody foresaw must not wait in the stream for ever.
func TestUnforeseenSubjectIsDelivered(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	subjects := map[string]bool{
		"rescind.events.acme.token.invented": true, "rescind.events.acme": true, "rescind.events.acme.token": true,
		"rescind.events.acme.token.issued.v1": true, "rescind.events.ä.token.revoked": true,
	}
	for s := range subjects {
		w.put(t, s, []byte(`{"specversion":"1.0","id":"1","source":"s","type":"dev.rescind.token.revoked.v1","time":"2026-01-01T00:00:00Z","rescindtenant":"other","data":{"iss":"i","jti":"j"}}`))
	}
	for _, m := range collect(t, in, len(subjects)) {
		if !subjects[m.Subject] {
			t.Errorf("%s: delivered twice or never sent", m.Subject)
		}
		delete(subjects, m.Subject)
		if accepted(m) {
			t.Errorf("%s: its event was accepted", m.Subject)
		}
	}
	eventually(t, "the intake is empty", func() bool { return w.state(t, stream.IntakeStream).Msgs == 0 })
}

// accepted reports whether an event of m passes decoding and validation.
func accepted(m stream.IntakeMessage) bool {
	decoded, err := events.Decode(m.Message)
	for _, d := range decoded {
		if d.Refusal == nil && (events.Policy{}).Validate(&d.Event, time.Now()) == nil {
			return true
		}
	}
	return err == nil && len(decoded) == 0
}

func TestControlIsDeliveredOnceAndBeforeAccess(t *testing.T) {
	t.Parallel()
	w := start(t)
	for i := range 50 {
		w.put(t, "rescind.events.acme.token.verified", fmt.Appendf(nil, "%d", i))
	}
	for _, typ := range events.Types() {
		if typ.Lane() == events.Control {
			w.put(t, stream.EventSubject("acme", typ), []byte("{}"))
		}
	}
	in := w.intake(t)
	control := len(events.Types()) - 4
	eventually(t, "everything has arrived", func() bool {
		c, a := in.Waiting()
		return c == control && a == 50
	})
	seen := map[uint64]bool{}
	for i, m := range collect(t, in, control+50) {
		if _, typ, _ := stream.ParseEventSubject(m.Subject); (typ.Lane() == events.Control) != (i < control) {
			t.Fatalf("message %d is %s, of %d control messages", i, m.Subject, control)
		}
		if seen[m.Seq] {
			t.Fatalf("seq %d was delivered twice", m.Seq)
		}
		seen[m.Seq] = true
	}
}

func TestNextKeepsToItsBound(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	const subject = "rescind.events.acme.token.issued"
	for i := range 10 {
		w.put(t, subject, fmt.Appendf(nil, "%d", i))
	}
	w.put(t, subject, make([]byte, 100)) // more than the bound by itself
	for n := 0; n < 11; {
		ms, err := in.Next(t.Context(), events.Access, 3*(len(subject)+1))
		if err != nil || len(ms) == 0 || len(ms) > 3 {
			t.Fatalf("%d messages, %v: want 1 to 3", len(ms), err)
		}
		n += len(ms)
	}
}

// One lane that nobody takes from does not hold up the other.
func TestLanesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	for range 20 { // more than the 16 MiB that are held in memory
		w.put(t, "rescind.events.acme.token.issued", make([]byte, 1e6))
	}
	w.put(t, "rescind.events.acme.token.revoked", []byte("1"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if ms, err := in.Next(ctx, events.Control, 1<<20); err != nil || len(ms) != 1 {
		t.Fatalf("%d control messages, %v", len(ms), err)
	}
	eventually(t, "access messages", func() bool { return !in.Oldest().IsZero() })
	if _, access := in.Waiting(); access*1e6 > 8<<20+1e6 {
		t.Errorf("%d MB wait to be taken", access)
	}
}

// What a reader asked for that stands still, and whose connection is still
// there, does not go to it for long.
func TestReaderThatStandsStillTakesNothingFromTheNext(t *testing.T) {
	t.Parallel()
	w := bare(t)
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{ControlAckWait: time.Hour, AccessAckWait: time.Hour}); err != nil {
		t.Fatal(err)
	}
	proxy := natsdtest.Proxy(t, w.Server)
	still := w
	still.projector = behind(t, proxy, w, natsd.Projector)
	_, release, err := stream.Elect(t.Context(), still.projector, "intake", 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	still.intake(t)
	proxy.HoldBoth()
	_, resign, err := stream.Elect(t.Context(), w.projector, "intake", 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer resign()
	in := w.intake(t)
	for i := range 20 {
		w.put(t, "rescind.events.acme.token.issued", fmt.Appendf(nil, "%d", i))
	}
	collect(t, in, 20)
}

// Sequences of a stream that was made again mean other messages.
func TestIntakeOfAStreamMadeAgainEnds(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	w.put(t, "rescind.events.acme.token.issued", []byte("1"))
	collectUnacked(t, in, 1)
	if err := w.operator.DeleteStream(t.Context(), stream.IntakeStream); err != nil {
		t.Fatal(err)
	}
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	w.put(t, "rescind.events.acme.token.issued", []byte("2"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ms, err := in.Next(ctx, events.Access, 1<<20)
	if err == nil || ctx.Err() != nil {
		t.Fatalf("%d messages of another stream, %v", len(ms), err)
	}
	if got := collectUnacked(t, w.intake(t), 1); string(got[0].Message.Body) != "2" {
		t.Errorf("an intake opened anew gave %q", got[0].Message.Body)
	}
}

// What a reader that is gone had taken comes at once, not after its AckWait.
func TestUnacknowledgedMessagesComeAtOnceToTheNextReader(t *testing.T) {
	t.Parallel()
	w := bare(t)
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{ControlAckWait: time.Hour, AccessAckWait: time.Hour}); err != nil {
		t.Fatal(err)
	}
	w.put(t, "rescind.events.acme.token.issued", []byte("1"))
	w.put(t, "rescind.events.acme.token.revoked", []byte("2"))
	first, err := stream.OpenIntake(t.Context(), w.projector)
	if err != nil {
		t.Fatal(err)
	}
	collectUnacked(t, first, 2)
	first.Close()
	collect(t, w.intake(t), 2)
	eventually(t, "the intake is empty", func() bool { return w.state(t, stream.IntakeStream).Msgs == 0 })
}

func TestIntakeOutlivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := natsdtest.StartIn(t, natsd.Config{Dir: dir})
	w := world{Server: s, operator: natsdtest.JetStream(t, s, natsd.Operator), projector: natsdtest.JetStream(t, s, natsd.Projector)}
	in := w.intake(t)
	w.put(t, "rescind.events.acme.token.revoked", []byte("1"))
	collectUnacked(t, in, 1)
	w.Server = restart(t, s, dir)
	w.put(t, "rescind.events.acme.token.revoked", []byte("2"))
	want := map[string]bool{"1": true, "2": true}
	for len(want) > 0 {
		for _, m := range collect(t, in, 1) {
			delete(want, string(m.Message.Body))
		}
	}
}

// restart stops s and starts it again on its port.
func restart(t *testing.T, s *natsd.Server, dir string) *natsd.Server {
	t.Helper()
	port := portOf(t, s)
	natsdtest.Stop(t, s)
	return natsdtest.StartIn(t, natsd.Config{Dir: dir, Port: port})
}

// After a broken connection, what was not acknowledged comes at once, and what
// nobody had taken yet comes once.
func TestIntakeGoesOnAfterABrokenConnection(t *testing.T) {
	t.Parallel()
	w := bare(t)
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{ControlAckWait: time.Hour, AccessAckWait: time.Hour}); err != nil {
		t.Fatal(err)
	}
	proxy := natsdtest.Proxy(t, w.Server)
	w.projector = behind(t, proxy, w, natsd.Projector)
	in := w.intake(t)
	w.put(t, "rescind.events.acme.token.revoked", []byte("taken"))
	collectUnacked(t, in, 1)
	w.put(t, "rescind.events.acme.token.revoked", []byte("waiting"))
	eventually(t, "it has arrived", func() bool { c, _ := in.Waiting(); return c == 1 })
	proxy.Cut()
	w.put(t, "rescind.events.acme.token.revoked", []byte("after"))
	eventually(t, "all of it has arrived", func() bool { c, _ := in.Waiting(); return c >= 3 })
	got := map[string]int{}
	for got["after"] == 0 {
		for _, m := range collect(t, in, 1) {
			got[string(m.Message.Body)]++
		}
	}
	if len(got) != 3 || got["waiting"] != 1 {
		t.Fatalf("came after the cut: %v", got)
	}
	eventually(t, "the intake is empty", func() bool { return w.state(t, stream.IntakeStream).Msgs == 0 })
}

// behind connects through proxy.
func behind(t *testing.T, proxy *natsdtest.Faults, w world, role natsd.Role) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(proxy.URL(), append(natsd.Options(role, w.CredsFile(role)), nats.ReconnectWait(10*time.Millisecond))...)
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

func TestIntakeReadsBinaryModeHeadersInAnyCase(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	msg := nats.NewMsg("rescind.events.acme.token.issued")
	msg.Data = []byte(`{"iss":"https://id.example","jti":"j"}`)
	for k, v := range map[string]string{
		"ce-specversion": "1.0", "Ce-Id": "42", "ce-source": "s", "ce-type": string(events.TokenIssued), "ce-time": "2026-01-01T00:00:00Z",
		"ce-rescindenv": "dev", "content-type": "application/json",
	} {
		msg.Header[k] = []string{v}
	}
	if _, err := natsdtest.JetStream(t, w.Server, natsd.Issuer).PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	if got := w.ids(t, collect(t, in, 1)); got[0] != "42" {
		t.Fatalf("got id %q", got[0])
	}
}

func TestFullIntakeRefuses(t *testing.T) {
	t.Parallel()
	w := bare(t)
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{IntakeMaxBytes: 8 << 20}); err != nil {
		t.Fatal(err)
	}
	js := natsdtest.JetStream(t, w.Server, natsd.Issuer)
	var err error
	accepted := 0
	for range 20 {
		if _, err = js.Publish(t.Context(), "rescind.events.acme.token.issued", make([]byte, 1<<20)); err != nil {
			break
		}
		accepted++
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		t.Fatalf("publish to a full intake: %v", err)
	}
	if n := w.state(t, stream.IntakeStream).Msgs; n != uint64(accepted) {
		t.Fatalf("%d messages in the intake, %d accepted", n, accepted)
	}
}

func TestIntakeRefusesTooLargeAMessage(t *testing.T) {
	t.Parallel()
	w := start(t)
	js := natsdtest.JetStream(t, w.Server, natsd.Issuer)
	_, err := js.Publish(t.Context(), "rescind.events.acme.token.issued", make([]byte, envelope.MaxBytes+65<<10))
	if !errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum) {
		t.Fatalf("got %v", err)
	}
}

func TestClosedIntakeSaysSo(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	in.Close()
	if _, err := in.Next(t.Context(), events.Access, 1); !errors.Is(err, stream.ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

// What access is told of control: the last message before each, and nothing
// beyond.
func TestAccessIsToldOfTheControlBeforeIt(t *testing.T) {
	t.Parallel()
	w := start(t)
	in := w.intake(t)
	before := map[uint64]uint64{} // of an access message
	last := uint64(0)
	for i := range 30 {
		if i%3 == 2 {
			last = w.put(t, "rescind.events.acme.token.revoked", []byte("control"))
		} else {
			before[w.put(t, "rescind.events.acme.token.issued", []byte("access"))] = last
		}
	}
	for _, m := range collectUnacked(t, in, 30) {
		if want := before[m.Seq]; m.After != want {
			t.Errorf("seq %d: after %d, want %d", m.Seq, m.After, want)
		}
	}
}
