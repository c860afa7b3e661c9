package lane_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 2 * time.Minute

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func revocation(id string) events.Event {
	return events.Event{ID: id, Source: "test", Type: events.TokenRevoked, Tenant: "acme", Time: time.Now(), Data: events.Data{Issuer: "i", TokenID: id, Reason: "r"}}
}

func issued(id string) events.Event {
	return events.Event{ID: id, Source: "test", Type: events.TokenIssued, Tenant: "acme", Time: time.Now(), Data: events.Data{Issuer: "i", TokenID: id, Algorithm: "ES256"}}
}

func ref(id string) events.Ref { return events.EventRef("acme", "test", id) }

// seen collects what a handler sees of the events of the tests.
type seen struct {
	mu   sync.Mutex
	ids  []string
	last uint64
}

func (s *seen) handle(e lane.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Record.Source == "test" {
		s.ids = append(s.ids, e.Record.ID)
	}
	s.last = e.Index
}

func (s *seen) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.ids...)
}

func names(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s-%03d", prefix, i))
	}
	return out
}

// TestEveryControlRecordOnceInOrder: what was there before and what comes
// after, the control lane only.
func TestEveryControlRecordOnceInOrder(t *testing.T) {
	t.Parallel()
	k := lanetest.Start(t)
	for _, id := range names("before", 20) {
		k.Publish(revocation(id))
	}
	k.Publish(issued("access"))
	f, s := k.Follower(), new(seen)
	f.Handle(s.handle)
	k.Run(f.Run)
	for _, id := range names("after", 20) {
		k.Publish(revocation(id))
	}
	if _, err := f.Wait(within(t), ref("after-019")); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(append(names("before", 20), names("after", 20)...), s.list()); d != "" {
		t.Error(d)
	}
	if at, any := f.Position(); !any || at != s.last {
		t.Errorf("position %d %t, want %d", at, any, s.last)
	}
}

// TestWaitReturnsAfterTheHandlers, for a record that is waited for before it
// is published.
func TestWaitReturnsAfterTheHandlers(t *testing.T) {
	t.Parallel()
	k := lanetest.Start(t)
	f, handled := k.Follower(), make(map[events.Ref]uint64)
	f.Handle(func(e lane.Entry) { handled[e.Record.Ref()] = e.Index })
	k.Run(f.Run)
	for i := range 10 {
		id := fmt.Sprint(i)
		got := make(chan error, 1)
		go func() {
			index, err := f.Wait(within(t), ref(id))
			if err == nil && handled[ref(id)] != index {
				err = fmt.Errorf("%s: index %d, handled %d", id, index, handled[ref(id)])
			}
			got <- err
		}()
		k.Publish(revocation(id))
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecordIsReadAgain: from the place that the handler was told, with the
// tree of its batch; from no other.
func TestRecordIsReadAgain(t *testing.T) {
	t.Parallel()
	k := lanetest.Start(t)
	f, entries := k.Follower(), make(chan lane.Entry, 100)
	f.Handle(func(e lane.Entry) { entries <- e })
	k.Run(f.Run)
	k.Publish(revocation("a"), revocation("b"), revocation("c"))
	for seen := 0; seen < 3; {
		e := <-entries
		if e.Record.Source == "test" {
			seen++
		}
		got, err := f.Record(within(t), e.Shard, e.Place.Seq, e.Index)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(e.Record, got); d != "" || e.Place.Size <= e.Index || e.Place.Root.IsZero() {
			t.Errorf("%+v: %s", e.Place, d)
		}
	}
	for _, at := range [][3]uint64{{0, 1, 1 << 40}, {0, 1 << 40, 0}, {9, 1, 0}} {
		if _, err := f.Record(within(t), uint16(at[0]), at[1], at[2]); err == nil {
			t.Errorf("read %v", at)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	k := lanetest.Start(t)
	f := k.Follower()
	k.Run(f.Run)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Wait(ctx, ref("never")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestSync returns once everything that is on the log was handled.
func TestSync(t *testing.T) {
	t.Parallel()
	k := lanetest.Start(t)
	f, s := k.Follower(), new(seen)
	f.Handle(s.handle)
	if err := f.Sync(within(t)); err != nil { // nothing is there
		t.Fatal(err)
	}
	first := k.Follower()
	stop := k.Run(first.Run)
	k.Publish(revocation("a"), revocation("b"))
	if _, err := first.Wait(within(t), ref("b")); err != nil {
		t.Fatal(err)
	}
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("synchronised without having read: %v", err)
	}
	k.Run(f.Run)
	if err := f.Sync(within(t)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a", "b"}, s.list()); d != "" {
		t.Error(d)
	}
}

// flaky is a log whose readers cannot be opened for a while, and are closed
// under the follower.
type flaky struct {
	*stream.Log
	mu      sync.Mutex
	failing int
	opened  []*stream.Reader
	froms   []uint64
}

func (l *flaky) Read(ctx context.Context, from uint64, lanes ...events.Lane) (*stream.Reader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing > 0 {
		l.failing--
		return nil, errors.New("no responders")
	}
	r, err := l.Log.Read(ctx, from, lanes...)
	l.opened, l.froms = append(l.opened, r), append(l.froms, from)
	return r, err
}

func (l *flaky) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing = 3
	l.opened[len(l.opened)-1].Close()
}

// TestReaderThatFails is opened again behind the last record: nothing is
// missed and nothing is seen twice.
func TestReaderThatFails(t *testing.T) {
	t.Parallel()
	k := lanetest.Start(t)
	log := &flaky{Log: k.Log, failing: 3}
	f, err := lane.New(lane.Config{Log: log, Retry: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	s := new(seen)
	f.Handle(s.handle)
	k.Run(f.Run)
	want := names("r", 12)
	for i, id := range want {
		k.Publish(revocation(id))
		if _, err := f.Wait(within(t), ref(id)); err != nil {
			t.Fatal(err)
		}
		if i%4 == 3 {
			log.cut()
		}
	}
	if d := cmp.Diff(want, s.list()); d != "" {
		t.Error(d)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if len(log.froms) < 3 || log.froms[len(log.froms)-1] <= 1 {
		t.Errorf("opened from %v", log.froms)
	}
}

// TestBatchThatIsNone stops the follower.
func TestBatchThatIsNone(t *testing.T) {
	t.Parallel()
	k := lanetest.Start(t)
	k.StopIntake() // it would rightly end as well
	if err := k.Projector.Publish(stream.LogSubject(events.Control), []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	if err := k.Projector.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := k.Follower().Run(within(t)); err == nil {
		t.Error("went on over what is no batch")
	}
}

// TestRecentIsBounded: Wait finds the last records and no others.
func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	k := lanetest.Start(t)
	f, err := lane.New(lane.Config{Log: k.Log, Recent: 4})
	if err != nil {
		t.Fatal(err)
	}
	k.Run(f.Run)
	ids := names("r", 12)
	for _, id := range ids {
		k.Publish(revocation(id))
	}
	if _, err := f.Wait(within(t), ref(ids[11])); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i, id := range ids {
		if _, err := f.Wait(gone, ref(id)); (err == nil) != (i >= 8) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := lane.New(lane.Config{Recent: -1, Retry: -1}); err == nil {
		t.Error("accepted")
	}
}
