package audit

import (
	"testing"
	"time"
)

// TestAFenceIsKept: a projector stands by for as long as its fence is kept, twice
// as long as it would otherwise, and takes over then.
func TestAFenceIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config(w.connect(w.options.Addr[0]))
	cfg.Standby = 5 * time.Second
	p, _ := w.start(cfg)
	w.append(10)
	w.awaitAll(p)
	cfg.Standby = 1100 * time.Millisecond // so often it is kept that a slow server is no loss
	k, err := Keep(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.End)
	w.append(10)
	await(t, "it stands by", func() bool { return p.Status().Standby })
	until := time.Now().Add(10 * time.Second)
	await(t, "twice the time is over", func() bool { return time.Now().After(until) })
	if n := w.count("SELECT count() FROM events"); n != 10 {
		t.Fatalf("%d events: it has taken the fence back", n)
	}
	if still, err := k.Still(t.Context()); err != nil || !still {
		t.Errorf("kept: %v, %v", still, err)
	}
	k.End()
	w.awaitAll(p)
	w.requireExact()
	if still, err := k.Still(t.Context()); err != nil || still {
		t.Errorf("kept after another took it: %v, %v", still, err)
	}
}

// TestWhoseKeepingWasEndedIsTold: who takes the fence ends what its holder does.
// Still tells of that as of a fence that was lost before.
func TestWhoseKeepingWasEndedIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := newProxy(t, w.options.Addr[0])
	cfg := w.config(w.connect(proxy.addr()))
	cfg.Standby = time.Hour // it does not keep by itself
	k, err := Keep(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.End)
	proxy.arm("'fenced') = 0", failed, nil)
	if still, err := k.Still(t.Context()); err == nil || still {
		t.Errorf("%v, %v: want the error of the connection, as the fence is ours", still, err)
	}
	if still, err := k.Still(t.Context()); err != nil || !still {
		t.Errorf("%v, %v: want that it is kept", still, err)
	}
	w.takeFence(t)
	proxy.arm("'fenced') = 0", failed, nil)
	if still, err := k.Still(t.Context()); err != nil || still {
		t.Errorf("%v, %v: want that it was taken", still, err)
	}
}
