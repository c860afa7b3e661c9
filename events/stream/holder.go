package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/rescindhq/rescind/internal/sleep"
)

// holderTTL is how long a holder of which nothing is heard is waited for.
const holderTTL = 10 * time.Second

// holderPrefix begins the names of the locks of holders, one each.
const holderPrefix = "holder-"

// Holder says of a process that it keeps people's keys in memory, so that
// whoever forgets somebody waits until it has dropped theirs. It does so by a
// lock of its own: a holder that is gone is waited for until that has lapsed.
type Holder struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	id    string
	ttl   time.Duration
	evict func(tenant, handle string)
	now   func() time.Time
	lock  atomic.Pointer[lock] // nil while others need not wait for us
}

// eviction is what a holder is asked to drop.
type eviction struct {
	Tenant string `json:"tenant"`
	Handle string `json:"handle"` // empty: everybody
}

// NewHolder is a holder that drops keys by evict, which must have dropped them
// when it returns; where the handle is empty, everybody's, of every tenant where
// that is empty too: so it is called each time before Live becomes true.
func NewHolder(nc *nats.Conn, evict func(tenant, handle string)) (*Holder, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("holder: %w", err)
	}
	return &Holder{nc: nc, js: js, id: nuid.Next(), ttl: holderTTL, evict: evict, now: time.Now}, nil
}

// Live reports whether whoever forgets somebody waits for this holder. As long
// as nobody does, it must not use what it keeps without asking the store.
func (h *Holder) Live() bool {
	l := h.lock.Load()
	return l != nil && !l.lapsed()
}

// Run answers and keeps the lock until ctx ends, then returns nil.
func (h *Holder) Run(ctx context.Context) error {
	sub, err := h.nc.Subscribe(LiveEvictions+"."+h.id, h.answer)
	if err != nil {
		return fmt.Errorf("holder: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only where the connection is closed
	for failures := 0; ctx.Err() == nil; failures++ {
		l, term, release, err := elect(ctx, h.js, holderPrefix+h.id, h.ttl, h.now)
		if err != nil {
			_ = sleep.Backoff(ctx, failures)
			continue
		}
		failures = 0
		h.evict("", "") // somebody may have been forgotten while nobody waited for us; who asks from now on is answered
		h.lock.Store(l)
		select {
		case <-term.Done():
		case <-ctx.Done():
		}
		h.lock.Store(nil)
		release()
	}
	return nil
}

func (h *Holder) answer(m *nats.Msg) {
	var e eviction
	if json.Unmarshal(m.Data, &e) != nil { // not of ours: nobody waits for it
		return
	}
	h.evict(e.Tenant, e.Handle)
	_ = m.Respond(nil) // whoever does not get it asks again
}

// askHolder is how long one holder's answer is waited for before it is asked
// again.
const askHolder = time.Second

// AwaitEviction returns when every holder that lives has dropped the key of the
// person whose fence is at that tenant and handle, or is gone: how many did. Where
// the handle is empty they drop everybody's.
func AwaitEviction(ctx context.Context, js jetstream.JetStream, tenant, handle string) (holders int, err error) {
	body, err := json.Marshal(eviction{tenant, handle})
	if err != nil {
		return 0, err
	}
	done := map[string]bool{}
	for failures := 0; ; failures++ {
		all, err := liveHolders(ctx, js)
		if err != nil {
			return len(done), fmt.Errorf("await eviction: %w", err)
		}
		missing := askHolders(ctx, js.Conn(), all, done, body)
		if missing == 0 {
			return len(done), nil
		}
		if err := sleep.Backoff(ctx, failures); err != nil {
			return len(done), fmt.Errorf("await eviction: %d of %d holders have not answered: %w", missing, len(all), err)
		}
	}
}

// askHolders asks those of all that are not done, at once, and says how many are
// missing.
func askHolders(ctx context.Context, nc *nats.Conn, all []string, done map[string]bool, body []byte) (missing int) {
	var mu sync.Mutex
	var asking sync.WaitGroup
	rest := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return done[id] }) // before anybody answers
	for _, id := range rest {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, askHolder)
			defer cancel()
			_, err := nc.RequestWithContext(ctx, LiveEvictions+"."+id, body)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				missing++
				return
			}
			done[id] = true
		})
	}
	asking.Wait()
	return missing
}

// liveHolders is the id of every holder whose lock has not lapsed.
func liveHolders(ctx context.Context, js jetstream.JetStream) (ids []string, err error) {
	s, err := js.Stream(ctx, LocksStream)
	if err != nil {
		return nil, err
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(LockSubjects))
	if err != nil {
		return nil, err
	}
	for subject := range info.State.Subjects {
		if id, ok := strings.CutPrefix(subject, lockPrefix+holderPrefix); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
