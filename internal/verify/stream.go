package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// message is one stored message of a stream.
type message struct {
	seq     uint64
	subject string
	at      time.Time // when the server stored it
	data    []byte
}

// info is what is asked of a stream before it is read.
type info struct {
	created  time.Time
	firstSeq uint64
	lastSeq  uint64
	now      time.Time // by the server's clock
}

const (
	answerWait    = 10 * time.Second
	batchMessages = 512
	batchBytes    = 8 << 20
	attempts      = 5
)

// source reads streams with direct gets alone: they need no consumer, and so
// no right that could be used to write.
type source struct{ conn *nats.Conn }

func (s source) info(ctx context.Context, stream string) (info, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	m, err := s.conn.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+stream, nil)
	if err != nil {
		return info{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	var answer struct {
		Created time.Time `json:"created"`
		Now     time.Time `json:"ts"`
		State   struct {
			First uint64 `json:"first_seq"`
			Last  uint64 `json:"last_seq"`
		} `json:"state"`
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return info{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	if answer.Error != nil {
		return info{}, fmt.Errorf("stream %s: %s", stream, answer.Error.Description)
	}
	return info{created: answer.Created, firstSeq: answer.State.First, lastSeq: answer.State.Last, now: answer.Now}, nil
}

// last is the last message of a subject, none where there is none.
func (s source) last(ctx context.Context, stream, subject string) (message, error) {
	question, err := json.Marshal(map[string]any{"last_by_subj": subject})
	if err != nil {
		return message{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	m, err := s.conn.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream, question)
	if err != nil {
		return message{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	var a answer
	if _, err := a.take(m); err != nil {
		return message{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	if len(a.got) == 0 {
		return message{}, nil
	}
	return a.got[0], nil
}

// walk gives each message of a subject from sequence from to last, in order.
// A message that is not there is left out: the caller sees it by the sequence.
func (s source) walk(ctx context.Context, stream, subject string, from, last uint64, each func(message) error) error {
	for from <= last {
		got, err := s.retry(ctx, stream, subject, from)
		if err != nil {
			return err
		}
		for _, m := range got {
			if m.seq > last {
				return nil
			}
			if err := each(m); err != nil {
				return err
			}
			from = m.seq + 1
		}
		if len(got) == 0 {
			return nil
		}
	}
	return nil
}

func (s source) retry(ctx context.Context, stream, subject string, from uint64) ([]message, error) {
	var err error
	for range attempts {
		var got []message
		if got, err = s.batch(ctx, stream, subject, from); err == nil {
			return got, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("read stream %s from seq=%d: %w", stream, from, err)
}

// batch asks for messages of the subject from sequence from on.
func (s source) batch(ctx context.Context, stream, subject string, from uint64) ([]message, error) {
	question, err := json.Marshal(map[string]any{"seq": from, "next_by_subj": subject, "batch": batchMessages, "max_bytes": batchBytes})
	if err != nil {
		return nil, err
	}
	inbox := s.conn.NewInbox()
	sub, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only where the connection is closed
	if err := s.conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, question); err != nil {
		return nil, err
	}
	var a answer
	for {
		m, err := nextMessage(ctx, sub)
		if err != nil {
			return nil, err
		}
		if done, err := a.take(m); done || err != nil {
			return a.got, err
		}
	}
}

func nextMessage(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

// answer is the messages of one answer so far. Each but the first names the
// one before it, so that one which is lost on the way is not taken for one
// that is not stored.
type answer struct{ got []message }

var errBroken = errors.New("the answer is not whole")

func (a *answer) take(m *nats.Msg) (done bool, err error) {
	switch status := m.Header.Get("Status"); status {
	case "":
		return false, a.add(m)
	case "204":
		last, err := strconv.ParseUint(m.Header.Get("Nats-Last-Sequence"), 10, 64)
		if err != nil || len(a.got) > 0 && a.got[len(a.got)-1].seq != last {
			return false, errBroken
		}
		return true, nil
	case "404":
		return true, nil
	default:
		return false, fmt.Errorf("status %s %s", status, m.Header.Get("Description"))
	}
}

func (a *answer) add(m *nats.Msg) error {
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return errBroken
	}
	if n := len(a.got); n > 0 && m.Header.Get("Nats-Last-Sequence") != strconv.FormatUint(a.got[n-1].seq, 10) {
		return errBroken
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return errBroken
	}
	a.got = append(a.got, message{seq: seq, subject: m.Header.Get("Nats-Subject"), at: at, data: m.Data})
	return nil
}
