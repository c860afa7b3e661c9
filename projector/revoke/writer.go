package revoke

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/revocation"
)

// writer is one term as the writer of the feed. All of it belongs to the
// goroutine of run, but for the set, which a snapshot reads as well.
type writer struct {
	r       *Revoker
	lanes   []*lane         // of each shard, in their order
	head    revocation.Head // the last delta
	sum     events.Ref      // its Sum; zero where a snapshot stands in for it
	last    uint64          // sequence of the last message: that of head, or of one behind it that is not ours
	set     *revocation.Set // what all deltas up to head amount to, or more
	pending []batch         // read from the logs, not published
	by      time.Time       // what has expired by then is gone: when this term began, then when head was signed
	left    time.Time       // by when entries have left verifiers too early; zero: none has
	beside  sync.WaitGroup  // what this term started beside run

	storing  bool      // a snapshot is being stored
	stored   time.Time // when the last was begun
	changed  bool      // since the last was begun
	finished chan bool // whether the one being stored was
}

// run continues the feed until ctx is done or something is uncertain.
func (w *writer) run(ctx context.Context) error {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx) // ends what this term started
	defer w.beside.Wait()
	defer w.close()
	defer cancel()
	w.finished = make(chan bool, 1)
	reads, failed := w.read(ctx)
	w.beside.Go(func() { w.r.watchClock(ctx) })
	beat := time.NewTicker(w.r.cfg.Heartbeat)
	defer beat.Stop()
	sweep := time.NewTicker(w.r.cfg.SweepEvery)
	defer sweep.Stop()
	w.snapshot(ctx)
	err := w.publish(ctx, w.pending)
	for err == nil {
		select {
		case batches := <-reads:
			beat.Reset(w.r.cfg.Heartbeat)
			if err = w.publish(ctx, batches); err == nil {
				w.snapshotIfDue(ctx)
			}
		case <-beat.C:
			if err = w.publish(ctx, nil); err == nil {
				w.snapshotIfDue(ctx)
			}
		case <-sweep.C:
			w.set.Sweep(w.by)
		case ok := <-w.finished:
			w.snapshotDone(ok)
		case err = <-failed:
		}
	}
	if outer.Err() != nil {
		w.lastSnapshot(outer)
	}
	return err
}

func (w *writer) close() {
	for _, l := range w.lanes {
		l.reader.Close()
	}
}

// read hands over what comes from the logs, one read of each ahead.
func (w *writer) read(ctx context.Context) (<-chan []batch, <-chan error) {
	reads, failed := make(chan []batch), make(chan error, len(w.lanes))
	for _, l := range w.lanes {
		w.beside.Go(func() { failed <- l.handOver(ctx, reads) })
	}
	return reads, failed
}

// handOver returns why it cannot go on.
func (l *lane) handOver(ctx context.Context, reads chan<- []batch) error {
	for {
		batches, err := l.next(ctx)
		if err != nil {
			return err
		}
		select {
		case reads <- batches:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// publish tells verifiers of batches: in as few deltas as they fit, at least
// one.
func (w *writer) publish(ctx context.Context, batches []batch) error {
	for {
		d := revocation.Delta{Head: w.head, Prev: w.head.Seq, PrevSum: w.sum}
		d.Seq = w.last + 1
		for len(batches) > 0 && len(d.Entries)+len(batches[0].entries) <= revocation.MaxDeltaEntries {
			d.Entries = append(d.Entries, w.living(batches[0].entries)...)
			d.Reach(batches[0].shard, batches[0].position, batches[0].seq)
			batches = batches[1:]
		}
		if err := w.send(ctx, &d); err != nil || len(batches) == 0 {
			return err
		}
	}
}

// living is entries that are not gone. They go by no later time than a delta
// says that is stored: whoever continues the feed can tell what has left.
func (w *writer) living(entries []revocation.Entry) []revocation.Entry {
	return slices.DeleteFunc(entries, func(e revocation.Entry) bool { return e.Expired(w.by) })
}

func (w *writer) send(ctx context.Context, d *revocation.Delta) error {
	now := w.r.clock.now()
	if w.by.Sub(now) > w.r.cfg.ClockSkew {
		return fmt.Errorf("%w: from %s to %s", errBack, w.by, now)
	}
	d.Time = now.UnixMicro()
	if err := w.announce(d); err != nil {
		w.r.cfg.Log.Warn("revocations not announced", "seq", d.Seq, "err", err)
	}
	data, err := d.Sign(w.r.cfg.Key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	if err := w.r.deltas.Publish(ctx, data, w.last); err != nil {
		return err
	}
	w.set.Apply(d.Entries...)
	w.head, w.sum, w.last, w.by = d.Head, revocation.Sum(data), d.Seq, now
	w.changed = w.changed || len(d.Entries) > 0
	w.r.active.Store(true)
	w.r.published.Add(1)
	w.r.entries.Add(uint64(len(d.Entries)))
	w.r.reasons.add(d.Entries)
	w.r.note(d.Head)
	if len(d.Entries) > 0 {
		w.r.cfg.Log.Info("delta published", "stream", stream.RevocationsStream, "seq", d.Seq, "last", d.Position, "count", len(d.Entries))
	}
	return nil
}

// announce has verifiers refuse what d revokes while d is being stored. It is
// in the log, so it is true whatever becomes of d: also where this writer was
// overtaken, or ends here.
func (w *writer) announce(d *revocation.Delta) error {
	data, err := d.Announce(w.r.cfg.Key)
	if err != nil || data == nil {
		return err
	}
	return w.r.deltas.Announce(data)
}

func (w *writer) snapshotIfDue(ctx context.Context) {
	age := w.r.cfg.Now().Sub(w.stored)
	if age >= w.r.cfg.RefreshEvery || w.changed && age >= w.r.cfg.SnapshotEvery {
		w.snapshot(ctx)
	}
}

// snapshot stores a snapshot beside the feed: packing and storing a large set
// takes longer than a revocation may wait. What is applied to the set meanwhile
// may be in it or not; entries commute, so a verifier may apply them again.
func (w *writer) snapshot(ctx context.Context) {
	if w.storing {
		return
	}
	head, sum := w.head, w.sum
	head.Time = w.by.UnixMicro()
	w.storing, w.changed, w.stored = true, false, w.r.cfg.Now()
	w.beside.Go(func() { w.finished <- w.r.store(ctx, w.set, head, sum) })
}

// snapshotDone notes how the one being stored ended. A failed one is begun
// anew with the next heartbeat: a verifier may be waiting for it.
func (w *writer) snapshotDone(ok bool) {
	w.storing = false
	if !ok {
		w.changed, w.stored = true, time.Time{}
	}
}

// lastSnapshot stores what was not when Run was told to stop.
func (w *writer) lastSnapshot(ctx context.Context) {
	ctx, cancel := afterStop(ctx)
	defer cancel()
	if w.storing {
		select {
		case ok := <-w.finished:
			w.snapshotDone(ok)
		case <-ctx.Done():
			return
		}
	}
	if w.changed {
		w.r.store(ctx, w.set, w.head, w.sum)
	}
}

func (r *Revoker) store(ctx context.Context, set *revocation.Set, head revocation.Head, sum events.Ref) bool {
	began := r.cfg.Now()
	data, err := set.Snapshot(head, sum, r.cfg.Key)
	if err == nil {
		err = r.objects.Put(ctx, data)
	}
	if err != nil {
		r.cfg.Log.Warn("snapshot not stored", "seq", head.Seq, "err", err)
		return false
	}
	r.snapshots.Add(1)
	r.cfg.Log.Info("snapshot stored", "seq", head.Seq, "last", head.Position, "count", set.Len(), "elapsed", r.cfg.Now().Sub(began))
	return true
}

func (r *Revoker) public() ed25519.PublicKey { return r.cfg.Key.Public().(ed25519.PublicKey) }
