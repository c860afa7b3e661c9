package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
)

// Log is the log as a follower needs it: *stream.Log.
type Log interface {
	// Read begins at sequence from and yields the batches of the given lanes
	// in order and without gaps, for ever.
	Read(ctx context.Context, from uint64, lanes ...events.Lane) (*stream.Reader, error)

	// LastOf is the last message of a lane, Seq 0 where there is none. It sees
	// every message that is durable when it is called.
	LastOf(ctx context.Context, lane events.Lane) (stream.LogMessage, error)

	// Get is one message. It sees every message that is durable when it is
	// called; the error wraps stream.ErrNotFound where there is none.
	Get(ctx context.Context, seq uint64) (stream.LogMessage, error)
}

// Config is what a Follower needs.
type Config struct {
	// Log is what is followed: the log of the first shard. Required.
	Log Log

	// Others are the logs of the shards behind the first, in their order.
	Others []Log

	// Recent is how many of the last records Wait still finds after they were
	// handled, 40 bytes each. Default 65,536; 1 to 16,777,216. A caller that
	// waits for a record older than that waits until its context ends.
	Recent int

	// Retry is the first pause after the log could not be read; it doubles up
	// to 30 times that. Default 100 ms; above 0.
	Retry time.Duration

	// Logger. Default slog.Default.
	Logger *slog.Logger
}

const (
	defaultRecent = 1 << 16
	maxRecent     = 1 << 24
	readBytes     = 4 << 20 // of batches that are read at once
)

func (c *Config) defaults() {
	if c.Recent == 0 {
		c.Recent = defaultRecent
	}
	if c.Retry == 0 {
		c.Retry = 100 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c.defaults()
	var faults []error
	if c.Log == nil || slices.Contains(c.Others, nil) {
		faults = append(faults, errors.New("log is missing"))
	}
	if c.Recent < 1 || c.Recent > maxRecent {
		faults = append(faults, fmt.Errorf("recent %d: want 1 to %d", c.Recent, maxRecent))
	}
	if c.Retry < 0 {
		faults = append(faults, fmt.Errorf("retry %s: want more than 0", c.Retry))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("lane: %w", err)
	}
	return nil
}

// Entry is one control record.
type Entry struct {
	Shard  uint16
	Index  uint64 // in the log of the shard
	Record *events.Record
	Sealed []byte // the sealed personal part; nil where there is none
	Place  Place
}

// Place is where the batch of a record stands.
type Place struct {
	Seq  uint64      // in the stream of the log
	Size uint64      // of the tree, with the batch in it
	Root events.Hash // of that tree
}

// Follower follows the control lane of every shard.
type Follower struct {
	cfg   Config
	tails []*tail // of each shard, in their order

	handlers []func(Entry) // set before Run
	handling sync.Mutex    // one record at a time

	mu      sync.Mutex    // for the rest, and for what tail says
	moved   chan struct{} // closed when the next of a tail changes
	recent  map[events.Ref]uint64
	order   []events.Ref // ring of the keys of recent, the oldest at turn
	turn    int
	waiting map[events.Ref][]chan uint64
}

// tail is where a follower is in the log of one shard.
type tail struct {
	shard uint16
	log   Log

	// Of its goroutine, which changes them under the follower's mutex.
	next     uint64 // stream sequence to read from
	position uint64
	any      bool
}

// New is a follower that has read nothing yet.
func New(cfg Config) (*Follower, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.defaults()
	f := &Follower{
		cfg: cfg, moved: make(chan struct{}),
		recent: make(map[events.Ref]uint64), waiting: make(map[events.Ref][]chan uint64),
	}
	for k, log := range append([]Log{cfg.Log}, cfg.Others...) {
		f.tails = append(f.tails, &tail{shard: uint16(k), log: log, next: 1})
	}
	return f, nil
}

// Handle registers a projection. It must not be called once Run was.
func (f *Follower) Handle(fn func(Entry)) { f.handlers = append(f.handlers, fn) }

// Run follows the lane until ctx ends, then returns nil; or until a log holds
// what cannot be a batch, then it says so.
func (f *Follower) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range f.tails {
		g.Go(func() error { return f.run(ctx, t) })
	}
	return g.Wait()
}

func (f *Follower) run(ctx context.Context, t *tail) error {
	pause := f.cfg.Retry
	for {
		before := t.next
		err := f.follow(ctx, t)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errBroken), errors.Is(err, stream.ErrLogReplaced):
			return err
		case t.next > before:
			pause = f.cfg.Retry
		}
		f.cfg.Logger.WarnContext(ctx, "control lane interrupted", slog.Int("shard", int(t.shard)), slog.Uint64("seq", before), slog.Any("err", err))
		if sleep.For(ctx, pause) != nil {
			return nil
		}
		pause = min(2*pause, 30*f.cfg.Retry)
	}
}

// errBroken says that a batch of the log cannot be decoded.
var errBroken = errors.New("the log holds what is no batch")

func (f *Follower) follow(ctx context.Context, t *tail) error {
	r, err := t.log.Read(ctx, t.next, events.Control)
	if err != nil {
		return fmt.Errorf("read control lane shard=%d from seq=%d: %w", t.shard, t.next, err)
	}
	defer r.Close()
	for {
		msgs, err := r.Next(ctx, readBytes)
		if err != nil {
			return fmt.Errorf("read control lane shard=%d at seq=%d: %w", t.shard, t.next, err)
		}
		for _, m := range msgs {
			if err := f.handle(t, m); err != nil {
				return fmt.Errorf("control lane shard=%d seq=%d: %w: %w", t.shard, m.Seq, errBroken, err)
			}
			f.advance(t, m.Seq+1)
		}
	}
}

func (f *Follower) advance(t *tail, next uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.next = next
	close(f.moved)
	f.moved = make(chan struct{})
}

func (f *Follower) handle(t *tail, m stream.LogMessage) error {
	b, err := t.batch(m)
	if err != nil {
		return err
	}
	place := Place{Seq: m.Seq, Size: b.Header.Size, Root: b.Header.Root}
	for i, item := range b.Items {
		r, err := events.UnmarshalRecord(item.Record)
		if err != nil {
			return fmt.Errorf("index %d: %w", b.Header.First+uint64(i), err)
		}
		f.apply(t, Entry{Shard: t.shard, Index: b.Header.First + uint64(i), Record: r, Sealed: item.Sealed, Place: place})
	}
	return nil
}

func (t *tail) batch(m stream.LogMessage) (*events.Batch, error) {
	b, err := events.UnmarshalBatch(m.Data)
	if err == nil && b.Header.Shard != t.shard {
		err = fmt.Errorf("it is of shard %d", b.Header.Shard)
	}
	return b, err
}

// Record reads a record again that the handlers were given: seq is that of its
// Place.
func (f *Follower) Record(ctx context.Context, shard uint16, seq, index uint64) (*events.Record, error) {
	if int(shard) >= len(f.tails) {
		return nil, fmt.Errorf("read index %d of shard %d: there is no such shard", index, shard)
	}
	t := f.tails[shard]
	m, err := t.log.Get(ctx, seq)
	if err != nil {
		return nil, fmt.Errorf("read index %d of shard %d: %w", index, shard, err)
	}
	b, err := t.batch(m)
	if err == nil && (index < b.Header.First || index > b.Header.Last()) {
		err = fmt.Errorf("it is not in seq=%d", seq)
	}
	if err != nil {
		return nil, fmt.Errorf("read index %d of shard %d: %w", index, shard, err)
	}
	return events.UnmarshalRecord(b.Items[index-b.Header.First].Record)
}

func (f *Follower) apply(t *tail, e Entry) {
	f.handling.Lock()
	for _, fn := range f.handlers {
		fn(e)
	}
	f.handling.Unlock()
	ref := e.Record.Ref()
	f.mu.Lock()
	defer f.mu.Unlock()
	t.position, t.any = e.Index, true
	f.remember(ref, e.Index)
	for _, c := range f.waiting[ref] {
		c <- e.Index // has room for it
	}
	delete(f.waiting, ref)
}

// remember keeps the index of ref, in the place of the oldest.
func (f *Follower) remember(ref events.Ref, index uint64) {
	if len(f.order) < f.cfg.Recent {
		f.order = append(f.order, ref)
	} else {
		delete(f.recent, f.order[f.turn])
		f.order[f.turn] = ref
		f.turn = (f.turn + 1) % len(f.order)
	}
	f.recent[ref] = index
}

// Wait returns the index, in the log of its shard, of the event ref once all handlers have seen it,
// or the error of ctx.
func (f *Follower) Wait(ctx context.Context, ref events.Ref) (uint64, error) {
	c := make(chan uint64, 1)
	f.mu.Lock()
	index, found := f.recent[ref]
	if !found {
		f.waiting[ref] = append(f.waiting[ref], c)
	}
	f.mu.Unlock()
	if found {
		return index, nil
	}
	select {
	case index := <-c:
		return index, nil
	case <-ctx.Done():
		f.forget(ref, c)
		return 0, fmt.Errorf("wait for a record: %w", ctx.Err())
	}
}

func (f *Follower) forget(ref events.Ref, c chan uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.waiting[ref][:0]
	for _, w := range f.waiting[ref] {
		if w != c {
			kept = append(kept, w)
		}
	}
	if len(kept) == 0 {
		delete(f.waiting, ref)
		return
	}
	f.waiting[ref] = kept
}

// Sync waits until the handlers have seen every control record that was on the
// logs when it was called.
func (f *Follower) Sync(ctx context.Context) error {
	ends := make([]uint64, len(f.tails))
	for k, t := range f.tails {
		last, err := t.log.LastOf(ctx, events.Control)
		if err != nil {
			return fmt.Errorf("end of control lane shard=%d: %w", t.shard, err)
		}
		ends[k] = last.Seq
	}
	for k, t := range f.tails {
		if err := f.reach(ctx, t, ends[k]); err != nil {
			return err
		}
	}
	return nil
}

// reach waits until the handlers have seen the batch with sequence last.
func (f *Follower) reach(ctx context.Context, t *tail, last uint64) error {
	for {
		f.mu.Lock()
		next, moved := t.next, f.moved
		f.mu.Unlock()
		if next > last {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("reach control lane shard=%d seq=%d at seq=%d: %w", t.shard, last, next, ctx.Err())
		}
	}
}

// Position is the index of the last control record of the first shard that was
// handled, and whether there was one.
func (f *Follower) Position() (uint64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tails[0].position, f.tails[0].any
}
