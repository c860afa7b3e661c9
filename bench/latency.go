package bench

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/workload"
)

const (
	// sampled is one event in how many whose way is timed.
	sampled = 200
	// tickEvery is how often the due events of a paced load are published.
	tickEvery = time.Millisecond
	// lookEvery is how often ClickHouse is asked how far it is: one row a batch
	// is read, and the answer makes latencies greater by it at most.
	lookEvery = 20 * time.Millisecond
)

// latency is the time until a row can be queried, under a load that comes when
// it is due and does not wait for what came before.
func (b *ingest) latency(ctx context.Context) error {
	rate, err := b.paceRate(ctx)
	if err != nil {
		return err
	}
	from, err := b.mark(ctx)
	if err != nil {
		return err
	}
	n := int(rate * b.cfg.Duration.Seconds())
	enough, looked := make(chan struct{}), make(chan lookout, 1)
	go func() { looked <- b.look(ctx, enough) }()
	load := &paced{gen: b.generator(time.Now(), time.Duration(float64(time.Second)/rate)), rate: rate}
	began := time.Now()
	err = b.pace(ctx, load, n)
	achieved := float64(n) / time.Since(began).Seconds()
	if err == nil {
		err = b.untilRows(ctx, from, uint64(n))
	}
	close(enough)
	seen := <-looked
	if err := errors.Join(err, seen.err); err != nil {
		return err
	}
	return b.addLatency(ctx, load, seen, achieved)
}

// paceRate is what was asked for, or half of what there can be.
func (b *ingest) paceRate(ctx context.Context) (float64, error) {
	if b.cfg.Rate > 0 {
		return b.cfg.Rate, nil
	}
	if b.max == 0 {
		var err error
		if b.max, err = b.pipeline(ctx, b.next(b.cfg.Events), b.cfg.Events); err != nil {
			return 0, err
		}
	}
	return max(1, b.max/2), nil
}

// paced is a load that is published at a rate.
type paced struct {
	gen  *workload.Generator
	rate float64

	mu     sync.Mutex
	timed  []*timed
	failed error
}

// timed is one event whose way is timed.
type timed struct {
	id         string
	due, acked time.Time
}

// pace publishes n events when they are due, those that are timed each by
// itself: they share the messages of the others.
func (b *ingest) pace(ctx context.Context, load *paced, n int) error {
	pub, err := b.sdk(sdkBatch)
	if err != nil {
		return err
	}
	defer b.narrate(ctx, func(ctx context.Context) (string, error) {
		return fmt.Sprintf("%.0f events/s", load.rate), nil
	})()
	var timing sync.WaitGroup
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	began := time.Now()
	for i := 0; i < n; {
		for due := int(time.Since(began).Seconds() * load.rate); i < min(due, n); i++ {
			at := began.Add(time.Duration(float64(i) / load.rate * float64(time.Second)))
			if err := load.publish(ctx, pub, &timing, i, at); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	timing.Wait()
	return errors.Join(load.failed, pub.Close(ctx))
}

func (p *paced) publish(ctx context.Context, pub *stream.Publisher, timing *sync.WaitGroup, i int, due time.Time) error {
	ev := p.gen.Next()
	ev.Time = due
	if i%sampled != 0 {
		return pub.Queue(ctx, ev)
	}
	timing.Go(func() {
		err := pub.Publish(ctx, ev)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.timed = append(p.timed, &timed{id: ev.ID, due: due, acked: time.Now()})
		p.failed = errors.Join(p.failed, err)
	})
	return nil
}

// lookout is what ClickHouse had recorded, time by time.
type lookout struct {
	at       []time.Time // of the answer
	position []uint64
	err      error
}

// look asks until it is enough, and once after that.
func (b *ingest) look(ctx context.Context, enough <-chan struct{}) (out lookout) {
	out.err = poll(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		last := false
		select {
		case <-enough:
			last = true
		default:
		}
		n, err := b.recorded(ctx)
		out.at, out.position = append(out.at, time.Now()), append(out.position, n)
		return last, err
	})
	return out
}

// after is when the record of that index was first seen to be recorded.
func (l *lookout) after(index uint64) (time.Time, bool) {
	i := sort.Search(len(l.position), func(i int) bool { return l.position[i] > index })
	if i == len(l.position) {
		return time.Time{}, false
	}
	return l.at[i], true
}

func (b *ingest) addLatency(ctx context.Context, load *paced, seen lookout, achieved float64) error {
	index, err := b.indices(ctx, load.timed)
	if err != nil {
		return err
	}
	var fromAck, fromDue []float64
	for _, t := range load.timed {
		i, there := index[t.id]
		visible, recorded := seen.after(i)
		if !there || !recorded {
			return fmt.Errorf("a timed event has no row: %w", errLost)
		}
		fromAck = append(fromAck, max(0, milliseconds(visible.Sub(t.acked))))
		fromDue = append(fromDue, milliseconds(visible.Sub(t.due)))
	}
	b.add(alone("latency/rate", "events/s", achieved))
	b.add(alone("latency/from_ack", "ms", fromAck...).withP99(fromAck))
	b.add(alone("latency/from_due", "ms", fromDue...).withP99(fromDue))
	return nil
}

// indices are the places in the log of those that were timed.
func (b *ingest) indices(ctx context.Context, of []*timed) (map[string]uint64, error) {
	ids := make([]string, len(of))
	for i, t := range of {
		ids[i] = t.id
	}
	rows, err := b.db.Query(ctx, "SELECT id, `index` FROM events WHERE id IN {ids:Array(String)}", clickhouse.Named("ids", ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]uint64{}
	for rows.Next() {
		var id string
		var index uint64
		if err := rows.Scan(&id, &index); err != nil {
			return nil, err
		}
		out[id] = index
	}
	return out, rows.Err()
}
