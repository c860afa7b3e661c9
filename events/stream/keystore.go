package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events/seal"
)

// maxAtomic is how many messages the server takes in one atomic batch.
const maxAtomic = 1000

// maxAsked is how many requests for single entries are under way at once.
const maxAsked = 64

// KeyStore keeps the entries of the keyring, one message an entry.
type KeyStore struct {
	js     jetstream.JetStream
	direct bool // the stream has one copy, which answers for many entries at once
}

var _ seal.Store = (*KeyStore)(nil)

// OpenKeyStore opens the keyring's stream that Ensure made. Whether the stream
// has replicas is asked here and not again: before a stream of one copy is
// given replicas, whoever holds a KeyStore has to stop, and to open it anew
// after. Otherwise Get may miss what was just written.
func OpenKeyStore(ctx context.Context, js jetstream.JetStream) (*KeyStore, error) {
	s, err := js.Stream(ctx, KeyringStream)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", KeyringStream, err)
	}
	return &KeyStore{js: js, direct: onlyCopy(s.CachedInfo().Config)}, nil
}

// Get is the values under those of keys that are there. It sees every Create
// and Erase that has returned. Of a stream with one copy it reads a thousand
// in a request; of one with replicas it asks the leader for each.
func (k *KeyStore) Get(ctx context.Context, keys ...string) (map[string][]byte, error) {
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
	}
	read := k.getEach
	if k.direct && len(keys) > 1 {
		read = k.getDirect
	}
	values, err := read(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("get %d keyring entries: %w", len(keys), err)
	}
	return values, nil
}

func (k *KeyStore) getDirect(ctx context.Context, keys []string) (map[string][]byte, error) {
	out := make(map[string][]byte, len(keys))
	for chunk := range slices.Chunk(keys, maxMulti) {
		subjects := make([]string, len(chunk))
		for i, key := range chunk {
			subjects[i] = keyringPrefix + key
		}
		values, err := multiLast(ctx, k.js.Conn(), KeyringStream, subjects)
		if err != nil {
			return nil, err
		}
		for subject, v := range values {
			out[strings.TrimPrefix(subject, keyringPrefix)] = v
		}
	}
	return out, nil
}

func (k *KeyStore) getEach(ctx context.Context, keys []string) (map[string][]byte, error) {
	var mu sync.Mutex
	out := make(map[string][]byte, len(keys))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsked)
	for _, key := range keys {
		g.Go(func() error {
			m, err := k.last(ctx, key)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			out[key] = m.Data
			return err
		})
	}
	return out, g.Wait()
}

// last asks the leader. The error wraps jetstream.ErrMsgNotFound where there is
// no such entry.
func (k *KeyStore) last(ctx context.Context, key string) (stored, error) {
	return get{LastFor: keyringPrefix + key}.from(ctx, k.js, KeyringStream)
}

// Create writes puts: up to 1000 at a time all or none, durable on return.
// Where one of them is there the error wraps seal.ErrExists.
func (k *KeyStore) Create(ctx context.Context, puts ...seal.Put) error {
	for _, p := range puts {
		if err := checkKey(p.Key); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(puts, maxAtomic) {
		err := k.create(ctx, chunk)
		switch {
		case wrongLast(err):
			return fmt.Errorf("create keyring entries: %w", seal.ErrExists)
		case err != nil:
			return fmt.Errorf("create keyring entries: %w", err)
		}
	}
	return nil
}

func (k *KeyStore) create(ctx context.Context, puts []seal.Put) error {
	if len(puts) == 1 {
		_, err := k.js.Publish(ctx, keyringPrefix+puts[0].Key, puts[0].Value,
			jetstream.WithExpectStream(KeyringStream), jetstream.WithExpectLastSequencePerSubject(0))
		return err
	}
	nc := k.js.Conn()
	m := atomicBatch()
	for i, p := range puts[:len(puts)-1] {
		m.set(i+1, p)
		if i > 0 {
			if err := nc.PublishMsg(m.Msg); err != nil {
				return err
			}
			continue
		}
		if err := commit(ctx, nc, m.Msg); err != nil { // the first is answered: the server has opened the batch
			return err
		}
	}
	m.set(len(puts), puts[len(puts)-1])
	m.Header.Set("Nats-Batch-Commit", "1")
	return commit(ctx, nc, m.Msg)
}

// batchMsg is each message of one atomic batch in turn. The server searches
// the headers of every message some thirty times, so it gets no byte more than
// it needs: the name of the stream only once.
type batchMsg struct{ *nats.Msg }

func atomicBatch() batchMsg {
	m := batchMsg{nats.NewMsg("")}
	m.Header.Set("Nats-Batch-Id", nuid.Next())
	m.Header.Set(jetstream.ExpectedStreamHeader, KeyringStream)
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	return m
}

// set makes it the message of p, seq-th of the batch, from 1.
func (m batchMsg) set(seq int, p seal.Put) {
	m.Subject, m.Data = keyringPrefix+p.Key, p.Value
	m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(seq))
	if seq > 1 {
		m.Header.Del(jetstream.ExpectedStreamHeader)
	}
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

// Erase removes key and has its message overwritten on the server's disk. What
// replicas keep in their Raft log stays until their next snapshot.
func (k *KeyStore) Erase(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	m, err := k.last(ctx, key)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("erase keyring entry: %w", err)
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	request := struct {
		Seq uint64 `json:"seq"`
	}{m.Seq}
	if err := ask(ctx, k.js, "$JS.API.STREAM.MSG.DELETE."+KeyringStream, request, &answer); err != nil {
		return fmt.Errorf("erase keyring entry: %w", err)
	}
	if answer.Error != nil {
		return k.eraseFailed(ctx, key, answer.Error)
	}
	return nil
}

// eraseFailed is nil where the entry is gone all the same: another was faster.
func (k *KeyStore) eraseFailed(ctx context.Context, key string, cause error) error {
	if _, err := k.last(ctx, key); errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	return fmt.Errorf("erase keyring entry: %w", cause)
}

// List is every key that begins with prefix, which is empty or ends with a
// dot, in no order.
func (k *KeyStore) List(ctx context.Context, prefix string) ([]string, error) {
	s, err := k.js.Stream(ctx, KeyringStream)
	if err != nil {
		return nil, fmt.Errorf("list keyring entries: %w", err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(keyringPrefix+prefix+">"))
	if err != nil {
		return nil, fmt.Errorf("list keyring entries: %w", err)
	}
	keys := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		keys = append(keys, strings.TrimPrefix(subject, keyringPrefix))
	}
	return keys, nil
}

// checkKey keeps wildcards out: they would name other entries.
func checkKey(key string) error {
	if key == "" || strings.ContainsAny(key, "*> \t\r\n") || strings.HasPrefix(key, ".") || strings.HasSuffix(key, ".") || strings.Contains(key, "..") {
		return errors.New("keyring entry: the key is not a name of dot-separated tokens")
	}
	return nil
}
