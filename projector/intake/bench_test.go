package intake

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/workload"
)

// benchWriter is a writer with its keys in memory and every person known.
func benchWriter(b *testing.B) *writer {
	b.Helper()
	keyring, err := seal.NewKeyring(seal.Config{Store: &sealtest.Memory{}, KEK: seal.GenerateKEK(), CacheTTL: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	in := &Intake{decode: events.Decode, cfg: Config{
		Keyring: keyring, Policy: events.Policy{Environment: "dev"}, Log: emptyLog{}, Source: emptyLog{},
	}.withDefaults()}
	w, err := in.recover(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// emptyLog says that it is empty.
type emptyLog struct{ Log }

func (emptyLog) Last(context.Context) (stream.LogMessage, error) { return stream.LogMessage{}, nil }
func (emptyLog) Created() time.Time                              { return time.Unix(0, 1) }
func (emptyLog) Next(context.Context, int) ([]stream.IntakeMessage, error) {
	return nil, context.Canceled
}

// messages is n events of realistic traffic, 250 a message.
func messages(b *testing.B, g *workload.Generator, n int) []*arrival {
	b.Helper()
	byType := map[events.Type][]events.Event{}
	var out []*arrival
	flush := func(t events.Type) {
		body, err := events.MarshalEvents(byType[t])
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, &arrival{IntakeMessage: &stream.IntakeMessage{Seq: uint64(len(out) + 1), Message: events.Message{
			ContentType: events.ContentTypeBatch, Body: body, Tenant: "acme", Type: t,
		}}})
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
// the network: decode, validate, compare, seal, encode, controls, tree.
func BenchmarkEvent(b *testing.B) {
	w := benchWriter(b)
	g := workload.New(workload.Config{Subjects: 2000})
	ctx := b.Context()
	const perRound = 1000
	n, bytes := 0, 0
	b.ReportAllocs()
	b.ResetTimer()
	for n < b.N {
		b.StopTimer()
		arrivals := messages(b, g, perRound)
		b.StartTimer()
		received := time.Now()
		candidates := w.decode(arrivals, received)
		w.identify(ctx, candidates)
		w.compare(candidates)
		w.seal(ctx, candidates, received)
		groups := make([]*group, 0, len(candidates))
		for _, c := range candidates {
			if !c.live() {
				b.Fatalf("refused: %+v", c.refusal)
			}
			groups = append(groups, w.group(c, received))
		}
		data, err := w.makeBatch(events.Access, groups, received).Marshal()
		if err != nil {
			b.Fatal(err)
		}
		n, bytes = n+len(candidates), bytes+len(data)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
	b.ReportMetric(float64(bytes)/float64(n), "bytes/event")
}

// BenchmarkSteps is the same, step by step.
func BenchmarkSteps(b *testing.B) {
	g := workload.New(workload.Config{Subjects: 2000})
	const perRound = 1000
	steps := []string{"decode", "identify", "compare", "seal", "group", "batch"}
	for k, step := range steps {
		b.Run(step, func(b *testing.B) {
			w := benchWriter(b)
			b.ReportAllocs()
			for n := 0; n < b.N; n += perRound {
				b.StopTimer()
				arrivals := messages(b, g, perRound)
				received := time.Now()
				var candidates []*candidate
				var groups []*group
				for i, do := range []func(){
					func() { candidates = w.decode(arrivals, received) },
					func() { w.identify(b.Context(), candidates) },
					func() { w.compare(candidates) },
					func() { w.seal(b.Context(), candidates, received) },
					func() {
						for _, c := range candidates {
							groups = append(groups, w.group(c, received))
						}
					},
					func() {
						if _, err := w.makeBatch(events.Access, groups, received).Marshal(); err != nil {
							b.Fatal(err)
						}
					},
				} {
					if i == k {
						b.StartTimer()
					}
					do()
					if i == k {
						b.StopTimer()
					}
				}
			}
		})
	}
}

// BenchmarkEndToEnd drains an intake stream that was filled before, on a real
// server that syncs every write.
func BenchmarkEndToEnd(b *testing.B) {
	r := newRig(b)
	g := workload.New(workload.Config{Subjects: 2000})
	published := 0
	for published < max(b.N, 20_000) {
		for _, a := range messages(b, g, 5000) {
			r.send(fmt.Sprintf("rescind.events.acme.%s", a.Message.Type.Name()), events.ContentTypeBatch, a.Message.Body)
		}
		published += 5000
	}
	b.ResetTimer()
	in := r.start(func(c *Config) { c.Policy.Environment = "dev" })
	r.until("all logged", func() bool { s := in.Stats(); return s.Records-s.Findings >= uint64(published) })
	b.ReportMetric(float64(published)/b.Elapsed().Seconds(), "events/s")
}
