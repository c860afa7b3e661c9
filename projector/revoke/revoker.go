package revoke

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
	"github.com/rescindhq/rescind/revocation"
)

// Revoker keeps the feed.
type Revoker struct {
	cfg     Config
	clock   clock
	deltas  deltas
	objects objects

	published, entries, snapshots, defects, takeovers atomic.Uint64
	head                                              atomic.Pointer[revocation.Head] // of the last delta
	active                                            atomic.Bool                     // since the first delta of a term
	reasons                                           reasons
}

// Stats is counts since the start, and where the feed stands.
type Stats struct {
	Active    bool              // whether this is the writer, and not standing by
	Deltas    uint64            // published, heartbeats among them
	Entries   uint64            // published
	Snapshots uint64            // stored
	Reasons   map[string]uint64 // revocations published, by events.ReasonLabel
	Defects   uint64            // records that ought to revoke but do not say what
	Takeovers uint64            // times that it became the writer
	Position  uint64            // index of the last record of the control lane that is in the feed, of the first shard
	LogSeq    uint64            // sequence of its batch; 0 where there is none

	ClockAhead time.Duration // of our clock before the NATS server's, as far as that is certain; below 0 it is behind
	ClockOff   bool          // whether that is more than Config.ClockSkew

	Others []revocation.Place // the same of the shards behind the first
}

// PositionOf is Position of a shard.
func (s Stats) PositionOf(shard uint16) uint64 {
	h := revocation.Head{Position: s.Position, Others: s.Others}
	return h.Place(shard).Position
}

// New is a Revoker. Run says what is wrong with cfg.
func New(cfg Config) *Revoker {
	cfg = cfg.withDefaults()
	return &Revoker{cfg: cfg, clock: clock{own: cfg.Now, skew: cfg.ClockSkew, log: cfg.Log}}
}

// Stats is what happened so far.
func (r *Revoker) Stats() Stats {
	s := Stats{Active: r.active.Load(), Deltas: r.published.Load(), Entries: r.entries.Load(), Snapshots: r.snapshots.Load(),
		Defects: r.defects.Load(), Takeovers: r.takeovers.Load(), Reasons: r.reasons.counts(), ClockAhead: r.clock.ahead()}
	s.ClockOff = r.clock.off(s.ClockAhead)
	if h := r.head.Load(); h != nil {
		s.Position, s.LogSeq, s.Others = h.Position, h.LogSeq, h.Others
	}
	return s
}

var (
	// errFenced means that another writer has published: nothing was.
	errFenced = errors.New("another writer has published")
	// errBack means that the time is an earlier one than before: what has left
	// meanwhile is to come back.
	errBack = errors.New("the time went back")
	// errFatal marks what no retry can mend.
	errFatal = errors.New("fatal")
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// Run keeps the feed until ctx is done, and then returns nil.
func (r *Revoker) Run(ctx context.Context) error {
	if err := r.cfg.Validate(); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	js, err := jetstream.New(r.cfg.Conn)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if r.deltas == nil {
		r.deltas = &deltaStream{js: js}
	}
	if r.objects == nil {
		r.objects = &bucket{js: js}
	}
	stop, err := r.serveKeys(ctx)
	if err != nil {
		return fmt.Errorf("revoke: serve feed keys: %w", err)
	}
	defer stop()
	return r.loop(ctx, js)
}

// loop is one term as the writer after another.
func (r *Revoker) loop(ctx context.Context, js jetstream.JetStream) error {
	for wait := minBackoff; ; {
		began := r.published.Load()
		err := r.term(ctx, js)
		r.active.Store(false)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errFatal), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, stream.ErrLogReplaced):
			return fmt.Errorf("revoke: %w", err)
		case errors.Is(err, errFenced):
			r.cfg.Log.Warn("revocation feed has another writer, standing by", "err", err)
			r.standBy(ctx)
			continue
		}
		if r.published.Load() > began {
			wait = minBackoff
		}
		r.cfg.Log.Warn("revocation feed interrupted", "err", err, "elapsed", wait)
		_ = sleep.For(ctx, wait)
		wait = min(2*wait, maxBackoff)
	}
}

// standBy returns when the feed has been silent for long enough, or what was
// there first was not another writer at all.
func (r *Revoker) standBy(ctx context.Context) {
	var seq uint64
	for since := r.cfg.Now(); ctx.Err() == nil; _ = sleep.For(ctx, r.cfg.Heartbeat) {
		end, err := r.deltas.Last(ctx)
		if err == nil {
			err = r.clock.hear(ctx, r.deltas.Time)
		}
		if err != nil {
			return // the next term finds out
		}
		if _, err := revocation.OpenDelta(r.public(), end.Data); err != nil {
			return
		}
		if end.Seq != seq {
			seq, since = end.Seq, r.cfg.Now()
		}
		if r.cfg.Now().Sub(since) >= r.cfg.StandbyFor {
			return
		}
	}
}

// term is one time as the writer: find out where the feed stands, then
// continue it until something is uncertain.
func (r *Revoker) term(ctx context.Context, js jetstream.JetStream) error {
	logs, err := r.logs(ctx, js)
	if err != nil {
		return err
	}
	if err := r.clock.hear(ctx, r.deltas.Time); err != nil { // before anything may leave
		return err
	}
	w, err := r.recover(ctx, js, logs)
	if err != nil {
		return err
	}
	r.takeovers.Add(1)
	r.cfg.Log.Info("revocation feed continues", "stream", stream.RevocationsStream, "seq", w.head.Seq, "last", w.head.Position, "count", w.set.Len())
	return w.run(ctx)
}

// logs opens those of all shards: one that is not read would be revocations that
// nobody is told of.
func (r *Revoker) logs(ctx context.Context, js jetstream.JetStream) ([]*stream.Log, error) {
	err := stream.CheckShards(ctx, js, r.cfg.Shards)
	if errors.Is(err, stream.ErrShards) {
		return nil, fmt.Errorf("%w: %w", errFatal, err)
	}
	if err != nil {
		return nil, err
	}
	return stream.OpenLogs(ctx, js, r.cfg.Shards)
}

// flushWait bounds what is done after Run was told to stop.
const flushWait = 5 * time.Second

// afterStop is a context that outlives ctx for as long as the last snapshot
// may take.
func afterStop(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), flushWait)
}

func (r *Revoker) note(h revocation.Head) { r.head.Store(&h) }
