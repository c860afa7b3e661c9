package verify

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/rescindhq/rescind/revocation"
)

// progress is how far a projector says that it has come.
type progress struct {
	recorded uint64 // by batches: the index below which everything is there
	searched uint64 // by searches: the index below which duplicates are marked
}

// progress asks how far the projector has come.
func (v *verifier) progress(ctx context.Context) (p progress, err error) {
	for query, at := range map[string]*uint64{
		"SELECT max(first + count) FROM batches WHERE shard = {shard:UInt16}": &p.recorded,
		"SELECT max(below) FROM searches WHERE shard = {shard:UInt16}":        &p.searched,
	} {
		if err := v.rows(ctx, query, nil, func(scan func(...any) error) error { return scan(at) }); err != nil {
			return p, fmt.Errorf("read position: %w", err)
		}
	}
	return p, nil
}

// position is the index below which what is not there is missing, and not to
// come yet. A projector searches only what it has recorded, so what it has
// searched was there, even where no batch says so any more.
func (v *verifier) position() uint64 { return max(v.at.recorded, v.at.searched, v.due.next) }

// checkSearched drops what a search says of records that no log has.
func (v *verifier) checkSearched(fresh uint64) {
	if v.at.searched > fresh {
		v.found.add(Difference{Place: Duplicates, Kind: Extra, Index: v.at.searched, Detail: fmt.Sprintf("a search of everything below is recorded, and the log ends at index %d", fresh)})
		v.at.searched = v.at.recorded
	}
}

// overdue names what is not projected as missing where it has had its time.
func (v *verifier) overdue(ctx context.Context) error {
	if v.events.lag == 0 {
		return nil
	}
	b, m, err := v.log.at(ctx, v.events.behind)
	if err != nil || b == nil {
		return err
	}
	v.since = m.at
	if v.cfg.age(v.since, v.began) > v.cfg.MaxLag {
		v.found.add(Difference{Place: Events, Kind: Missing, Index: v.events.behind, Last: v.log.next - 1,
			Detail: fmt.Sprintf("%d records are not projected, the first of them logged at %s: they may be late by %s", v.events.lag, v.since.UTC().Format(time.RFC3339), v.cfg.MaxLag)})
	}
	return nil
}

// age is how old a message was at some moment of this run, by when the server of
// the logs stored it: what a batch or a record says of itself goes by its
// writer's clock. A time more than a minute from now is wrong and excuses
// nothing.
func (c *Config) age(at, when time.Time) time.Duration {
	if at.Sub(c.Now()) > time.Minute {
		return math.MaxInt64
	}
	return when.Sub(at)
}

// timeOf is a time in reports, nil for none.
func timeOf(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// settle waits, where records above the position are in events, for the
// position to pass them: the projector records a batch right after its records.
func (v *verifier) settle(ctx context.Context) error {
	if v.events.reach == 0 || !v.wants(v.position()) {
		return nil
	}
	var now progress
	there, err := poll(ctx, v.cfg.Settle, func() (_ bool, err error) {
		now, err = v.progress(ctx)
		return now.recorded >= v.events.reach, err
	})
	if there || err != nil {
		return err
	}
	v.found.add(Difference{Place: Batches, Kind: Missing, Index: max(v.position(), now.recorded), Last: v.events.reach - 1,
		Detail: "records up to the last of these are in events, and no batch of them is recorded"})
	return nil
}

// poll asks until the answer is yes, at most that long.
func poll(ctx context.Context, most time.Duration, ask func() (bool, error)) (yes bool, err error) {
	tick := time.NewTicker(min(200*time.Millisecond, max(most, time.Millisecond)))
	defer tick.Stop()
	for deadline := time.Now().Add(most); ; {
		if yes, err := ask(); yes || err != nil || !time.Now().Before(deadline) {
			return yes, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// due is what the stores have to have, of a run that has waited for it.
type due struct {
	next    uint64 // index behind what is to be in the tables
	control uint64 // sequence of the batch that verifiers are to know
}

// await notes where the logs end, and waits until the stores are there or the
// time is up.
func (f *feed) await(ctx context.Context) error {
	if f.cfg.Wait == 0 {
		return nil
	}
	for _, shard := range f.cfg.Only {
		v := f.of[shard]
		last, err := v.source.last(ctx, logOf(shard), subjectOf(shard, "*"))
		if err != nil {
			return err
		}
		if b, err := decodeBatch(last.data); err == nil {
			v.due.next = b.Header.First + b.Header.Count
		}
		control, err := v.source.last(ctx, logOf(shard), subjectOf(shard, "control"))
		if err != nil {
			return err
		}
		v.due.control = control.seq
	}
	f.v.tell("what is on its way", 0, 0)
	_, err := poll(ctx, f.cfg.Wait, func() (bool, error) { return f.arrived(ctx) })
	return err
}

// arrived reports whether the stores have all that is due.
func (f *feed) arrived(ctx context.Context) (bool, error) {
	last, err := f.source.last(ctx, deltaStream, deltaSubject)
	if err != nil {
		return false, err
	}
	var head revocation.Head
	if d, err := revocation.OpenDelta(f.cfg.FeedKey, last.data); err == nil {
		head = d.Head
	}
	for _, shard := range f.cfg.Only {
		v := f.of[shard]
		at, err := v.progress(ctx)
		if err != nil || at.recorded < v.due.next || head.Place(shard).LogSeq < v.due.control {
			return false, err
		}
	}
	return true, nil
}

// late names the revocations that verifiers ought to know by now.
func (f *feed) late(v *verifier) {
	log := f.folds[v.shard]
	d := Difference{Place: Deltas, Kind: Missing, Shard: v.shard, Index: log.first}
	switch {
	case log.behind == 0:
	case log.owed > 0:
		d.Detail = fmt.Sprintf("%d revocations and lifts were not told to verifiers within %s", log.owed, f.cfg.Wait)
		f.add(d)
	case f.cfg.age(log.since, time.UnixMilli(log.now)) > f.cfg.MaxLag:
		d.Detail = fmt.Sprintf("%d revocations and lifts were not told to verifiers, the first of them logged at %s: they may be late by %s", log.behind, log.since.UTC().Format(time.RFC3339), f.cfg.MaxLag)
		f.add(d)
	}
}
