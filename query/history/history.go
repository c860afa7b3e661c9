package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/revocation"
)

// ErrFuture says that the log has not come as far as a moment.
var ErrFuture = errors.New("the log has not come that far")

// Moment is a time, or a position where that is not nil.
type Moment struct {
	Time     time.Time
	Position *uint64
}

// Keyring knows the feed keys: *seal.Keyring.
type Keyring interface {
	// LookupTenant wraps seal.ErrNotFound where the tenant was never seen.
	LookupTenant(ctx context.Context, tenant string) (*seal.Tenant, error)
}

// Lane is the control lane as it is followed: *lane.Follower.
type Lane interface {
	// Handle registers fn, which then sees every control record in order.
	Handle(fn func(lane.Entry))
	// Sync returns once fn has seen all that is on the logs now.
	Sync(ctx context.Context) error
}

// Config is what a History needs.
type Config struct {
	// Logs are the logs of all shards, in their order. Required.
	Logs []*stream.Log
	// Keys and Lane are required. The lane must not run before New was called.
	Keys Keyring
	Lane Lane
	// AtOnce is how many passes over the log go on at once; others wait.
	// Default 2.
	AtOnce int
}

// History decides as of the past.
type History struct {
	cfg    Config
	passes chan struct{} // has an element for each pass that goes on

	mu     sync.Mutex          // for the rest
	logged map[string][]uint32 // tenant -> the generations of its feed key on the log
}

// New is a history that follows cfg.Lane.
func New(cfg Config) (*History, error) {
	if len(cfg.Logs) == 0 || cfg.Keys == nil || cfg.Lane == nil {
		return nil, errors.New("history: logs, keys and lane are required")
	}
	if cfg.AtOnce <= 0 {
		cfg.AtOnce = 2
	}
	h := &History{cfg: cfg, passes: make(chan struct{}, cfg.AtOnce), logged: make(map[string][]uint32)}
	cfg.Lane.Handle(h.apply)
	return h, nil
}

// apply notes which feed keys the log speaks of: one of them may be destroyed, or
// newer than the keyring's cache.
func (h *History) apply(e lane.Entry) {
	v := e.Record.Revocation
	if v == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if of := h.logged[e.Record.Tenant]; !slices.Contains(of, v.FeedKey) {
		h.logged[e.Record.Tenant] = append(of, v.FeedKey)
	}
}

// Decide answers for c as of a moment, and says which that was.
func (h *History) Decide(ctx context.Context, c revocation.Claims, at Moment) (revocation.Decision, Moment, error) {
	d, at, err := h.decide(ctx, c, at)
	if err != nil {
		return revocation.Decision{}, at, fmt.Errorf("decide as of the past: %w", err)
	}
	return d, at, nil
}

func (h *History) decide(ctx context.Context, c revocation.Claims, at Moment) (revocation.Decision, Moment, error) {
	select {
	case h.passes <- struct{}{}:
	case <-ctx.Done():
		return revocation.Decision{}, at, ctx.Err()
	}
	defer func() { <-h.passes }()
	log := h.cfg.Logs[events.ShardOf(c.Tenant, len(h.cfg.Logs))]
	if at.Position != nil {
		var err error
		if at.Time, err = written(ctx, log, *at.Position); err != nil {
			return revocation.Decision{}, at, err
		}
	}
	p := &pass{claims: &c, at: at, set: revocation.NewSet(len(h.cfg.Logs)), unread: make(map[place]revocation.Entry)}
	if err := h.keys(ctx, p); err != nil {
		return revocation.Decision{}, at, err
	}
	if err := p.read(ctx, log); err != nil {
		return revocation.Decision{}, at, err
	}
	p.applyUnread()
	d := p.set.Decide(&c, at.Time)
	if d.Position = p.position; at.Position != nil {
		d.Position = *at.Position
	}
	return d, at, nil
}

// keys gives p the feed keys of its tenant, and says whether some of them may
// be gone.
func (h *History) keys(ctx context.Context, p *pass) error {
	if err := h.cfg.Lane.Sync(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	logged := slices.Clone(h.logged[p.claims.Tenant])
	h.mu.Unlock()
	t, err := h.cfg.Keys.LookupTenant(ctx, p.claims.Tenant)
	if err != nil && !errors.Is(err, seal.ErrNotFound) {
		return err
	}
	if err == nil {
		p.held = t.FeedKeys()
	}
	p.set.SetKeys(p.held)
	p.gone = slices.ContainsFunc(logged, func(g uint32) bool { return !p.holds(g) })
	p.hashes = p.set.AppendHashes(nil, p.claims)
	return nil
}

// pass is one reading of the log for one token.
type pass struct {
	claims *revocation.Claims
	at     Moment
	held   []events.FeedKey
	gone   bool         // whether a key may have been destroyed that was used
	hashes []events.Ref // what stands under the claims, under every key that is held
	set    *revocation.Set

	unread   map[place]revocation.Entry // made with a key that is gone, and neither expired nor lifted
	position uint64                     // index of the last record read
}

// place is what a lift names.
type place struct {
	hash  events.Ref
	index uint64
}

// maxUnread bounds what one pass keeps of entries that it cannot read. Of those beyond
// it, lifts are not seen: nothing is called active.
const maxUnread = 1 << 16

func (p *pass) holds(generation uint32) bool {
	for i := range p.held {
		if p.held[i].Generation == generation {
			return true
		}
	}
	return false
}

// readBytes bounds one read from the log.
const readBytes = 8 << 20

// read reads the control lane up to the moment.
func (p *pass) read(ctx context.Context, log *stream.Log) error {
	last, err := log.LastOf(ctx, events.Control)
	if err != nil || last.Seq == 0 {
		return err
	}
	r, err := log.Read(ctx, 1, events.Control)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		messages, err := r.Next(ctx, readBytes)
		if err != nil {
			return err
		}
		for _, m := range messages {
			behind, err := p.batch(log.Shard(), m.Data)
			if err != nil {
				return fmt.Errorf("stream=%s seq=%d: %w", log.Stream(), m.Seq, err)
			}
			if behind || m.Seq >= last.Seq {
				return nil
			}
		}
	}
}

// batch takes what is of the claims out of a batch. It reports whether the
// batch ends behind the moment.
func (p *pass) batch(shard uint16, data []byte) (behind bool, err error) {
	b, err := events.UnmarshalBatch(data)
	switch {
	case err != nil:
		return false, err
	case b.Header.Shard != shard:
		return false, fmt.Errorf("it is of shard %d", b.Header.Shard)
	case p.at.Position != nil && b.Header.First > *p.at.Position:
		return true, nil
	case p.at.Position == nil && time.UnixMicro(b.Header.Written).After(p.at.Time):
		return true, nil
	}
	p.position = b.Header.Last()
	if !p.mayConcern(data) {
		return false, nil
	}
	for i := range b.Items {
		index := b.Header.First + uint64(i)
		if p.at.Position != nil && index > *p.at.Position {
			return true, nil
		}
		if err := p.record(index, b.Items[i].Record); err != nil {
			return false, fmt.Errorf("index %d: %w", index, err)
		}
	}
	return false, nil
}

// mayConcern reports whether the batch has to be decoded. A hash that an entry
// stands under is in the encoding of its record, byte for byte, so a batch
// without any has nothing to say, unless a key is gone.
func (p *pass) mayConcern(data []byte) bool {
	if p.gone && bytes.Contains(data, []byte(p.claims.Tenant)) {
		return true
	}
	for i := range p.hashes {
		if bytes.Contains(data, p.hashes[i][:]) {
			return true
		}
	}
	return false
}

func (p *pass) record(index uint64, data []byte) error {
	r, err := events.UnmarshalRecord(data)
	if err != nil {
		return err
	}
	e, ok, err := revocation.EntryOf(r, index)
	if err != nil || !ok {
		return nil // what cannot be enforced was not
	}
	if p.isOf(e.Hash) {
		p.set.Apply(e)
	} else {
		p.note(e)
	}
	return nil
}

// note keeps in mind what of the tenant cannot be read, until it is lifted.
func (p *pass) note(e revocation.Entry) {
	at := place{e.Hash, e.Index}
	switch {
	case e.Lift:
		delete(p.unread, at)
	case e.Key.Tenant != p.claims.Tenant || p.holds(e.Key.Generation) || e.Expired(p.at.Time):
	case len(p.unread) < maxUnread:
		p.unread[at] = e
	default:
		p.unread[place{}] = e // which no lift names
	}
}

// applyUnread has the set know that something cannot be read: one entry is enough.
func (p *pass) applyUnread() {
	for _, e := range p.unread {
		p.set.Apply(e)
		return
	}
}

func (p *pass) isOf(hash events.Ref) bool {
	for i := range p.hashes {
		if p.hashes[i] == hash {
			return true
		}
	}
	return false
}

// written is when the batch that holds an index was written.
func written(ctx context.Context, log *stream.Log, index uint64) (time.Time, error) {
	last, err := log.Last(ctx)
	if err != nil {
		return time.Time{}, err
	}
	header := func(m stream.LogMessage) (events.Header, error) {
		b, err := events.UnmarshalBatch(m.Data)
		if err != nil {
			return events.Header{}, fmt.Errorf("stream=%s seq=%d: %w", log.Stream(), m.Seq, err)
		}
		return b.Header, nil
	}
	if last.Seq == 0 {
		return time.Time{}, ErrFuture
	}
	if h, err := header(last); err != nil || h.Last() < index {
		return time.Time{}, errors.Join(err, ErrFuture)
	}
	var found events.Header
	n := sort.Search(int(last.Seq), func(i int) bool {
		if err != nil {
			return true
		}
		var m stream.LogMessage
		if m, err = log.Get(ctx, uint64(i)+1); err != nil {
			return true
		}
		var h events.Header
		if h, err = header(m); err == nil && h.Last() >= index {
			found = h
		}
		return h.Last() >= index
	})
	if err != nil {
		return time.Time{}, err
	}
	if n == int(last.Seq) || found.First > index {
		return time.Time{}, fmt.Errorf("index %d is in no batch", index)
	}
	return time.UnixMicro(found.Written), nil
}
