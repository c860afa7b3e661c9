package bench

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/natsd"
)

// captured is what the SDK really sends while publish publishes, headers and
// all: floors send the same bytes, whatever the SDK makes of events. It sends
// them to a server of its own that keeps them in memory. Batches are full ones:
// the SDK lingers here, because smaller messages would make a slower floor.
func (r *rig) captured(ctx context.Context, batch int, publish func(*stream.Publisher) error) ([]*nats.Msg, error) {
	key, err := envelope.Generate(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	r.key = key
	ns, nc, err := startNATS(&server.Options{MaxPayload: natsd.MaxPayload, JetStream: true, StoreDir: filepath.Join(r.dir, "captured")})
	if err != nil {
		return nil, err
	}
	defer func() { nc.Close(); ns.Shutdown(); ns.WaitForShutdown() }()
	var msgs []*nats.Msg // of the subscription's goroutine until it is drained, as is seen
	seen, all := map[string]bool{}, make(chan struct{})
	sub, err := nc.Subscribe(stream.EventSubjects, func(m *nats.Msg) {
		if id := m.Header.Get(jetstream.MsgIDHeader); !seen[id] { // else sent again: the answer was late
			seen[id] = true
			msgs = append(msgs, &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
		}
	})
	if err != nil {
		return nil, err
	}
	sub.SetClosedHandler(func(string) { close(all) })
	if err := errors.Join(sub.SetPendingLimits(-1, -1), playIntake(ctx, nc), send(ctx, nc, r.key.PublicKey, batch, publish), sub.Drain()); err != nil {
		return nil, err
	}
	select {
	case <-all:
		return msgs, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// playIntake makes a stream that acknowledges in the intake's name.
func playIntake(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: stream.IntakeStream, Subjects: []string{stream.EventSubjects}, Storage: jetstream.MemoryStorage, MaxMsgs: 1,
	})
	return err
}

// captureLinger is as long as the SDK can linger.
const captureLinger = time.Second

func send(ctx context.Context, nc *nats.Conn, to envelope.PublicKey, batch int, publish func(*stream.Publisher) error) error {
	cfg := stream.PublisherConfig{Environment: dev.Environment, Conn: nc, BatchEvents: batch, Keys: func(context.Context) (envelope.Set, error) {
		return envelope.Set{Keys: []envelope.PublicKey{to}, Now: time.Now()}, nil
	}}
	if batch > 1 {
		cfg.Linger = captureLinger
	}
	pub, err := stream.NewPublisher(cfg)
	if err != nil {
		return err
	}
	return errors.Join(publish(pub), pub.Close(ctx))
}

// startNATS starts a server on loopback without accounts, and connects to it.
func startNATS(o *server.Options) (*server.Server, *nats.Conn, error) {
	o.Host, o.Port, o.NoLog, o.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	ns, err := server.NewServer(o)
	if err != nil {
		return nil, nil, err
	}
	go ns.Start()
	stop := func(err error) (*server.Server, *nats.Conn, error) {
		ns.Shutdown()
		ns.WaitForShutdown()
		return nil, nil, err
	}
	if !ns.ReadyForConnections(time.Minute) {
		return stop(errors.New("the bare server is not ready"))
	}
	nc, err := nats.Connect(ns.ClientURL())
	if err != nil {
		return stop(err)
	}
	return ns, nc, nil
}
