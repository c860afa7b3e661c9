package intake

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/workload"
)

// bench is a lane and a writer with their keys in memory and every person known.
func bench(b *testing.B) (*lane, *writer) {
	b.Helper()
	keyring, err := seal.NewKeyring(seal.Config{Store: &sealtest.Memory{}, Root: seal.GenerateKEK(), CacheTTL: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	in := &Intake{decode: events.Decode, engine: newEngine, cfg: Config{Keyring: keyring, Policy: events.Policy{Environment: "dev"}, Log: emptyLog{}}.withDefaults()}
	s, err := in.recover(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	w, err := s.writer(1, 0)
	if err != nil {
		b.Fatal(err)
	}
	w.draft.lane = events.Access
	return &lane{in: in, cfg: &in.cfg, lane: events.Access}, w
}

// emptyLog says that it is empty, and takes what is appended.
type emptyLog struct{ Log }

func (emptyLog) Last(context.Context) (stream.LogMessage, error) { return stream.LogMessage{}, nil }

// messages is n events of realistic traffic, 250 a message, as the SDK sends
// them.
func messages(b *testing.B, g *workload.Generator, n int) (out []stream.IntakeMessage) {
	b.Helper()
	byType := map[events.Type][]events.Event{}
	flush := func(t events.Type) {
		body, err := events.MarshalProtobufBatch(byType[t])
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, stream.IntakeMessage{Seq: uint64(len(out) + 1), Message: events.Message{
			ContentType: events.ContentTypeProtobufBatch, Body: body, Tenant: "acme", Type: t,
		}})
		byType[t] = nil
	}
	for range n {
		ev := g.Next()
		if byType[ev.Type] = append(byType[ev.Type], ev); len(byType[ev.Type]) == 250 {
			flush(ev.Type)
		}
	}
	for t, left := range byType {
		if len(left) > 0 {
			flush(t)
		}
	}
	return out
}

// BenchmarkEvent is what one event costs from its message to its batch, without
// the network, whole and step by step: open (decode, validate, identify), seal
// (keys and record), enter (compare and controls), batch (tree and encoding).
func BenchmarkEvent(b *testing.B) {
	for _, timed := range []string{"whole", "open", "seal", "enter", "batch"} {
		b.Run(timed, func(b *testing.B) { benchEvent(b, timed) })
	}
}

// It reports processor time too, that of the garbage collector among it: on a
// machine with other work that is what to compare.
func benchEvent(b *testing.B, timed string) {
	l, w := bench(b)
	g := workload.New(workload.Config{Subjects: 2000})
	var chunks [][]stream.IntakeMessage
	for range (b.N + 899) / 900 {
		chunks = append(chunks, messages(b, g, 900))
	}
	n, bytes, used := 0, 0, time.Duration(0)
	step := func(name string, do func()) {
		if timed == name || timed == "whole" {
			b.StartTimer()
			before := processorTime(b)
			defer func() { used += processorTime(b) - before; b.StopTimer() }()
		}
		do()
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.StopTimer()
	for _, each := range chunks {
		c := l.chunk(each)
		step("open", func() { l.open(b.Context(), c) })
		step("seal", func() { l.seal(c, l.people(b.Context(), []*chunk{c})) })
		step("enter", func() {
			for i := range c.candidates {
				if k := &c.candidates[i]; !k.live() || w.enter(b.Context(), k, c.received) != nil {
					b.Fatalf("refused: %+v", k.refusal)
				}
			}
		})
		step("batch", func() {
			bytes += len(w.seal().data)
			w.draft.reset()
			w.draft.lane = events.Access
		})
		n += len(c.candidates)
	}
	b.ReportMetric(float64(used.Nanoseconds())/float64(n), "cpu-ns/event")
	b.ReportMetric(float64(bytes)/float64(n), "bytes/event")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEndToEnd drains an intake stream that was filled before, on a real
// server that syncs every write.
func BenchmarkEndToEnd(b *testing.B) {
	r := newRig(b)
	g := workload.New(workload.Config{Subjects: 2000})
	published := 0
	for published < max(b.N, 20_000) {
		for _, a := range messages(b, g, 5000) {
			r.send(fmt.Sprintf("rescind.events.acme.%s", a.Message.Type.Name()), events.ContentTypeProtobufBatch, a.Message.Body)
		}
		published += 5000
	}
	b.ResetTimer()
	in := r.start(func(c *Config) { c.Policy.Environment = "dev" })
	r.until("all logged", func() bool { s := in.Stats(); return s.Records-s.Findings >= uint64(published) })
	b.ReportMetric(float64(published)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkPublishers is how fast publishers get their acknowledgements while an
// intake writes on the same disk, and as a ratio of how fast they are alone,
// each for a second in turn.
func BenchmarkPublishers(b *testing.B) {
	for _, publishers := range []int{1, 100} {
		b.Run(fmt.Sprint(publishers), func(b *testing.B) {
			alone, beside := newRig(b), newRig(b)
			in := beside.start(func(c *Config) { c.Policy.Environment = "dev" })
			var rates [2][]float64
			for range max(3, min(b.N, 10)) {
				for i, r := range []*rig{alone, beside} {
					rates[i] = append(rates[i], r.publishRate(publishers, time.Second))
				}
			}
			for i := range rates {
				slices.Sort(rates[i])
			}
			floor, rate := rates[0][len(rates[0])/2], rates[1][len(rates[1])/2]
			s := in.Stats()
			b.ReportMetric(floor, "alone/s")
			b.ReportMetric(rate, "events/s")
			b.ReportMetric(rate/floor, "ratio")
			b.ReportMetric(float64(s.Records)/float64(s.Batches), "records/batch")
			b.ReportMetric(float64(s.Lag), "lag")
		})
	}
}

// publishRate is how many events per second publishers that wait for each
// acknowledgement get through.
func (r *rig) publishRate(publishers int, d time.Duration) float64 {
	g := workload.New(workload.Config{Subjects: 2000, Seed: rand.Uint64()})
	var mu sync.Mutex
	next := func() (string, []byte) {
		mu.Lock()
		ev := g.Next()
		mu.Unlock()
		body, err := events.MarshalEvent(&ev)
		if err != nil {
			panic(err) // an event of ours
		}
		return stream.EventSubject("acme", ev.Type), body
	}
	ctx, cancel := context.WithTimeout(r.Context(), d)
	defer cancel()
	var published atomic.Int64
	var running sync.WaitGroup
	for range publishers {
		running.Go(func() {
			for {
				subject, body := next()
				if _, err := r.publisher.Publish(ctx, subject, body); err != nil {
					return
				}
				published.Add(1)
			}
		})
	}
	running.Wait()
	return float64(published.Load()) / d.Seconds()
}
