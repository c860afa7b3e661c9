package revoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// deltas is the stream of deltas.
type deltas interface {
	// Last is the newest message, whoever wrote it, as the stream's leader
	// knows it. Data is nil where no message is left; Seq is the stream's last
	// sequence all the same.
	Last(ctx context.Context) (last, error)
	// Time is what the server's clock says.
	Time(ctx context.Context) (time.Time, error)
	// Get is the message with the given sequence, nil where there is none.
	Get(ctx context.Context, seq uint64) ([]byte, error)
	// Publish stores data as the message after expectLast. errFenced means it
	// was not stored, as another message follows expectLast. After any other
	// error it may have been.
	Publish(ctx context.Context, data []byte, expectLast uint64) error
	// Announce hands data to the verifiers that listen now. It is stored
	// nowhere and may be lost.
	Announce(data []byte) error
}

// objects is where snapshots are kept.
type objects interface {
	// Get is the newest snapshot. Any error means that there is none to be had.
	Get(ctx context.Context) ([]byte, error)
	// Put replaces it. Readers see the old one or the new one, and who reads the
	// old one has until the next Put.
	Put(ctx context.Context, data []byte) error
}

// last is the end of the stream of deltas.
type last struct {
	Feed uint64 // when the stream was created, ns
	Seq  uint64
	Data []byte
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
	seq, data, err := message(ctx, d.js, stream.RevocationsStream, lastOf{stream.RevocationsSubject})
	if err != nil {
		return last{}, err
	}
	if data != nil {
		l.Seq, l.Data = seq, data
	}
	return l, nil
}

func (d *deltaStream) Time(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	s, err := d.js.Stream(ctx, stream.RevocationsStream)
	if err != nil {
		return time.Time{}, fmt.Errorf("open stream=%s: %w", stream.RevocationsStream, err)
	}
	at := s.CachedInfo().TimeStamp
	if at.IsZero() {
		return at, errNoTime
	}
	return at, nil
}

// errNoTime is what a NATS server before 2.10 makes.
var errNoTime = errors.New("the server does not say what time it is")

func (d *deltaStream) Get(ctx context.Context, seq uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	_, data, err := message(ctx, d.js, stream.RevocationsStream, at{seq})
	return data, err
}

// lastOf, nextOf and at are the questions that message can ask.
type (
	lastOf struct {
		Subject string `json:"last_by_subj"`
	}
	nextOf struct {
		Seq     uint64 `json:"seq"`
		Subject string `json:"next_by_subj"`
	}
	at struct {
		Seq uint64 `json:"seq"`
	}
)

// message asks the stream's leader: a direct get may be answered by a replica
// that is behind. No message gives no data.
func message(ctx context.Context, js jetstream.JetStream, name string, which any) (uint64, []byte, error) {
	question, err := json.Marshal(which)
	if err != nil {
		return 0, nil, err
	}
	reply, err := js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+name, question)
	if err != nil {
		return 0, nil, fmt.Errorf("get stream=%s: %w", name, err)
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
		return 0, nil, fmt.Errorf("get stream=%s: %w", name, err)
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return 0, nil, nil
	case answer.Error != nil:
		return 0, nil, fmt.Errorf("get stream=%s: %w", name, answer.Error)
	}
	return answer.Message.Seq, append([]byte{}, answer.Message.Data...), nil
}

func (d *deltaStream) Publish(ctx context.Context, data []byte, expectLast uint64) error {
	_, err := d.js.Publish(ctx, stream.RevocationsSubject, data,
		jetstream.WithExpectStream(stream.RevocationsStream), jetstream.WithExpectLastSequence(expectLast))
	if wrongLast(err) {
		return fmt.Errorf("publish stream=%s after=%d: %w", stream.RevocationsStream, expectLast, errFenced)
	}
	if err != nil {
		return fmt.Errorf("publish stream=%s after=%d: %w", stream.RevocationsStream, expectLast, err)
	}
	return nil
}

// wrongLast reports whether err says that another message was stored before.
func wrongLast(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

func (d *deltaStream) Announce(data []byte) error {
	if err := d.js.Conn().Publish(stream.LiveAnnouncements, data); err != nil {
		return fmt.Errorf("publish subject=%s: %w", stream.LiveAnnouncements, err)
	}
	return nil
}

// lastControl is the sequence of the last batch of the control lane of a shard,
// 0 where there is none.
func lastControl(ctx context.Context, js jetstream.JetStream, shard uint16) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	seq, _, err := message(ctx, js, stream.LogStreamOf(shard), lastOf{stream.LogSubjectOf(shard, events.Control)})
	return seq, err
}
