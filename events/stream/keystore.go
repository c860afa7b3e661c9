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

// maxAtomic is how many messages the server takes in one atomic batch, and
// maxPuts how many entries we put into one: there is room for the guard, and no
// pair of entries is torn in two.
const (
	maxAtomic = 1000
	maxPuts   = maxAtomic - 2
)

// maxAsked is how many requests for single entries are under way at once.
const maxAsked = 64

// KeyStore keeps the entries of the keyring, one message an entry.
type KeyStore struct {
	js     jetstream.JetStream
	direct bool // the stream has one copy, which answers for many entries at once
}

var (
	_ seal.Store     = (*KeyStore)(nil)
	_ seal.Revisions = (*KeyStore)(nil)
)

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

// Create writes puts: up to 998 at a time all or none, durable on return.
// Where one of them is there the error wraps seal.ErrExists, where unless is
// seal.ErrRetired.
func (k *KeyStore) Create(ctx context.Context, unless string, puts ...seal.Put) error {
	writes := make([]write, len(puts))
	for i, p := range puts {
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
			if err := pause(ctx, failures); err != nil {
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

// maxBusy is how often a write is tried again because others were on their way,
// about ten seconds in all.
const maxBusy = 16

// busy reports that another message was on its way to the same subject, to all
// replicas, when the server refused.
func busy(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

func (k *KeyStore) attempt(ctx context.Context, unless string, writes []write) error {
	if len(writes) == 1 && unless == "" {
		_, err := k.js.Publish(ctx, keyringPrefix+writes[0].Key, writes[0].Value,
			jetstream.WithExpectStream(KeyringStream), jetstream.WithExpectLastSequencePerSubject(writes[0].was))
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

// expectedSubjectHeader names the subject of which the last sequence is
// expected, where that is not the message's own.
const expectedSubjectHeader = "Nats-Expected-Last-Subject-Sequence-Subject"

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

// Erase removes key and has its message overwritten on the server's disk. What
// replicas keep in their Raft log stays until their next snapshot. A message that
// took its place meanwhile is removed, too.
func (k *KeyStore) Erase(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	var failed uint64 // the message that was not deleted when it was tried
	for range maxReplaced {
		m, err := k.last(ctx, key)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			if err = k.awaitGone(ctx, key); err == nil {
				return nil
			}
			if wrongLast(err) {
				continue
			}
			return fmt.Errorf("erase keyring entry: %w", err)
		case err != nil:
			return fmt.Errorf("erase keyring entry: %w", err)
		}
		err = k.delete(ctx, m.Seq)
		switch {
		case err == nil && k.direct:
			return nil
		case err != nil && m.Seq == failed:
			return fmt.Errorf("erase keyring entry: %w", err)
		case err != nil:
			failed = m.Seq
		}
	}
	return errors.New("erase keyring entry: others kept putting it back")
}

// awaitGone is nil once nothing is on its way to all replicas that would put the
// entry back: the leader takes a Replace while a delete is under way, and the two
// may come to pass in that order. It takes this message only where the entry is
// neither there nor coming.
func (k *KeyStore) awaitGone(ctx context.Context, key string) error {
	if k.direct { // the only copy does one after the other
		return nil
	}
	m := nats.NewMsg(KeyringGuard)
	m.Header.Set(expectedSubjectHeader, keyringPrefix+key)
	for failures := 0; ; failures++ {
		_, err := k.js.PublishMsg(ctx, m, jetstream.WithExpectStream(KeyringStream), jetstream.WithExpectLastSequencePerSubject(0))
		if !busy(err) || failures == maxBusy {
			return err
		}
		if err := pause(ctx, failures); err != nil {
			return err
		}
	}
}

// maxReplaced is how often an entry is looked for while it is erased: it may be
// replaced once for each epoch that begins meanwhile.
const maxReplaced = 8

func (k *KeyStore) delete(ctx context.Context, seq uint64) error {
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	request := struct {
		Seq uint64 `json:"seq"`
	}{seq}
	if err := ask(ctx, k.js, "$JS.API.STREAM.MSG.DELETE."+KeyringStream, request, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return answer.Error
	}
	return nil
}

// Before is some of the entries that were written before the entry named key, up
// to 500 at once. Of a stream with replicas the leader gives them.
func (k *KeyStore) Before(ctx context.Context, key string, from uint64) (entries []seal.Stored, next uint64, err error) {
	end, err := k.last(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, 0, fmt.Errorf("keyring entries before another: %w", seal.ErrNotFound)
	case err != nil:
		return nil, 0, fmt.Errorf("keyring entries before another: %w", err)
	}
	page, err := k.page(ctx, max(from, 1), end.Seq)
	if err != nil {
		return nil, 0, fmt.Errorf("keyring entries from revision %d: %w", from, err)
	}
	for _, m := range page {
		if m.Seq >= end.Seq {
			return entries, 0, nil
		}
		next = m.Seq + 1
		if key, ok := strings.CutPrefix(m.Subject, keyringPrefix); ok { // else it is the guard
			entries = append(entries, seal.Stored{Key: key, Value: m.Data, Revision: m.Seq})
		}
	}
	return entries, next, nil
}

// entriesPage is how many entries Before looks for at once.
const entriesPage = 500

// everySubject asks for the next message whatever its subject. With any other
// filter the server goes through all subjects of the stream.
const everySubject = ">"

// page is the messages from a sequence on, and none left out up to the last of
// them. It ends behind end at the latest, and is never empty as long as that is
// there. Each is asked for by itself: the server would count all that follow for
// each request of several, and with a million people that takes it half a second.
func (k *KeyStore) page(ctx context.Context, from, end uint64) (page []stored, err error) {
	if from > end {
		return nil, nil
	}
	first, err := k.next(ctx, from)
	if err != nil {
		return nil, err
	}
	page = make([]stored, 1, entriesPage)
	page[0] = first
	rest := make([]stored, min(entriesPage-1, end-min(first.Seq, end))) // most sequences are of a message
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsked)
	for i := range rest {
		g.Go(func() (err error) { rest[i], err = k.next(ctx, first.Seq+1+uint64(i)); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, m := range rest { // where one is missing, two have found the same
		if m.Seq > page[len(page)-1].Seq {
			page = append(page, m)
		}
	}
	return page, nil
}

// next is the first message from a sequence on.
func (k *KeyStore) next(ctx context.Context, from uint64) (stored, error) {
	question := get{Seq: from, NextFor: everySubject}
	if !k.direct {
		return question.from(ctx, k.js, KeyringStream)
	}
	body, err := json.Marshal(question)
	if err != nil {
		return stored{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	m, err := k.js.Conn().RequestWithContext(ctx, "$JS.API.DIRECT.GET."+KeyringStream, body)
	if err != nil {
		return stored{}, err
	}
	found, none, err := addNext(nil, m)
	if none {
		err = jetstream.ErrMsgNotFound
	}
	if err != nil {
		return stored{}, err
	}
	return found[0], nil
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
