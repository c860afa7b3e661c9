package audit

import (
	"testing"
	"time"
)

// TestItSaysHowFarBehindItIs has a server that answers nothing, and a log that
// grows meanwhile.
func TestItSaysHowFarBehindItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	px := newProxy(t, w.options.Addr[0])
	cfg := w.config(w.connect(px.addr()))
	cfg.Lookup, cfg.LookEvery = w.log, 20*time.Millisecond
	cfg.Stall, cfg.Grace = time.Minute, time.Millisecond
	p, stop := w.start(cfg)
	w.append(5)
	w.awaitAll(p)
	await(t, "it knows that it is not behind", func() bool {
		s := p.Status()
		return s.End == LogEnd{Next: 5, Seq: 1} && s.Behind() == Behind{} && s.Oldest.IsZero() && s.Waiting.IsZero()
	})
	px.arm("INSERT INTO events", stalled, nil)
	started := time.Now().Truncate(time.Microsecond)
	w.append(7)
	await(t, "the insert is under way", px.hasStruck)
	w.append(100, 20)
	await(t, "it says how far behind it is", func() bool {
		s := p.Status()
		return s.Behind() == Behind{Records: 127, Batches: 3}
	})
	s := p.Status()
	if s.Waiting.Before(started) || s.Oldest.Before(started) || s.Lag(s.Oldest.Add(time.Hour)) != time.Hour {
		t.Errorf("began to wait %s, oldest %s: want both after %s", s.Waiting, s.Oldest, started)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := p.Status(); !s.Waiting.IsZero() {
		t.Errorf("waits since %s, and has ended", s.Waiting)
	}
}

// TestItSaysHowFarBehindItIsWithoutAServer has a projector that never reads
// the log, as it cannot recover.
func TestItSaysHowFarBehindItIsWithoutAServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.connect(newProxy(t, "127.0.0.1:1").addr()))
	cfg.Lookup, cfg.LookEvery = w.log, 20*time.Millisecond
	started := time.Now().Truncate(time.Microsecond)
	w.append(5, 10, 20)
	p, _ := w.start(cfg)
	await(t, "it says how far behind it is", func() bool {
		s := p.Status()
		return s.Behind() == Behind{Records: 35, Batches: 3}
	})
	if s := p.Status(); s.Oldest.Before(started) || s.Oldest.After(time.UnixMicro(w.batches[0].Header.Written)) {
		t.Errorf("the oldest batch is of %s, want the first one's %s", s.Oldest, time.UnixMicro(w.batches[0].Header.Written))
	}
}

func TestItCountsWhatItDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, _ := w.start(w.config(w.direct))
	w.append(5)
	w.awaitAll(p)
	w.append(7)
	w.awaitAll(p)
	if s := p.Status(); s.Recoveries != 1 || s.Inserts != 2 || s.Rows != 12 || s.LastRows != 7 {
		t.Errorf("%d recoveries, %d inserts, %d rows, %d in the last", s.Recoveries, s.Inserts, s.Rows, s.LastRows)
	}
}
