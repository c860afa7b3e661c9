package intake

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// behind is the rig as seen through a proxy: everything of an intake goes over
// one connection that a test may hold or cut.
func (r *rig) behind(proxy *natsdtest.Faults) func(*Config) {
	r.Helper()
	nc, err := nats.Connect(proxy.URL(), append(natsd.Options(natsd.Projector, r.server.CredsFile(natsd.Projector)), nats.ReconnectWait(10*time.Millisecond))...)
	r.check(err)
	r.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	r.check(err)
	log, err := stream.OpenLog(r.Context(), js)
	r.check(err)
	quarantine, err := stream.OpenQuarantine(r.Context(), js)
	r.check(err)
	return func(c *Config) {
		c.Log, c.Quarantine = log, quarantine
		c.Open = func(ctx context.Context) (Source, error) { return stream.OpenIntake(ctx, js) }
		c.Elect = func(ctx context.Context) (context.Context, func(), error) {
			return stream.Elect(ctx, js, "intake", time.Second)
		}
	}
}

// active waits until exactly one of ins writes, and is that one and the other.
func (r *rig) active(ins ...*running) (active, standby *running) {
	r.Helper()
	r.until("one of two writes", func() bool {
		a, b := ins[0].Stats(), ins[1].Stats()
		active, standby = ins[0], ins[1]
		if a.Standby {
			active, standby = ins[1], ins[0]
		}
		return a.Standby != b.Standby && a.Terms+b.Terms > 0
	})
	return active, standby
}

// TestStandbyIsHot lets one of two write, and looks at what the other knows.
func TestStandbyIsHot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	active, standby := r.active(r.start(r.elected), r.start(r.elected))
	<-standby.Ready()
	r.publish(issuedMany("e", 50)...)
	r.publish(revoked("x"))
	r.drained()
	r.until("the standby has read all", func() bool { return standby.Stats().Size == active.Stats().Size })
	if s := standby.Stats(); s.Records != 0 || s.Messages != 0 || !s.Standby || s.Seq != active.Stats().Seq {
		t.Errorf("the standby: %+v", s)
	}
	active.stop()
	r.publish(issued("e-0001"), issued("after")) // the first is a conflict that only the window knows
	r.drained()
	if got := len(r.facts()); got != 52 {
		t.Errorf("%d facts, want 52", got)
	}
	if s := standby.Stats(); s.Refused[events.ReasonConflict] != 1 || s.Standby || s.Terms != 1 {
		t.Errorf("after taking over: %+v", s)
	}
}

// TestFailover silences the connection of the writer again and again, under
// load, as a machine that is gone would: the other appends within five seconds
// and nothing is lost, logged twice or out of place. Then the first comes back.
func TestFailover(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	proxies := map[*running]*natsdtest.Faults{}
	var ins []*running
	for range 2 {
		proxy := natsdtest.Proxy(t, r.server)
		in := r.start(r.behind(proxy))
		proxies[in], ins = proxy, append(ins, in)
	}
	load := r.load()
	for round := range 4 {
		active, standby := r.active(ins...)
		before := active.Stats().Batches
		r.until("the active one writes", func() bool { return active.Stats().Batches > before+5 })
		appended, began := standby.Stats().Batches, time.Now()
		proxies[active].HoldReplies()
		r.until("the other one writes", func() bool { return standby.Stats().Batches > appended })
		took := time.Since(began)
		t.Logf("round %d: appending again after %s", round, took.Round(time.Millisecond))
		if took > 5*time.Second {
			t.Errorf("round %d: appending again only after %s", round, took)
		}
		if round%2 == 0 {
			proxies[active].Cut()
		}
		proxies[active].PassReplies()
		r.until("the first one stands by", func() bool { return active.Stats().Standby })
	}
	acked := load()
	r.drained()
	r.checkOnce(acked)
}

// load publishes one event after the other, at most 200 a second, until it is
// told to stop, and is then what was acknowledged.
func (r *rig) load() (stop func() []string) {
	ctx, cancel := context.WithCancel(context.Background())
	var acked []string
	var running sync.WaitGroup
	running.Go(func() {
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			<-pace.C
			ev := issued(fmt.Sprint("load-", n))
			if n%7 == 0 {
				ev = revoked(ev.ID)
			}
			ev.Data.Subject = fmt.Sprint("person-", n%10)
			b, err := events.MarshalEvent(&ev)
			if err != nil {
				panic(err) // an event of ours
			}
			if _, err := r.publisher.Publish(ctx, stream.EventSubject(ev.Tenant, ev.Type), b); err == nil {
				acked = append(acked, ev.ID)
			}
		}
	})
	r.Cleanup(func() { cancel(); running.Wait() })
	return func() []string {
		cancel()
		running.Wait()
		return acked
	}
}

// checkOnce checks that the log is whole, and has each of ids once. That none is
// there twice is for records to see.
func (r *rig) checkOnce(ids []string) {
	r.Helper()
	facts := r.facts()
	for _, id := range ids {
		if facts[id].Record == nil {
			r.Errorf("%s was acknowledged and is not in the log", id)
		}
	}
	if q := r.quarantined(); len(q) > 0 {
		r.Errorf("quarantined: %+v", q)
	}
	r.Logf("%d acknowledged, %d facts", len(ids), len(facts))
}

// TestStalledWriterGoesOnFenced holds an append back for longer than the lock
// lasts, as a process that was stopped would: when it goes on, its batch is
// refused and it stands by.
func TestStalledWriterGoesOnFenced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	gate := &gatedLog{Log: r.log, at: 1, waiting: make(chan struct{}), open: make(chan struct{})}
	old := r.start(r.elected, func(c *Config) {
		c.Log = gate
		elect := c.Elect
		c.Elect = func(ctx context.Context) (context.Context, func(), error) {
			_, release, err := elect(ctx)
			return context.WithoutCancel(ctx), release, err // it learns nothing while it stands still
		}
	})
	r.publish(issued("first"))
	<-gate.waiting
	// As if its lock had lapsed: the next one is not asked for it.
	young := r.start()
	r.until("the next one has written", func() bool { return young.Stats().Records >= 1 })
	young.stop()
	close(gate.open)
	r.until("the old one was fenced and began again", func() bool { return old.Stats().Terms == 2 })
	r.publish(issued("second"))
	r.drained()
	t.Log(r.logText())
	if got := r.facts(); len(got) != 2 || got["second"].Batch.Epoch <= got["first"].Batch.Epoch {
		t.Errorf("facts: %v", got)
	}
}

// TestTermThatEndsKeepsItsBatch ends a term while the outcome of an append is
// not known, for each outcome: the next term of the same intake settles it
// before it takes anything.
func TestTermThatEndsKeepsItsBatch(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"not written": dieUnsent, "written": die} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			l := newFaultyLog(r.log, func(n int) fault { return map[bool]fault{true: f}[n == 2] })
			terms := make(chan context.CancelFunc, 10)
			in := r.start(func(c *Config) {
				c.Log = l
				c.Elect = func(ctx context.Context) (context.Context, func(), error) {
					term, end := context.WithCancel(context.WithoutCancel(ctx))
					terms <- end
					return term, end, ctx.Err()
				}
			})
			r.publish(issued("first"))
			r.drained()
			r.publish(issued("second"))
			<-l.dead
			read := in.Stats().Reads
			(<-terms)()
			r.publish(issued("third"))
			r.drained()
			if got := len(r.facts()); got != 3 {
				t.Errorf("%d facts, want 3", got)
			}
			if s := in.Stats(); s.Terms != 2 || s.Reads != read {
				t.Errorf("the log was read anew: %+v", s)
			}
		})
	}
}

// TestAnotherOnesBatchInsteadOfOurs ends a term in the same way, and lets another
// intake append before the next one.
func TestAnotherOnesBatchInsteadOfOurs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := newFaultyLog(r.log, func(n int) fault { return map[bool]fault{true: dieUnsent}[n == 1] })
	elect := make(chan struct{}, 1)
	terms := make(chan context.CancelFunc, 10)
	in := r.start(func(c *Config) {
		c.Log = l
		c.Elect = func(ctx context.Context) (context.Context, func(), error) {
			select {
			case <-elect:
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
			term, end := context.WithCancel(context.WithoutCancel(ctx))
			terms <- end
			return term, end, nil
		}
	})
	elect <- struct{}{}
	r.publish(issued("first"))
	<-l.dead
	(<-terms)()
	other := r.start()
	r.until("the other one has written", func() bool { return other.Stats().Records == 1 })
	other.stop()
	close(elect)
	r.publish(issued("second"))
	r.drained()
	if got := len(r.facts()); got != 2 {
		t.Errorf("%d facts, want 2", got)
	}
	if s := in.Stats(); s.Reads < 2 {
		t.Errorf("what was known of a batch that is not in the log was kept: %+v", s)
	}
}
