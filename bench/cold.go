package bench

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

// coldRuns is how often a verifier is started.
const coldRuns = 3

// cold is the time from starting a verifier that knows nothing until it calls a
// token active, with a snapshot of so many entries on a real server.
func (b *revoke) cold(ctx context.Context) (err error) {
	h, err := newHoard(ctx, filepath.Join(b.cfg.Dir, "cold"), b.cfg.Entries)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	var took []float64
	for range coldRuns {
		began := time.Now()
		if err := h.start(ctx); err != nil {
			return err
		}
		took = append(took, time.Since(began).Seconds())
	}
	b.add(alone(fmt.Sprintf("cold/start_%d", b.cfg.Entries), "s", took...))
	b.add(alone("cold/snapshot", "B/entry", float64(h.size)/float64(b.cfg.Entries)))
	return nil
}

// hoard is a server whose feed is one snapshot and one delta, and somebody who
// answers for the key.
type hoard struct {
	of      *workload.Revocations
	n       int
	size    int // of the snapshot
	server  *natsd.Server
	conn    *nats.Conn // as the projector
	signer  ed25519.PrivateKey
	current revocation.Head
}

func newHoard(ctx context.Context, dir string, n int) (_ *hoard, err error) {
	h := &hoard{of: workload.NewRevocations(time.Now()), n: n, signer: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	if h.server, err = natsd.Start(ctx, natsd.Config{Dir: dir}); err != nil {
		return nil, err
	}
	if err := h.fill(ctx); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	return h, nil
}

func (h *hoard) close(ctx context.Context) error {
	if h.conn != nil {
		h.conn.Close()
	}
	return h.server.Shutdown(context.WithoutCancel(ctx))
}

func (h *hoard) fill(ctx context.Context) error {
	operator, err := h.server.Connect(natsd.Operator)
	if err != nil {
		return err
	}
	defer operator.Close()
	admin, err := jetstream.New(operator)
	if err != nil {
		return err
	}
	if err := stream.Ensure(ctx, admin, stream.Topology{}); err != nil {
		return err
	}
	if h.conn, err = h.server.Connect(natsd.Projector); err != nil {
		return err
	}
	js, err := jetstream.New(h.conn)
	if err != nil {
		return err
	}
	if err := h.answerKeys(); err != nil {
		return err
	}
	sum, err := h.publish(ctx, js)
	if err != nil {
		return err
	}
	return h.store(ctx, js, sum)
}

// answerKeys answers verifiers until the connection ends.
func (h *hoard) answerKeys() error {
	_, err := h.conn.Subscribe(stream.FeedKeysSubject, func(m *nats.Msg) {
		page := new(revocation.KeysRequest).PageKeys([]events.FeedKey{h.of.Key})
		page.Time = time.Now().UnixMicro()
		body, signature, err := page.Sign(h.signer)
		if err != nil {
			return // the verifier asks again, and the benchmark ends in time
		}
		_ = m.RespondMsg(&nats.Msg{Data: body, Header: nats.Header{revocation.SignatureHeader: {base64.StdEncoding.EncodeToString(signature)}}})
	})
	if err != nil {
		return err
	}
	return h.conn.Flush()
}

// publish stores the delta that the snapshot reaches up to.
func (h *hoard) publish(ctx context.Context, js jetstream.JetStream) (events.Ref, error) {
	s, err := js.Stream(ctx, stream.RevocationsStream)
	if err != nil {
		return events.Ref{}, err
	}
	h.current = revocation.Head{Epoch: 1, Feed: uint64(s.CachedInfo().Created.UnixNano()), Seq: 1, Position: 1, LogSeq: 1, Time: time.Now().UnixMicro()}
	m, err := (&revocation.Delta{Head: h.current}).Sign(h.signer)
	if err != nil {
		return events.Ref{}, err
	}
	_, err = js.Publish(ctx, stream.RevocationsSubject, m)
	return revocation.Sum(m), err
}

// store stores the snapshot as the projector does.
func (h *hoard) store(ctx context.Context, js jetstream.JetStream, sum events.Ref) error {
	const chunkSize = 512 << 10
	data, err := h.of.Set(h.n).Snapshot(h.current, sum, h.signer)
	if err != nil {
		return err
	}
	h.size = len(data)
	info := jetstream.ObjectInfo{ObjectMeta: jetstream.ObjectMeta{Name: revocation.SnapshotObject}, Bucket: stream.SnapshotBucket, NUID: "bench", Size: uint64(len(data))}
	for at := 0; at < len(data); at += chunkSize {
		if _, err := js.Publish(ctx, "$O."+stream.SnapshotBucket+".C."+info.NUID, data[at:min(at+chunkSize, len(data))]); err != nil {
			return err
		}
	}
	meta, err := json.Marshal(info)
	if err != nil {
		return err
	}
	_, err = js.Publish(ctx, "$O."+stream.SnapshotBucket+".M."+base64.URLEncoding.EncodeToString([]byte(info.Name)), meta)
	return err
}

// start starts a verifier and returns when it calls a token active.
func (h *hoard) start(ctx context.Context) error {
	nc, err := h.server.Connect(natsd.Verifier)
	if err != nil {
		return err
	}
	defer nc.Close()
	const long = 5 * time.Minute // nobody signs heartbeats here
	f, stop, err := follow(ctx, feed.Config{Conn: nc, PublicKey: h.signer.Public().(ed25519.PublicKey), StaleAfter: long, QuietAfter: long})
	if err != nil {
		return err
	}
	defer stop()
	revoked, other := h.of.Claims(0), h.of.Claims(h.n)
	if f.Decide(revoked).State != revocation.Revoked || f.Decide(other).State != revocation.Active {
		return errWrong
	}
	return nil
}
