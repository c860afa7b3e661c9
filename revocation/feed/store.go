package feed

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// store reads what is stored of the feed, with direct gets alone: a consumer
// on the server could deliver to any subject, so verifiers may create none.
type store struct{ conn *nats.Conn }

// errUnreachable means that nothing was learnt, so that nothing changes but
// age.
var errUnreachable = errors.New("server does not answer")

const (
	getWait       = 2 * time.Second // for a message
	batchMessages = 512
	batchBytes    = 4 << 20
	maxSnapshot   = 8 << 30
)

const (
	directRevocations = "$JS.API.DIRECT.GET." + stream.RevocationsStream
	directObjects     = "$JS.API.DIRECT.GET.OBJ_" + stream.SnapshotBucket
	objectSubjects    = "$O." + stream.SnapshotBucket
)

// last is the last message of the stream of deltas, nil where there is none.
func (s store) last(ctx context.Context) ([]byte, error) {
	m, err := s.request(ctx, directRevocations+"."+stream.RevocationsSubject)
	if err != nil || m == nil {
		return nil, err
	}
	return m.Data, nil
}

// request asks for the last message of a subject, nil where there is none.
func (s store) request(ctx context.Context, subject string) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, getWait)
	defer cancel()
	m, err := s.conn.RequestWithContext(ctx, subject, nil)
	if err != nil {
		return nil, fmt.Errorf("get last stream=%s: %w: %w", stream.RevocationsStream, errUnreachable, err)
	}
	switch status := m.Header.Get("Status"); status {
	case "":
		return m, nil
	case "404":
		return nil, nil
	default:
		return nil, fmt.Errorf("get last stream=%s: %w: status %s", stream.RevocationsStream, errUnreachable, status)
	}
}

// after is messages of the stream of deltas behind seq, in order, the sequence
// of the last of them, and whether there are more.
func (s store) after(ctx context.Context, seq uint64) (data [][]byte, last uint64, more bool, err error) {
	got, err := s.batch(ctx, directRevocations, stream.RevocationsSubject, seq+1)
	if err != nil {
		return nil, seq, false, err
	}
	for _, m := range got.messages {
		data = append(data, m.Data)
	}
	return data, max(got.last, seq), got.more, nil
}

// Object describes a stored snapshot.
type Object struct {
	NUID    string `json:"nuid"`    // of its chunks
	Size    uint64 `json:"size"`    // bytes
	Digest  string `json:"digest"`  // SHA-256= and base64url, of all of it
	Deleted bool   `json:"deleted"` // then there is none
}

// snapshot is the newest snapshot as it was signed. It may be replaced once while
// it is read. The second time it is taken away and comes out short; the next
// attempt finds the new one.
func (s store) snapshot(ctx context.Context) ([]byte, error) {
	o, err := s.describe(ctx)
	if err != nil {
		return nil, err
	}
	return s.chunks(ctx, objectSubjects+".C."+o.NUID, o.Size)
}

func (s store) describe(ctx context.Context) (o Object, err error) {
	name := base64.URLEncoding.EncodeToString([]byte(revocation.SnapshotObject))
	m, err := s.request(ctx, directObjects+"."+objectSubjects+".M."+name)
	if err != nil {
		return o, err
	}
	if m == nil {
		return o, fmt.Errorf("get snapshot: %w", errEmpty)
	}
	if err := json.Unmarshal(m.Data, &o); err != nil || o.Deleted || o.Size > maxSnapshot {
		return o, fmt.Errorf("get snapshot: %w: not a snapshot's description", revocation.ErrFormat)
	}
	return o, nil
}

func (s store) chunks(ctx context.Context, subject string, size uint64) ([]byte, error) {
	var data []byte
	for next, more := uint64(1), true; more && uint64(len(data)) < size; {
		got, err := s.batch(ctx, directObjects, subject, next)
		if err != nil {
			return nil, err
		}
		for _, m := range got.messages {
			data = append(data, m.Data...)
		}
		next, more = got.last+1, got.more
	}
	if uint64(len(data)) != size {
		return nil, fmt.Errorf("get snapshot: %d of %d bytes: it was replaced twice meanwhile", len(data), size)
	}
	return data, nil
}

// got is the answer to a batched direct get.
type got struct {
	messages []*nats.Msg
	last     uint64 // sequence of the last message
	more     bool
}

// batch asks for messages of one subject from seq on.
func (s store) batch(ctx context.Context, direct, subject string, seq uint64) (got, error) {
	question, err := json.Marshal(map[string]any{"seq": seq, "next_by_subj": subject, "batch": batchMessages, "max_bytes": batchBytes})
	if err != nil {
		return got{}, err
	}
	inbox := s.conn.NewInbox()
	sub, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		return got{}, fmt.Errorf("get from seq=%d: %w: %w", seq, errUnreachable, err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only where the connection is closed
	if err := s.conn.PublishRequest(direct, inbox, question); err != nil {
		return got{}, fmt.Errorf("get from seq=%d: %w: %w", seq, errUnreachable, err)
	}
	var out got
	for {
		m, err := nextMessage(ctx, sub)
		if err != nil {
			return got{}, fmt.Errorf("get from seq=%d: %w: %w", seq, errUnreachable, err)
		}
		if done, err := out.add(m); done || err != nil {
			return out, err
		}
	}
}

func nextMessage(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, getWait)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

// add takes one message of the answer. It is done with the one that ends it.
func (g *got) add(m *nats.Msg) (done bool, err error) {
	switch status := m.Header.Get("Status"); status {
	case "":
		g.messages = append(g.messages, m)
		g.last, err = strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		return false, err
	case "204":
		pending := m.Header.Get("Nats-Num-Pending")
		g.more = pending != "" && pending != "0"
		return true, nil
	case "404":
		return true, nil
	default:
		return true, fmt.Errorf("direct get: %w: status %s", errUnreachable, status)
	}
}
