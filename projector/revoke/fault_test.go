package revoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// verdict is what becomes of one publish.
type verdict string

const (
	passes     verdict = "passes"
	failed     verdict = "failed"
	applied    verdict = "failed but applied"
	late       verdict = "slow" // it is given up, and stored once the writer has looked where the feed stands
	killBefore verdict = "killed before"
	killAfter  verdict = "killed after"
)

// faulty is a stream that does with each publish what judge says.
type faulty struct {
	deltas
	judge func(n int64) verdict
	count atomic.Int64
	slow  func()        // what is stored late; of the goroutine of Run
	dead  chan struct{} // closed when a publish does not answer
}

var errInjected = errors.New("injected")

func (f *faulty) Publish(ctx context.Context, data []byte, expectLast uint64) error {
	v := f.judge(f.count.Add(1))
	switch v {
	case failed:
		return errInjected
	case late:
		f.slow = func() { _ = f.deltas.Publish(context.WithoutCancel(ctx), data, expectLast) }
		return errInjected
	case passes, applied, killAfter:
		if err := f.deltas.Publish(ctx, data, expectLast); err != nil || v == passes {
			return err
		}
	}
	if v != applied {
		close(f.dead)
		<-ctx.Done()
	}
	return errInjected
}

func (f *faulty) Last(ctx context.Context) (last, error) {
	m, err := f.deltas.Last(ctx)
	if f.slow != nil {
		f.slow()
		f.slow = nil
	}
	return m, err
}

func TestPublishThatFails(t *testing.T) {
	t.Parallel()
	for _, v := range []verdict{failed, applied, late} {
		for _, every := range []int64{3, 4, 7} {
			t.Run(fmt.Sprint(v, " ", every), func(t *testing.T) {
				t.Parallel()
				d := newDesk(t)
				r := d.revoker(t)
				f := &faulty{deltas: &deltaStream{js: d.js}, judge: func(n int64) verdict {
					if n%every == 0 {
						return v
					}
					return passes
				}}
				r.deltas = f
				feedtest.Go(t, r.Run)
				feedtest.Eventually(t, "a fault", func() bool { return f.count.Load() > every })
				all, last := d.records(t, 6, 4)
				d.awaitPosition(t, last)
				d.check(t, all)
				if r.Stats().Takeovers < 2 {
					t.Error("no fault was injected")
				}
			})
		}
	}
}

// TestKilledAtAPublish stops a revoker for good at a delta, before or after it
// was stored: the next one continues the chain, and nothing is missing.
func TestKilledAtAPublish(t *testing.T) {
	t.Parallel()
	for _, v := range []verdict{killBefore, killAfter} {
		for _, at := range []int64{2, 3, 5} {
			t.Run(fmt.Sprint(v, " ", at), func(t *testing.T) {
				t.Parallel()
				d := newDesk(t)
				victim := d.revoker(t)
				f := &faulty{deltas: &deltaStream{js: d.js}, dead: make(chan struct{}), judge: func(n int64) verdict {
					if n == at {
						return v
					}
					return passes
				}}
				victim.deltas = f
				stop := feedtest.Go(t, victim.Run)
				feedtest.Eventually(t, "the first delta", func() bool { return f.count.Load() > 0 })
				all, last := d.records(t, 3, 4)
				<-f.dead
				stop()
				feedtest.Go(t, d.revoker(t).Run)
				d.awaitPosition(t, last)
				d.check(t, all)
			})
		}
	}
}

// store is an object store that fails or hangs.
type store struct {
	objects
	get, put func(context.Context) error
}

func (s *store) Get(ctx context.Context) ([]byte, error) {
	if err := s.get(ctx); err != nil {
		return nil, err
	}
	return s.objects.Get(ctx)
}

func (s *store) Put(ctx context.Context, data []byte) error {
	if err := s.put(ctx); err != nil {
		return err
	}
	return s.objects.Put(ctx, data)
}

func fine(context.Context) error      { return nil }
func fails(context.Context) error     { return errInjected }
func hangs(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestObjectStoreThatFailsDelaysNoDelta(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(context.Context) error{"fails": fails, "hangs": hangs} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			r := d.revoker(t)
			r.objects = &store{objects: &bucket{d.js}, get: fails, put: put}
			stop := feedtest.Go(t, r.Run)
			feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
			all, last := d.records(t, 3, 3)
			d.awaitPosition(t, last)
			d.check(t, all)
			if r.Stats().Snapshots != 0 {
				t.Error("a snapshot was stored")
			}
			stop()
		})
	}
}

func TestFailedSnapshotIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var tries atomic.Int64
	r := d.revoker(t)
	r.objects = &store{objects: &bucket{d.js}, get: fine, put: func(ctx context.Context) error {
		if tries.Add(1) < 4 {
			return errInjected
		}
		return nil
	}}
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "a snapshot", func() bool { return r.Stats().Snapshots > 0 })
}

func TestSnapshotThatIsChangedIsNotNeeded(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	stop := feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	all, last := d.records(t, 3, 3)
	d.awaitPosition(t, last)
	stop()
	b := &bucket{d.js}
	good, err := b.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(good)
	bad[len(bad)/2] ^= 1
	other, err := revocation.NewSet(1).Snapshot(revocation.Head{Epoch: 1, LogSeq: 2}, events.Ref{}, feedtest.Signer()) // of another log
	if err != nil {
		t.Fatal(err)
	}
	ahead, err := revocation.NewSet(1).Snapshot(revocation.Head{Epoch: d.snapshot(t).Epoch, LogSeq: 1 << 40}, events.Ref{}, feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string][]byte{"changed": bad, "empty": {}, "another log": other, "ahead": ahead} {
		if err := b.Put(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		r := d.revoker(t)
		stop := feedtest.Go(t, r.Run)
		feedtest.Eventually(t, name+": a snapshot", func() bool { return r.Stats().Snapshots > 0 })
		stop()
		d.checkSnapshot(t, all)
	}
	d.check(t, all)
}

func TestForeignMessagesBreakNoChain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	feedtest.Go(t, r.Run)
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	var all []*events.Record
	for _, junk := range []string{"", "junk", strings.Repeat("x", 10_000)} {
		for range 3 {
			if _, err := d.js.Publish(t.Context(), stream.RevocationsSubject, []byte(junk)); err != nil {
				t.Fatal(err)
			}
		}
		more, last := d.records(t, 1, 3)
		all = append(all, more...)
		d.awaitPosition(t, last)
	}
	d.check(t, all)
}

// More of them than are passed over: a snapshot takes the place of the chain.
func TestManyForeignMessagesLoseNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	stop := feedtest.Go(t, r.Run)
	all, last := d.records(t, 1, 3)
	d.awaitPosition(t, last)
	stop()
	for range lookBack + 1 {
		if _, err := d.js.Publish(t.Context(), stream.RevocationsSubject, []byte("junk")); err != nil {
			t.Fatal(err)
		}
	}
	more, last := d.records(t, 1, 3)
	again := d.revoker(t)
	feedtest.Go(t, again.Run)
	feedtest.Eventually(t, "a snapshot of everything", func() bool { return again.Stats().Snapshots > 0 && d.snapshot(t).Position == last })
	d.checkSnapshot(t, append(all, more...))
}

// TestLogCreatedAgainIsAnotherHistory stops the revoker that runs, as the new
// log does not revoke what the old one did. One that is started on it, which
// the caller decides, has it as another history.
func TestLogCreatedAgainIsAnotherHistory(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(t.Context()) }()
	feedtest.Eventually(t, "activity", func() bool { return r.Stats().Deltas > 0 })
	_, last := d.records(t, 2, 2)
	d.awaitPosition(t, last)
	deltas, _ := d.history(t)
	before := deltas[0].Head
	admin := natsdtest.JetStream(t, d.server, natsd.Operator)
	if err := admin.DeleteStream(t.Context(), stream.LogStream); err != nil {
		t.Fatal(err)
	}
	if err := stream.Ensure(t.Context(), admin, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, stream.ErrLogReplaced) {
		t.Errorf("ended with %v", err)
	}
	feedtest.Go(t, d.revoker(t).Run)
	d.log = feedtest.OpenLog(t, d.server)
	all, _ := d.records(t, 1, 2)
	feedtest.Eventually(t, "a snapshot of the new log", func() bool {
		s := d.snapshot(t)
		return s.Epoch != before.Epoch && s.Position == uint64(len(all))
	})
	d.checkSnapshot(t, all)
}

func TestFeedIsRebuiltFromTheLogAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	stop := feedtest.Go(t, r.Run)
	all, last := d.records(t, 3, 3)
	d.awaitPosition(t, last)
	stop()
	admin := natsdtest.JetStream(t, d.server, natsd.Operator)
	for _, name := range []string{stream.RevocationsStream, "OBJ_" + stream.SnapshotBucket} {
		if err := admin.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Ensure(t.Context(), admin, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	again := d.revoker(t)
	feedtest.Go(t, again.Run)
	feedtest.Eventually(t, "a snapshot", func() bool { return again.Stats().Snapshots > 0 })
	d.checkSnapshot(t, all)
	more, last := d.records(t, 1, 3)
	d.awaitPosition(t, last)
	d.check(t, more)
}

func TestLogThatIsBehindItsFeedStopsTheLine(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.revoker(t)
	stop := feedtest.Go(t, r.Run)
	_, last := d.records(t, 1, 1)
	d.awaitPosition(t, last)
	stop()
	deltas, messages := d.history(t)
	end := deltas[len(deltas)-1]
	ahead := revocation.Delta{Head: end.Head, Prev: end.Seq, PrevSum: revocation.Sum(messages[len(messages)-1])}
	ahead.Seq, ahead.LogSeq = ahead.Seq+1, 1000
	m, err := ahead.Sign(feedtest.Signer())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.js.Publish(t.Context(), stream.RevocationsSubject, m); err != nil {
		t.Fatal(err)
	}
	if err := d.revoker(t).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("got %v", err)
	}
}

func TestBatchThatCannotBeReadStopsTheLine(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.log.AppendRaw(t, []byte("no batch"))
	if err := d.revoker(t).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "seq=2") {
		t.Errorf("got %v", err)
	}
}

// TestSnapshotIsReplacedAsAWhole: the newest is there, and the one that it
// replaced for who reads it; what is before that is gone, and so is what was cut
// off.
func TestSnapshotIsReplacedAsAWhole(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	b, before := &bucket{d.js}, 0
	for _, size := range []int{0, 1, chunkSize, chunkSize + 1, 0, 5*chunkSize - 1, 10} {
		var old jetstream.ObjectInfo
		if before > 0 {
			old = d.describedSnapshot(t)
		}
		want := bytes.Repeat([]byte{byte(size)}, size)
		if err := b.Put(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := b.Get(t.Context())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("size %d: got %d bytes, %v", size, len(got), err)
		}
		if n := d.chunksOf(t, ">"); n != chunksIn(before)+chunksIn(size) {
			t.Errorf("size %d after %d: %d chunks are kept", size, before, n)
		}
		if n := d.chunksOf(t, old.NUID); before > 0 && n != chunksIn(before) {
			t.Errorf("who reads the %d bytes before has %d chunks", before, n)
		}
		before = size
	}
	for range 2 {
		if _, err := d.js.Publish(t.Context(), chunkSubjects+"cut-off", []byte("left behind")); err != nil {
			t.Fatal(err)
		}
		if err := b.Put(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.chunksOf(t, ">"); n != 0 {
		t.Errorf("%d chunks are left behind", n)
	}
}

func chunksIn(size int) uint64 { return uint64(size+chunkSize-1) / chunkSize }

// describedSnapshot is the newest, as its description says.
func (d *desk) describedSnapshot(t *testing.T) (info jetstream.ObjectInfo) {
	t.Helper()
	_, data, err := message(t.Context(), d.js, objectStream, lastOf{metaSubject})
	if err == nil {
		err = json.Unmarshal(data, &info)
	}
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// chunksOf is how many chunks are stored of one snapshot.
func (d *desk) chunksOf(t *testing.T, nuid string) (n uint64) {
	t.Helper()
	s, err := d.js.Stream(t.Context(), objectStream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(chunkSubjects+nuid))
	if err != nil {
		t.Fatal(err)
	}
	for _, count := range info.State.Subjects {
		n += count
	}
	return n
}

// paused stands still before the description of a snapshot is stored.
type paused struct {
	jetstream.JetStream
	meanwhile func()
}

func (p *paused) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	p.meanwhile()
	return p.JetStream.PublishMsg(ctx, m, opts...)
}

// TestAPausedSnapshotReplacesNone: a revoker stood still between its chunks and
// their description, and another took over and stored its own, once or more
// often. The one that comes late takes nothing away and leaves nothing.
func TestAPausedSnapshotReplacesNone(t *testing.T) {
	t.Parallel()
	for before := range 2 {
		for meanwhile := 1; meanwhile <= 2; meanwhile++ {
			t.Run(fmt.Sprint(before, " before, ", meanwhile, " meanwhile"), func(t *testing.T) {
				t.Parallel()
				d := newDesk(t)
				other := &bucket{d.js}
				put := func(fill byte) []byte {
					data := bytes.Repeat([]byte{fill}, 2*chunkSize+1)
					if err := other.Put(t.Context(), data); err != nil {
						t.Fatal(err)
					}
					return data
				}
				for range before {
					put('x')
				}
				var want []byte
				late := &bucket{&paused{d.js, func() {
					for n := range meanwhile {
						want = put(byte(n))
					}
				}}}
				if err := late.Put(t.Context(), bytes.Repeat([]byte("late"), chunkSize)); !errors.Is(err, errFenced) {
					t.Errorf("the late one: %v", err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if got, err := other.Get(ctx); err != nil || !bytes.Equal(got, want) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
				if n := d.chunksOf(t, ">"); n != uint64(3*min(before+meanwhile, 2)) {
					t.Errorf("%d chunks are kept", n)
				}
			})
		}
	}
}
