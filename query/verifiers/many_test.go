package verifiers

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// receipts are those of so many verifiers at a position.
func receipts(t testing.TB, n int, epoch, position uint64) (out [][]byte) {
	t.Helper()
	at := time.Now()
	for i := range n {
		m := revocation.Receipt{ID: fmt.Sprintf("v-%d", i), Name: "orders", Instance: "i", Started: at, At: at, Feed: 1, Seq: position,
			Places: []revocation.Reached{{Epoch: epoch, Position: position}}}
		data, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}

func bare() *Registry {
	return &Registry{cfg: Config{}.withDefaults(), verifiers: map[string]*verifier{}, claims: map[string]*verifier{}, ready: make(chan struct{})}
}

// A thousand verifiers over real NATS, all of them waited for.
func TestThousandVerifiers(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry(func(c *Config) { c.FreshFor = 5 * time.Minute })
	nc := natsdtest.Connect(t, h.server, natsd.Verifier)
	publish := func(position uint64) {
		for i, data := range receipts(t, 1000, r.head().Epoch, position) {
			if err := nc.Publish(stream.LiveVerifier(fmt.Sprintf("v-%d", i)), data); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(0)
	r.of(t, 1000, 1000)
	of := h.revoke(1)
	feedtest.Eventually(t, "our own view", func() bool { return r.head().Position >= of.Position })
	publish(of.Position)
	if e, done := r.waits(t, of, patience); !done || e.At != 1000 || e.Slowest == nil {
		t.Errorf("%v: %d of %d, slowest %+v", done, e.At, e.Of, e.Slowest)
	}
}

// However long many verifiers move on, what is kept of that is bounded.
func TestMemoryOfManyIsBounded(t *testing.T) {
	const verifiers, moves = 1000, 3000
	r := bare()
	base := heapNow()
	for position := range uint64(moves) {
		r.Advance(revocation.Head{Epoch: 1, Position: position})
		r.mu.Lock()
		for i := range verifiers { // as receive does, without the JSON
			r.take(revocation.Receipt{ID: ids[i], Name: "orders", Instance: "i", Places: []revocation.Reached{{Epoch: 1, Position: position}}}, time.UnixMicro(int64(position)*1000))
		}
		r.mu.Unlock()
	}
	grown := heapNow() - base
	if r.moves > maxMoves+verifiers*movesLeast || grown > 80<<20 {
		t.Errorf("%d moves, %d MiB", r.moves, grown>>20)
	}
	kept := 0
	for _, v := range r.verifiers {
		kept += len(v.tracks[0].moves)
	}
	if kept != r.moves {
		t.Errorf("%d moves are kept, and %d were counted", kept, r.moves)
	}
	e := r.enforced(Revoked{Position: moves - 1000, Received: time.UnixMicro(0)})
	if e.At != verifiers || e.Slowest == nil || e.Slowest.Lag != (moves-1000)*time.Millisecond {
		t.Errorf("%d, slowest %+v", e.At, e.Slowest)
	}
	t.Logf("%d verifiers, %d moves each: %d moves kept, %.1f MiB", verifiers, moves, r.moves, float64(grown)/(1<<20))
	runtime.KeepAlive(r)
}

var ids = func() (out []string) {
	for i := range 10_000 {
		out = append(out, fmt.Sprintf("v-%d", i))
	}
	return out
}()

func heapNow() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkReceive is what one receipt costs among a thousand verifiers.
func BenchmarkReceive(b *testing.B) {
	r := bare()
	r.Advance(revocation.Head{Epoch: 1, Position: 1})
	all := receipts(b, 1000, 1, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.receive(ids[i%1000], all[i%1000])
	}
}

// BenchmarkWait is what one revocation costs that waits for a thousand
// verifiers, their receipts included.
func BenchmarkWait(b *testing.B) {
	r := bare()
	close(r.ready)
	position := uint64(1)
	r.Advance(revocation.Head{Epoch: 1, Position: position})
	for i, m := range receipts(b, 1000, 1, position) {
		r.receive(ids[i], m)
	}
	for b.Loop() {
		position++
		b.StopTimer()
		all := receipts(b, 1000, 1, position)
		b.StartTimer()
		r.Advance(revocation.Head{Epoch: 1, Position: position})
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Wait(b.Context(), Revoked{Position: position})
		}()
		for i, m := range all {
			r.receive(ids[i], m)
		}
		<-done
	}
}

// BenchmarkEnforced is what GET /v1/revocations/{id} asks.
func BenchmarkEnforced(b *testing.B) {
	r := bare()
	for position := range uint64(1000) {
		r.Advance(revocation.Head{Epoch: 1, Position: position})
		r.mu.Lock()
		for i := range 1000 {
			r.take(revocation.Receipt{ID: ids[i], Name: "orders", Instance: "i", Places: []revocation.Reached{{Epoch: 1, Position: position}}}, time.Now())
		}
		r.mu.Unlock()
	}
	b.ReportAllocs()
	for b.Loop() {
		r.enforced(Revoked{Position: 500})
	}
}
