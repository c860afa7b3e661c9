package revoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// deltas is the stream of deltas.
type deltas interface {
	// Last is the newest message, whoever wrote it, as the stream's leader
	// knows it. Data is nil where no message is left; Seq is the stream's last
	// sequence all the same.
	Last(ctx context.Context) (last, error)
	// Publish stores data as the message after expectLast. errFenced means it
	// was not stored, as another message follows expectLast. After any other
	// error it may have been.
	Publish(ctx context.Context, data []byte, expectLast uint64) error
}

// objects is where snapshots are kept.
type objects interface {
	// Get is the newest snapshot. Any error means that there is none to be had.
	Get(ctx context.Context) ([]byte, error)
	// Put replaces it. Readers see the old one or the new one.
	Put(ctx context.Context, data []byte) error
}

// last is the end of the stream of deltas, and of the control lane.
type last struct {
	Feed    uint64 // when the stream of deltas was created, ns
	Seq     uint64
	Data    []byte
	Control uint64 // sequence of the last batch of the control lane; 0 where there is none
}

// requestWait bounds one request to the server.
const requestWait = 5 * time.Second

type deltaStream struct{ js jetstream.JetStream }

func (d *deltaStream) Last(ctx context.Context) (last, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	s, err := d.js.Stream(ctx, stream.RevocationsStream)
	if err != nil {
		return last{}, fmt.Errorf("open stream=%s: %w", stream.RevocationsStream, err)
	}
	info := s.CachedInfo()
	l := last{Feed: uint64(info.Created.UnixNano()), Seq: info.State.LastSeq}
	if info.State.Msgs == 0 {
		return l, nil
	}
	seq, data, err := lastMessage(ctx, d.js, stream.RevocationsStream, stream.RevocationsSubject)
	if err != nil {
		return last{}, err
	}
	if data != nil {
		l.Seq, l.Data = seq, data
	}
	return l, nil
}

// lastMessage asks the stream's leader: a direct get may be answered by a
// replica that is behind. No message gives no data.
func lastMessage(ctx context.Context, js jetstream.JetStream, name, subject string) (uint64, []byte, error) {
	question, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return 0, nil, err
	}
	reply, err := js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+name, question)
	if err != nil {
		return 0, nil, fmt.Errorf("get last stream=%s: %w", name, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq  uint64 `json:"seq"`
			Data []byte `json:"data"`
		} `json:"message"`
	}
	switch err := json.Unmarshal(reply.Data, &answer); {
	case err != nil:
		return 0, nil, fmt.Errorf("get last stream=%s: %w", name, err)
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return 0, nil, nil
	case answer.Error != nil:
		return 0, nil, fmt.Errorf("get last stream=%s: %w", name, answer.Error)
	}
	return answer.Message.Seq, append([]byte{}, answer.Message.Data...), nil
}

func (d *deltaStream) Publish(ctx context.Context, data []byte, expectLast uint64) error {
	_, err := d.js.Publish(ctx, stream.RevocationsSubject, data,
		jetstream.WithExpectStream(stream.RevocationsStream), jetstream.WithExpectLastSequence(expectLast))
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return fmt.Errorf("publish stream=%s after=%d: %w", stream.RevocationsStream, expectLast, errFenced)
	}
	if err != nil {
		return fmt.Errorf("publish stream=%s after=%d: %w", stream.RevocationsStream, expectLast, err)
	}
	return nil
}

// chunkSize is one message of a snapshot.
const chunkSize = 512 << 10

type bucket struct{ js jetstream.JetStream }

func (b *bucket) Get(ctx context.Context) ([]byte, error) {
	store, err := b.js.ObjectStore(ctx, stream.SnapshotBucket)
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", stream.SnapshotBucket, err)
	}
	return store.GetBytes(ctx, revocation.SnapshotObject)
}

func (b *bucket) Put(ctx context.Context, data []byte) error {
	store, err := b.js.ObjectStore(ctx, stream.SnapshotBucket)
	if err != nil {
		return fmt.Errorf("open object store %s: %w", stream.SnapshotBucket, err)
	}
	meta := jetstream.ObjectMeta{Name: revocation.SnapshotObject, Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunkSize}}
	if _, err := store.Put(ctx, meta, bytes.NewReader(data)); err != nil {
		return fmt.Errorf("put snapshot: %w", err)
	}
	return nil
}

// lastControl is the sequence of the last batch of the control lane, 0 where
// there is none.
func lastControl(ctx context.Context, js jetstream.JetStream) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	seq, _, err := lastMessage(ctx, js, stream.LogStream, stream.LogSubject(events.Control))
	return seq, err
}
