package stream_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// hold runs a holder and returns when it is one. Stop ends it.
func hold(t *testing.T, js jetstream.JetStream, evict func(tenant, handle string)) (h *stream.Holder, stop func()) {
	t.Helper()
	return holdBy(t, js, time.Now, evict)
}

// holdBy is hold by a clock.
func holdBy(t *testing.T, js jetstream.JetStream, now func() time.Time, evict func(tenant, handle string)) (h *stream.Holder, stop func()) {
	t.Helper()
	h, err := stream.NewHolder(js.Conn(), evict)
	if err != nil {
		t.Fatal(err)
	}
	h.SetClock(now)
	h.SetTTL(time.Second)
	if h.Live() {
		t.Error("a holder that nobody can know of says that it is waited for")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	eventually(t, "it is a holder", h.Live)
	return h, stop
}

// evictions is what a holder was told to drop: of whom, and how often all. A
// machine that has much else to do may lose its lock, and drops all once more.
type evictions struct {
	mu        sync.Mutex
	told      []string
	everybody int
}

func (e *evictions) evict(tenant, handle string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if tenant == "" && handle == "" {
		e.everybody++
		return
	}
	e.told = append(e.told, tenant+"/"+handle)
}

// all is how often it dropped what it had of everybody.
func (e *evictions) all() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.everybody
}

func (e *evictions) want(t *testing.T, want ...string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Equal(e.told, want) || e.everybody == 0 {
		t.Fatalf("told %v, and %d times all; want %v, and all at the beginning", e.told, e.everybody, want)
	}
}

// awaited is AwaitEviction as the API, whose credentials forget people.
func awaited(t *testing.T, w world, patience time.Duration, handle string) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return stream.AwaitEviction(ctx, natsdtest.JetStream(t, w.Server, natsd.API), "acme", handle)
}

func TestEvictionIsAwaitedOfEveryHolder(t *testing.T) {
	t.Parallel()
	w := start(t)
	if n, err := awaited(t, w, patience, "00ff"); n != 0 || err != nil {
		t.Fatalf("without holders: %d, %v", n, err)
	}
	var intake, api, gone evictions
	hold(t, w.projector, intake.evict)
	hold(t, natsdtest.JetStream(t, w.Server, natsd.API), api.evict)
	_, stop := hold(t, w.projector, gone.evict)
	stop()
	if n, err := awaited(t, w, patience, "00ff"); n != 2 || err != nil {
		t.Fatalf("%d holders, %v; want 2", n, err)
	}
	if n, err := awaited(t, w, patience, ""); n != 2 || err != nil {
		t.Fatalf("%d holders, %v; want 2", n, err)
	}
	intake.want(t, "acme/00ff", "acme/")
	api.want(t, "acme/00ff", "acme/")
	gone.want(t)
}

// A holder that lives and has not dropped the key holds everything up.
func TestEvictionWaitsForASlowHolder(t *testing.T) {
	t.Parallel()
	w := start(t)
	var quick evictions
	hold(t, w.projector, quick.evict)
	dropped := make(chan struct{})
	hold(t, natsdtest.JetStream(t, w.Server, natsd.API), func(_, handle string) {
		if handle != "" {
			<-dropped
		}
	})
	if n, err := awaited(t, w, 1500*time.Millisecond, "00ff"); n != 1 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%d holders, %v; want 1 and no end", n, err)
	}
	close(dropped)
	if n, err := awaited(t, w, patience, "00ff"); n != 2 || err != nil {
		t.Fatalf("%d holders, %v; want 2", n, err)
	}
}

// A holder that is cut off is waited for until it knows itself that it is none,
// and has dropped what it kept before it says that it is one again: meanwhile
// people were forgotten of whom it was not told.
func TestEvictionWaitsForALostHolderUntilItsLockLapses(t *testing.T) {
	t.Parallel()
	w := start(t)
	proxy := natsdtest.Proxy(t, w.Server)
	var cut evictions
	dropping, dropped := make(chan struct{}, 1), make(chan struct{})
	h, _ := hold(t, behind(t, proxy, w, natsd.Projector), func(tenant, handle string) {
		if cut.evict(tenant, handle); tenant == "" && cut.all() > 1 {
			select {
			case dropping <- struct{}{}:
			default:
			}
			<-dropped
		}
	})
	proxy.HoldReplies()
	n, err := awaited(t, w, patience, "00ff")
	if n != 0 || err != nil {
		t.Fatalf("%d holders, %v; want 0", n, err)
	}
	if h.Live() {
		t.Error("nobody waits for it, and it says that it is waited for")
	}
	cut.want(t)
	proxy.PassReplies()
	select {
	case <-dropping:
	case <-time.After(patience):
		t.Fatal("it is a holder again and has dropped nothing")
	}
	if h.Live() {
		t.Error("it says that it is waited for while it still drops what it kept")
	}
	close(dropped)
	eventually(t, "it is a holder again", h.Live)
	if n, err := awaited(t, w, patience, "00ff"); n != 1 || err != nil {
		t.Fatalf("%d holders, %v; want 1", n, err)
	}
}

// A process that slept says at once, and not when it gets to renewing, that nobody
// waits for it.
func TestHolderKnowsAtOnceThatItSlept(t *testing.T) {
	t.Parallel()
	w := start(t)
	var m machine
	var told evictions
	h, _ := holdBy(t, w.projector, m.now, told.evict)
	m.sleep(15 * time.Second)
	if h.Live() {
		t.Error("it slept for longer than it is waited for, and says that it is waited for")
	}
	eventually(t, "it is a holder again", h.Live)
	if n := told.all(); n < 2 {
		t.Errorf("it dropped all %d times, want when it began and when it came back", n)
	}
}
