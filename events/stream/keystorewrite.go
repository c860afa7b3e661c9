package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/internal/sleep"
)

// Create writes puts in their order, durable on return: a few one after the
// other, more of them up to 998 at a time all or none. Where one of them is
// there the error wraps seal.ErrExists, where unless is seal.ErrRetired.
func (k *KeyStore) Create(ctx context.Context, unless string, puts ...seal.Put) error {
	left, err := k.createFew(ctx, unless, puts)
	if err != nil {
		return fmt.Errorf("create keyring entries: %w", err)
	}
	writes := make([]write, len(left))
	for i, p := range left {
		writes[i] = write{p, 0}
	}
	for chunk := range slices.Chunk(writes, maxPuts) {
		if err := k.write(ctx, unless, chunk, seal.ErrExists); err != nil {
			return fmt.Errorf("create keyring entries: %w", err)
		}
	}
	return nil
}

// Replace writes up to 998 entries in place of those of their revisions, all or
// none.
func (k *KeyStore) Replace(ctx context.Context, unless string, entries ...seal.Stored) error {
	if len(entries) > maxPuts {
		return fmt.Errorf("replace keyring entries: %d, want at most %d", len(entries), maxPuts)
	}
	writes := make([]write, len(entries))
	for i, e := range entries {
		writes[i] = write{seal.Put{Key: e.Key, Value: e.Value}, e.Revision}
	}
	if len(writes) == 0 {
		return nil
	}
	if err := k.write(ctx, unless, writes, seal.ErrChanged); err != nil {
		return fmt.Errorf("replace keyring entries: %w", err)
	}
	return nil
}

// write is an entry to write where the last message of its subject has the
// sequence was: 0 where there is none.
type write struct {
	seal.Put
	was uint64
}

// write writes all or none, durable on return. The error wraps mismatch where
// another message was there than was expected.
func (k *KeyStore) write(ctx context.Context, unless string, writes []write, mismatch error) error {
	for _, w := range writes {
		if err := checkKey(w.Key); err != nil {
			return err
		}
	}
	for failures := 0; ; failures++ {
		err := k.attempt(ctx, unless, writes)
		switch {
		case !wrongLast(err):
			return err
		case busy(err) && failures < maxBusy: // nothing was written, and it does not say what is there
			if err := sleep.Backoff(ctx, failures); err != nil {
				return err
			}
			continue
		case busy(err):
			return err
		case unless == "":
			return mismatch
		}
		_, err = k.last(ctx, unless)
		switch {
		case err == nil:
			return seal.ErrRetired
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return mismatch
		default:
			return err
		}
	}
}

// busy reports that another message was on its way to the same subject, to all
// replicas, when the server refused.
func busy(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

func (k *KeyStore) attempt(ctx context.Context, unless string, writes []write) error {
	if len(writes) == 1 && unless == "" {
		_, err := k.put(ctx, writes[0].Put, jetstream.WithExpectLastSequencePerSubject(writes[0].was))
		return err
	}
	nc, m := k.js.Conn(), atomicBatch()
	if unless != "" {
		m.guard(unless)
		if err := m.send(ctx, nc); err != nil {
			return err
		}
	}
	for _, w := range writes[:len(writes)-1] {
		m.set(w)
		if err := m.send(ctx, nc); err != nil {
			return err
		}
	}
	m.set(writes[len(writes)-1])
	m.Header.Set("Nats-Batch-Commit", "1")
	return commit(ctx, nc, m.Msg)
}

// put writes one entry where the stream is as is expected, and returns its
// sequence.
func (k *KeyStore) put(ctx context.Context, p seal.Put, expected ...jetstream.PublishOpt) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWait) // the client would wait as long as the caller has
	defer cancel()
	ack, err := k.js.Publish(ctx, keyringPrefix+p.Key, p.Value, append(expected, jetstream.WithExpectStream(KeyringStream))...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// batchMsg is each message of one atomic batch in turn. The server searches
// the headers of every message some thirty times, so it gets no byte more than
// it needs: the name of the stream only once.
type batchMsg struct {
	*nats.Msg
	seq int // of the message, from 1
}

func atomicBatch() *batchMsg {
	m := &batchMsg{nats.NewMsg(""), 0}
	m.Header.Set("Nats-Batch-Id", nuid.Next())
	m.Header.Set(jetstream.ExpectedStreamHeader, KeyringStream)
	return m
}

func (m *batchMsg) next() {
	m.seq++
	m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(m.seq))
	if m.seq > 1 {
		m.Header.Del(jetstream.ExpectedStreamHeader)
		m.Header.Del(expectedSubjectHeader)
	}
}

// guard makes it a message that says nothing. The server takes it, and the batch
// with it, only as long as there is no entry named unless: it looks when it
// commits, however long the batch has been under way.
func (m *batchMsg) guard(unless string) {
	m.next()
	m.Subject, m.Data = KeyringGuard, nil
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	m.Header.Set(expectedSubjectHeader, keyringPrefix+unless)
}

// set makes it the message of w.
func (m *batchMsg) set(w write) {
	m.next()
	m.Subject, m.Data = keyringPrefix+w.Key, w.Value
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(w.was, 10))
}

// send sends a message that is not the last. The first is answered: the server
// has opened the batch.
func (m *batchMsg) send(ctx context.Context, nc *nats.Conn) error {
	if m.seq == 1 {
		return commit(ctx, nc, m.Msg)
	}
	return nc.PublishMsg(m.Msg)
}

// commit sends m and waits for the server's answer.
func commit(ctx context.Context, nc *nats.Conn, m *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	reply, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil || len(reply.Data) == 0 {
		return err
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return answer.Error
	}
	return nil
}
