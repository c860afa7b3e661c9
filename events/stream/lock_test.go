package stream_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func TestLockIsHeldByOneAtATime(t *testing.T) {
	t.Parallel()
	w := start(t)
	var inside, turns atomic.Int32
	var racing sync.WaitGroup
	for range 5 {
		racing.Go(func() {
			release, err := stream.AcquireLock(t.Context(), w.projector, "migrate", 2*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d hold the lock", n)
			}
			w.state(t, stream.LocksStream) // something that takes a while
			turns.Add(1)
			inside.Add(-1)
			release()
			release() // twice does no harm
		})
	}
	racing.Wait()
	if turns.Load() != 5 {
		t.Fatalf("%d of 5 had the lock", turns.Load())
	}
}

func TestLockOutlastsItsTTLWhileHeld(t *testing.T) {
	t.Parallel()
	w := start(t)
	release, err := stream.AcquireLock(t.Context(), w.projector, "migrate", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := stream.AcquireLock(ctx, w.projector, "migrate", time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a second holder: %v", err)
	}
	other, err := stream.AcquireLock(t.Context(), w.projector, "other", time.Second)
	if err != nil {
		t.Fatalf("a lock of another name: %v", err)
	}
	other()
	release()
	again, err := stream.AcquireLock(t.Context(), w.projector, "migrate", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestLockOfALostHolderLapses(t *testing.T) {
	t.Parallel()
	w := start(t)
	lost := natsdtest.JetStream(t, w.Server, natsd.Projector)
	release, err := stream.AcquireLock(t.Context(), lost, "migrate", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	lost.Conn().Close()
	again, err := stream.AcquireLock(t.Context(), w.projector, "migrate", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	release() // the old holder comes back: it must not release the new one's lock
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := stream.AcquireLock(ctx, w.projector, "migrate", time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a third holder: %v", err)
	}
	again()
}

// A term ends before the lock can be another's, and when it is released.
func TestTermEndsBeforeTheLockIsAnothers(t *testing.T) {
	t.Parallel()
	w := start(t)
	proxy := natsdtest.Proxy(t, w.Server)
	term, release, err := stream.Elect(t.Context(), behind(t, proxy, w, natsd.Projector), "intake", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	proxy.HoldReplies()
	next, resign, err := stream.Elect(t.Context(), w.projector, "intake", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if term.Err() == nil {
		t.Error("two terms at once")
	}
	proxy.PassReplies()
	release()
	if next.Err() != nil {
		t.Error("the one that is over ended its successor's")
	}
	resign()
	if next.Err() == nil {
		t.Error("the term goes on after the release")
	}
}

// A term lasts as long as its holder renews it.
func TestTermLasts(t *testing.T) {
	t.Parallel()
	w := start(t)
	term, release, err := stream.Elect(t.Context(), w.projector, "intake", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	select {
	case <-term.Done():
		t.Fatalf("ended: %v", context.Cause(term))
	case <-time.After(3 * time.Second): // three times as long as it would without being renewed
	}
}

func TestLockRefusesABadNameOrTTL(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		name string
		ttl  time.Duration
	}{{"", time.Minute}, {"a.b", time.Minute}, {"*", time.Minute}, {"a", time.Millisecond}} {
		if _, err := stream.AcquireLock(t.Context(), w.projector, c.name, c.ttl); err == nil {
			t.Errorf("%q for %s was taken", c.name, c.ttl)
		}
	}
}

// machine is one whose monotonic clock, like that of Linux, stands still while it
// sleeps.
type machine struct{ slept atomic.Int64 }

func (m *machine) sleep(d time.Duration) { m.slept.Add(int64(d / time.Second)) }

// now is the time with what it slept in its wall clock alone, which no function
// of package time makes: the first word has the seconds from its 31st bit on.
func (m *machine) now() time.Time {
	t := time.Now()
	*(*uint64)(unsafe.Pointer(&t)) += uint64(m.slept.Load()) << 30
	return t
}

func TestMachineSleeps(t *testing.T) {
	t.Parallel()
	var m machine
	before := m.now()
	m.sleep(time.Hour)
	after := m.now()
	if wall := after.Round(0).Sub(before.Round(0)); after.Sub(before) > time.Minute || wall < time.Hour {
		t.Errorf("%s by one clock and %s by the other", after.Sub(before), wall)
	}
}

// A machine that slept for longer than a lock lasts has lost it, although little
// time has passed for it.
func TestTermEndsWhereTheMachineSlept(t *testing.T) {
	t.Parallel()
	w := start(t)
	var m machine
	term, release, err := stream.ElectBy(t.Context(), w.projector, "intake", 3*time.Second, m.now)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	m.sleep(15 * time.Second)
	select {
	case <-term.Done():
	case <-time.After(patience):
		t.Fatal("the term goes on")
	}
	if cause := context.Cause(term); !strings.Contains(cause.Error(), "in time") {
		t.Errorf("it ended because: %v", cause)
	}
}

// A lock is given back although its holder's clock was set forward by more than it
// lasts: nobody has to wait until the server lets it go.
func TestLockIsGivenBackAfterTheClockWasSetForward(t *testing.T) {
	t.Parallel()
	w := start(t)
	var m machine
	term, release, err := stream.ElectBy(t.Context(), w.projector, "intake", time.Minute, m.now)
	if err != nil {
		t.Fatal(err)
	}
	m.sleep(time.Hour)
	release()
	if term.Err() == nil {
		t.Error("the term goes on after the release")
	}
	if n := w.state(t, stream.LocksStream).Msgs; n != 0 {
		t.Errorf("%d locks are held", n)
	}
}

// Where the locks are on a stream that was made anew, which gives its sequences out
// again, a holder of before takes nothing away that is not its own.
func TestLockOfAnotherStreamIsNotGivenBack(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"intake", "other"} { // its own name, and another
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			_, release, err := stream.Elect(t.Context(), w.projector, "intake", time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			seq := w.state(t, stream.LocksStream).LastSeq
			if err := w.operator.DeleteStream(t.Context(), stream.LocksStream); err != nil {
				t.Fatal(err)
			}
			if err := stream.Ensure(t.Context(), w.operator, stream.Topology{}); err != nil {
				t.Fatal(err)
			}
			_, resign, err := stream.Elect(t.Context(), w.projector, name, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer resign()
			if got := w.state(t, stream.LocksStream).LastSeq; got != seq {
				t.Fatalf("the second lock has sequence %d, the first had %d", got, seq)
			}
			release()
			if n := w.state(t, stream.LocksStream).Msgs; n != 1 {
				t.Errorf("%d locks are left, want that of the other", n)
			}
		})
	}
}
