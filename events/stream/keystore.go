package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/internal/sleep"
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
		answer, err := multiLast(ctx, k.js.Conn(), KeyringStream, subjects)
		if err != nil {
			return nil, err
		}
		for subject, v := range answer.data {
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

// maxBusy is how often a write is tried again because others were on their way,
// about ten seconds in all.
const maxBusy = 16

// expectedSubjectHeader names the subject of which the last sequence is
// expected, where that is not the message's own.
const expectedSubjectHeader = "Nats-Expected-Last-Subject-Sequence-Subject"

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
		if err := sleep.Backoff(ctx, failures); err != nil {
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
