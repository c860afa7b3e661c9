package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/workload"
)

// IngestConfig says how much to ingest.
type IngestConfig struct {
	// Dir is a folder for the stack; its contents can be thrown away after.
	Dir string
	// Events a run. Default 50,000.
	Events int
	// Runs of each figure. Default 3.
	Runs int
	// Subjects is how many people there are. Default 100,000.
	Subjects uint64
	// Progress takes lines for people. nil discards.
	Progress func(string)
}

func (c IngestConfig) withDefaults() IngestConfig {
	if c.Events == 0 {
		c.Events = 50_000
	}
	if c.Runs == 0 {
		c.Runs = 3
	}
	if c.Subjects == 0 {
		c.Subjects = 100_000
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// singles is how many events a run of one synchronous publisher takes, and how
// often a lone event is timed.
const (
	singles = 500
	lone    = 40
)

// Ingest measures the way of an event from the publisher to a row.
func Ingest(ctx context.Context, cfg IngestConfig) (*Report, error) {
	cfg = cfg.withDefaults()
	r, err := newRig(ctx, cfg.Dir, cfg.Progress)
	if err != nil {
		return nil, err
	}
	defer r.close()
	b := &ingest{rig: r, cfg: cfg}
	report := &Report{Machine: machine()}
	for _, measure := range []func(context.Context) (Result, error){b.batches, b.single, b.alone} {
		result, err := measure(ctx)
		if err != nil {
			return nil, err
		}
		report.Results = append(report.Results, result)
	}
	return report, nil
}

type ingest struct {
	*rig
	cfg  IngestConfig
	seed uint64
}

// next is a generator that no run has used.
func (b *ingest) next() *workload.Generator {
	b.seed++
	return workload.New(workload.Config{Seed: b.seed, Subjects: b.cfg.Subjects})
}

// batches is the rate of the SDK from the first publish until every row can be
// queried.
func (b *ingest) batches(ctx context.Context) (Result, error) {
	var ours, floor []float64
	for run := range b.cfg.Runs {
		evs := b.next().Batch(b.cfg.Events)
		bare, err := b.barePipe(ctx, evs)
		if err != nil {
			return Result{}, fmt.Errorf("bare pipe: %w", err)
		}
		rate, err := b.pipeline(ctx, evs)
		if err != nil {
			return Result{}, fmt.Errorf("sdk batches: %w", err)
		}
		b.cfg.Progress(fmt.Sprintf("ingest/sdk run %d: %.0f events/s, bare pipe %.0f", run+1, rate, bare))
		ours, floor = append(ours, rate), append(floor, bare)
	}
	return compare("ingest/sdk", "events/s", ours, "JetStream publish and consume of the same messages, insert of the same columns, at once", floor), nil
}

func (b *ingest) pipeline(ctx context.Context, evs []events.Event) (float64, error) {
	before, err := b.rows(ctx)
	if err != nil {
		return 0, err
	}
	pub, err := stream.NewPublisher(stream.PublisherConfig{Environment: dev.Environment, Conn: b.publisher, BatchEvents: sdkBatch})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	for _, ev := range evs {
		if err := pub.Queue(ctx, ev); err != nil {
			return 0, err
		}
	}
	if err := pub.Close(ctx); err != nil {
		return 0, err
	}
	if err := b.untilRows(ctx, before+uint64(len(evs))); err != nil {
		return 0, err
	}
	return float64(len(evs)) / time.Since(began).Seconds(), nil
}

// single is the rate of one publisher that waits for each event to be durable.
func (b *ingest) single(ctx context.Context) (Result, error) {
	pub, err := stream.NewPublisher(stream.PublisherConfig{Environment: dev.Environment, Conn: b.publisher})
	if err != nil {
		return Result{}, err
	}
	var ours, floor []float64
	for range b.cfg.Runs {
		evs := b.next().Batch(singles)
		bare, err := b.bareSingles(ctx, evs)
		if err != nil {
			return Result{}, fmt.Errorf("bare publish: %w", err)
		}
		began := time.Now()
		for _, ev := range evs {
			if err := pub.Publish(ctx, ev); err != nil {
				return Result{}, err
			}
		}
		ours = append(ours, singles/time.Since(began).Seconds())
		floor = append(floor, bare)
	}
	return compare("ingest/single", "events/s", ours, "JetStream publish of the same bytes, one at a time", floor), pub.Close(ctx)
}

// alone is the time from the acknowledgement of a lone event until its row can
// be queried.
func (b *ingest) alone(ctx context.Context) (Result, error) {
	pub, err := stream.NewPublisher(stream.PublisherConfig{Environment: dev.Environment, Conn: b.publisher})
	if err != nil {
		return Result{}, err
	}
	var ours, floor []float64
	gen := b.next()
	for range lone {
		ev := gen.Next()
		bare, err := b.bareRow(ctx, ev)
		if err != nil {
			return Result{}, fmt.Errorf("bare row: %w", err)
		}
		if err := pub.Publish(ctx, ev); err != nil {
			return Result{}, err
		}
		began := time.Now()
		if err := b.untilRow(ctx, ev.ID); err != nil {
			return Result{}, err
		}
		ours, floor = append(ours, milliseconds(time.Since(began))), append(floor, bare)
		if err := settle(ctx); err != nil {
			return Result{}, err
		}
	}
	return compare("ingest/lone", "ms", ours, "insert of the same columns in one row, and its query", floor), pub.Close(ctx)
}

// settle is a pause long enough for the next event to be alone.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(250 * time.Millisecond):
		return nil
	}
}

// sdkBatch is how many events the SDK puts into a message.
const sdkBatch = 500

// messages is evs as the SDK would send them: by type, sdkBatch a message.
func messages(evs []events.Event) ([]*nats.Msg, error) {
	byType := map[events.Type][]events.Event{}
	var out []*nats.Msg
	flush := func(t events.Type) error {
		body, err := events.MarshalEvents(byType[t])
		byType[t] = nil
		out = append(out, &nats.Msg{Subject: bareSubject, Header: nats.Header{"Content-Type": {events.ContentTypeBatch}}, Data: body})
		return err
	}
	for _, ev := range evs {
		if byType[ev.Type] = append(byType[ev.Type], ev); len(byType[ev.Type]) == sdkBatch {
			if err := flush(ev.Type); err != nil {
				return nil, err
			}
		}
	}
	for t, left := range byType {
		if len(left) > 0 {
			if err := flush(t); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
