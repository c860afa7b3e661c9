package audit

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/rescindhq/rescind/events/stream"
)

// flood is a log without end: whoever reads it gets as much as asked for.
type flood struct {
	t     *testing.T
	from  *traffic
	given *atomic.Int64 // bytes
}

func (f flood) Next(ctx context.Context, maxBytes int) (out []stream.LogMessage, err error) {
	for size := 0; size < maxBytes && ctx.Err() == nil; {
		m := f.from.message(f.t, 1000)
		size += len(m.Data)
		out = append(out, m)
	}
	for _, m := range out {
		f.given.Add(int64(len(m.Data)))
	}
	return out, ctx.Err()
}

func (flood) Close() {}

// TestMemoryIsBounded has a log without end and a server that gives no answer.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	px := newProxy(t, w.options.Addr[0])
	cfg := w.config(w.connect(px.addr()))
	cfg.MaxBytes, cfg.MaxRows = 4<<20, 500_000
	f := flood{t, newTraffic(), new(atomic.Int64)}
	cfg.Read = func(context.Context, uint64) (LogReader, error) { return f, nil }
	px.arm("INSERT INTO events", stalled, nil)
	empty := heap()
	p, stop := w.start(cfg)
	await(t, "the insert is under way", px.hasStruck)
	// 4 MiB of such batches are some 10,000 records; two chunks of them, a
	// piece, and what goes over the wire.
	const bound = 2*(4<<20+11_000*1024) + pieceBytes + 4<<20 + 32<<20
	await(t, "the log is not read any further", func() bool {
		if h := heap(); h > empty+bound {
			t.Fatalf("%d MiB of heap after %d MiB of the log, the bound is %d MiB", (h-empty)>>20, f.given.Load()>>20, bound>>20)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.ahead != nil && !p.ahead.room()
	})
	if h := heap(); h > empty+bound {
		t.Errorf("%d MiB of heap, the bound is %d MiB", (h-empty)>>20, bound>>20)
	} else {
		t.Logf("%d MiB of heap after %d MiB of the log, the bound is %d MiB", (h-empty)>>20, f.given.Load()>>20, bound>>20)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// heap is what is in use after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
