package stream_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestSmoke(t *testing.T) {
	s := natsdtest.Start(t)
	ctx := t.Context()
	js := natsdtest.JetStream(t, s, natsd.Projector)
	iss := natsdtest.JetStream(t, s, natsd.Issuer)
	in, err := stream.OpenIntake(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, ty := range []events.Type{events.TokenIssued, events.TokenRevoked} {
		ack, err := iss.Publish(ctx, stream.EventSubject("acme", ty), []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		t.Log(ack.Sequence)
	}
	for n := 0; n < 2; {
		ms, err := in.Next(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			t.Log(m.Subject, m.Seq)
			if err := m.Ack(); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	op := natsdtest.JetStream(t, s, natsd.Operator)
	for {
		si, _ := op.Stream(ctx, stream.IntakeStream)
		if si.CachedInfo().State.Msgs == 0 {
			break
		}
	}
	l, err := stream.OpenLog(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := l.Append(ctx, events.Control, []byte("a"), 0)
	t.Log(seq, err)
	seq, err = l.Append(ctx, events.Control, []byte("a"), 0)
	t.Log(seq, err)
	seq, err = l.Append(ctx, events.Access, []byte("b"), 1)
	t.Log(seq, err)
	t.Log(l.Last(ctx))
	t.Log(l.Get(ctx, 1))
	t.Log(l.Get(ctx, 5))
	r, err := l.Read(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ms, err := r.Next(ctx, 1<<20)
	t.Log(ms, err)
	ks, err := stream.OpenKeyStore(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(ks.Create(ctx, seal.Put{"t.acme", []byte("x")}, seal.Put{"s.acme.1", []byte("y")}, seal.Put{"k.acme.1", []byte("y")}))
	t.Log(ks.Create(ctx, seal.Put{"t.acme2", []byte("x")}, seal.Put{"s.acme.1", []byte("y")}))
	t.Log(ks.Create(ctx, seal.Put{"t.acme", []byte("x")}))
	t.Log(ks.Get(ctx, "t.acme"))
	t.Log(ks.Get(ctx, "t.acme2"))
	t.Log(ks.List(ctx, ""))
	t.Log(ks.List(ctx, "s."))
	t.Log(ks.Erase(ctx, "s.acme.1"))
	t.Log(ks.Get(ctx, "s.acme.1"))
	t.Log(ks.Create(ctx, seal.Put{"s.acme.1", []byte("y")}))
	_ = jetstream.ErrBadRequest
}
