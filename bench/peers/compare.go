package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/workload"
)

// row is one figure of both.
type row struct {
	Figure   string   `json:"figure"`
	Unit     string   `json:"unit"`
	Rescind  measured `json:"rescind"`
	Postgres measured `json:"postgres"`
	Ratio    float64  `json:"ratio"` // Rescind / PostgreSQL
}

// measured is a rate or a size, or the median of times with their 99th
// percentile.
type measured struct {
	Value float64 `json:"value"`
	P99   float64 `json:"p99,omitempty"`
	N     int     `json:"n"`
}

// store is what is compared. Append returns when everything is durable and can
// be queried; the others once they have the whole answer.
type store interface {
	appendAll(ctx context.Context, gen *workload.Generator, n int) error
	appendOne(ctx context.Context, ev events.Event) error
	trail(ctx context.Context, q question) (rows int, err error)
	byToken(ctx context.Context, q question) (rows int, err error)
	count(ctx context.Context, q question) (rows int, err error)
	byIndex(ctx context.Context, q question) (rows int, err error)
	stored(ctx context.Context) (bytes float64, err error)
	close()
}

// question is about one event of those that were appended.
type question struct {
	subject, jti string
	kind         events.Type
	from, to     time.Time
	index        uint64
}

// step is the time between two events.
const step = 100 * time.Microsecond

// compare measures one after the other, so that neither disturbs the other.
func compare(ctx context.Context, cfg config) ([]row, error) {
	dir, err := os.MkdirTemp("", "rescind-peers-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	start := time.Now().Add(-time.Duration(cfg.events+cfg.singles)*step - time.Minute)
	ours, err := measure(ctx, cfg, start, "rescind", func() (store, error) { return startRescind(ctx, filepath.Join(dir, "rescind"), cfg) })
	if err != nil {
		return nil, err
	}
	theirs, err := measure(ctx, cfg, start, "postgres", func() (store, error) { return startPostgres(ctx, dir) })
	if err != nil {
		return nil, err
	}
	return beside(ours, theirs)
}

// figure is what one store measured, and what it answered.
type figure struct {
	name, unit string
	measured
	answers []int
}

func beside(ours, theirs []figure) ([]row, error) {
	rows := make([]row, len(ours))
	for i, o := range ours {
		t := theirs[i]
		if !slices.Equal(o.answers, t.answers) {
			return nil, fmt.Errorf("%s: the answers differ: %v and %v", o.name, o.answers, t.answers)
		}
		rows[i] = row{Figure: o.name, Unit: o.unit, Rescind: o.measured, Postgres: t.measured, Ratio: o.Value / t.Value}
	}
	return rows, nil
}

// measure takes the figures of one store.
func measure(ctx context.Context, cfg config, start time.Time, name string, open func() (store, error)) ([]figure, error) {
	s, err := open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer s.close()
	cfg.progress("%s: %d events in batches", name, cfg.events)
	gen := func(seed uint64) *workload.Generator {
		return workload.New(workload.Config{Seed: seed, Subjects: cfg.subjects, Start: start, Step: step})
	}
	began := time.Now()
	if err := s.appendAll(ctx, gen(1), cfg.events); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	rate := float64(cfg.events) / time.Since(began).Seconds()
	bytes, err := s.stored(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: size: %w", name, err)
	}
	out := []figure{
		{name: "append in batches", unit: "events/s", measured: measured{Value: rate, N: cfg.events}},
		{name: "stored", unit: "B/event", measured: measured{Value: bytes / float64(cfg.events), N: cfg.events}},
	}
	asked, err := ask(ctx, s, questions(gen(1), cfg, start), cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	cfg.progress("%s: %d events one by one", name, cfg.singles)
	ones, err := singles(ctx, s, gen(2), cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: one by one: %w", name, err)
	}
	return slices.Concat(out[:1], ones, out[1:], asked), nil
}

// singles appends one event after the other.
func singles(ctx context.Context, s store, gen *workload.Generator, cfg config) ([]figure, error) {
	times := make([]float64, cfg.singles)
	total := 0.0
	for i := range times {
		ev := gen.Next()
		began := time.Now()
		if err := s.appendOne(ctx, ev); err != nil {
			return nil, err
		}
		times[i] = time.Since(began).Seconds() * 1000
		total += times[i]
	}
	rate := measured{Value: float64(cfg.singles) / total * 1000, N: cfg.singles}
	return []figure{{name: "append one by one", unit: "events/s", measured: rate}, {name: "append of one, acknowledged", unit: "ms", measured: latencies(times)}}, nil
}

// questions are about events all over the store.
func questions(gen *workload.Generator, cfg config, start time.Time) []question {
	every := max(1, cfg.events/cfg.queries)
	span := time.Duration(cfg.events) * step
	var out []question
	for i := range cfg.events {
		ev := gen.Next()
		if i%every != 0 || len(out) == cfg.queries {
			continue
		}
		from := start.Add(span / 4)
		out = append(out, question{
			subject: ev.Data.Subject, jti: ev.Data.TokenID, kind: ev.Type,
			from: from, to: from.Add(span/4 + time.Duration(i)), index: uint64(i + 1),
		})
	}
	return out
}

// ask puts every question several times, another one each time.
func ask(ctx context.Context, s store, qs []question, cfg config) (out []figure, err error) {
	for _, a := range []struct {
		name string
		put  func(context.Context, question) (int, error)
	}{
		{"trail of a subject, personal data opened, up to 100", s.trail},
		{"events of a token", s.byToken},
		{"count of a type in a quarter of the time", s.count},
		{"event by index", s.byIndex},
	} {
		cfg.progress("  %s", a.name)
		f := figure{name: a.name, unit: "ms"}
		var times []float64
		for _, q := range qs {
			began := time.Now()
			n, err := a.put(ctx, q)
			if err == nil && n == 0 {
				err = errors.New("no answer")
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", a.name, err)
			}
			times = append(times, time.Since(began).Seconds()*1000)
			f.answers = append(f.answers, n)
		}
		f.measured = latencies(times)
		out = append(out, f)
	}
	return out, nil
}

func latencies(times []float64) measured {
	slices.Sort(times)
	at := func(q float64) float64 { return times[int(q*float64(len(times)-1)+0.5)] }
	return measured{Value: at(0.5), P99: at(0.99), N: len(times)}
}
