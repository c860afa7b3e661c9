package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// get is a request for one stored message that only the leader of the stream
// answers. The client library asks any replica where a stream allows direct
// gets, and a replica may not yet have what was acknowledged: a writer that
// recovers, and a fence that must be seen, need the leader.
type get struct {
	Seq     uint64 `json:"seq,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
}

// stored is a message as the leader returns it.
type stored struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

const requestWait = 5 * time.Second

// from asks the leader of stream. The error wraps jetstream.ErrMsgNotFound
// where the leader says that there is no such message.
func (g get) from(ctx context.Context, js jetstream.JetStream, stream string) (stored, error) {
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message stored              `json:"message"`
	}
	if err := ask(ctx, js, "$JS.API.STREAM.MSG.GET."+stream, g, &answer); err != nil {
		return stored{}, fmt.Errorf("get from stream %s: %w", stream, err)
	}
	switch e := answer.Error; {
	case e != nil && e.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return stored{}, fmt.Errorf("get from stream %s: %w", stream, jetstream.ErrMsgNotFound)
	case e != nil:
		return stored{}, fmt.Errorf("get from stream %s: %w", stream, e)
	}
	return answer.Message, nil
}

// ask sends question as JSON and reads the answer.
func ask(ctx context.Context, js jetstream.JetStream, subject string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	reply, err := js.Conn().RequestWithContext(ctx, subject, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(reply.Data, answer)
}

// wrongLast reports whether err says that another message was there first.
func wrongLast(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
