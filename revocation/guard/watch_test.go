package guard_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
)

// follower is a decider that a test changes, and that tells of it.
type follower struct {
	decider
	keys    byte // how many there are
	changed func([]revocation.Entry)
}

func (f *follower) Listen(changed func([]revocation.Entry)) func() {
	f.changed = changed
	return func() { f.changed = nil }
}

// hashOf is the hash of an entry about a token, under one of the keys.
func hashOf(tokenID string, key byte) (h events.Ref) {
	copy(h[1:], tokenID)
	h[0] = key
	return h
}

func (f *follower) AppendHashes(dst []events.Ref, c revocation.Claims) []events.Ref {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.keys {
		dst = append(dst, hashOf(c.TokenID, k+1))
	}
	return dst
}

func (f *follower) answers(d revocation.Decision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = d
}

func (d *decider) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked)
}

// bubble runs f where time stands still until everybody waits, with a stream
// whose token is valid for a minute.
func bubble(t *testing.T, f func(t *testing.T, feed *follower, stream context.Context, stop func()), change ...func(*guard.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		feed := &follower{decider: decider{answer: revocation.Decision{State: revocation.Active}}, keys: 1}
		start := time.Now()
		g := newGuard(t, append([]func(*guard.Config){func(c *guard.Config) {
			c.Feed, c.Now = feed, func() time.Time { return now.Add(time.Since(start)) }
		}}, change...)...)
		tok, err := g.Check(t.Context(), good(t, claims()))
		if err != nil {
			t.Fatal(err)
		}
		stream, stop := g.Watch(t.Context(), tok)
		defer stop()
		f(t, feed, stream, stop)
	})
}

// cutAfter waits for the stream to end and checks when and why it did.
func cutAfter(t *testing.T, stream context.Context, least, most time.Duration, want guard.Reason) {
	t.Helper()
	began := time.Now()
	select {
	case <-stream.Done():
	case <-time.After(time.Hour):
		t.Fatal("not cut")
	}
	var r *guard.Refusal
	if !errors.As(context.Cause(stream), &r) || r.Reason != want {
		t.Errorf("cut because of %v, want %s", context.Cause(stream), want)
	}
	if took := time.Since(began); took < least || took > most {
		t.Errorf("cut after %s, want %s to %s", took, least, most)
	}
}

var revoked = revocation.Decision{State: revocation.Revoked, Scope: events.ScopeToken}

func TestStreamIsCutWhenItsTokenIsRevoked(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, feed *follower, stream context.Context, _ func()) {
		time.Sleep(10 * time.Second)
		feed.answers(revoked)
		feed.changed([]revocation.Entry{{Hash: hashOf("token-1", 1)}})
		cutAfter(t, stream, 0, 0, guard.ReasonRevoked)
	})
}

// TestAGuardThatIsClosedIsNotTold: nothing of it stays in the feed, and its streams
// are still looked at.
func TestAGuardThatIsClosedIsNotTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := &follower{decider: decider{answer: revocation.Decision{State: revocation.Active}}, keys: 1}
		g := newGuard(t, func(c *guard.Config) { c.Feed = feed })
		tok, err := g.Check(t.Context(), good(t, claims()))
		if err != nil {
			t.Fatal(err)
		}
		stream, stop := g.Watch(t.Context(), tok)
		defer stop()
		time.Sleep(10 * time.Second)
		if feed.changed == nil {
			t.Fatal("nobody listens")
		}
		if g.Close(); feed.changed != nil {
			t.Error("listens still")
		}
		feed.answers(revoked)
		cutAfter(t, stream, 0, time.Second, guard.ReasonRevoked)
		newGuard(t).Close() // whose feed tells nobody
	})
}

func TestStreamThatJustBeganIsCut(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, feed *follower, stream context.Context, _ func()) {
		feed.answers(revoked) // told of before anybody listens for this token
		feed.changed([]revocation.Entry{{Hash: hashOf("token-1", 1)}})
		cutAfter(t, stream, 0, 100*time.Millisecond, guard.ReasonRevoked)
	})
}

func TestStreamIsCutWithinASecondWhereNobodyTells(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, feed *follower, stream context.Context, _ func()) {
		time.Sleep(10 * time.Second)
		feed.answers(revoked)
		cutAfter(t, stream, 0, time.Second, guard.ReasonRevoked)
	})
}

func TestRevocationsOfOthersCostAStreamNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, feed *follower, stream context.Context, _ func()) {
		time.Sleep(150 * time.Millisecond)
		before := feed.questions()
		for range 1000 {
			feed.changed([]revocation.Entry{{Hash: hashOf("token-2", 1)}})
		}
		time.Sleep(150 * time.Millisecond)
		if n := feed.questions() - before; n != 0 || stream.Err() != nil {
			t.Errorf("%d decisions, %v", n, stream.Err())
		}
	})
}

// TestStreamsAreLookedAtAgainWhereItMayBeAny tells again and again: that must
// not put the look off. When it comes is drawn, so it is tried often.
func TestStreamsAreLookedAtAgainWhereItMayBeAny(t *testing.T) {
	t.Parallel()
	for range 30 {
		bubble(t, func(t *testing.T, feed *follower, stream context.Context, _ func()) {
			time.Sleep(10 * time.Second)
			feed.answers(revoked)
			for range 100 {
				feed.changed(nil)
				time.Sleep(time.Millisecond)
			}
			if stream.Err() == nil {
				t.Error("not cut within 100 ms")
			}
		})
	}
}

func TestStreamIsFoundUnderANewKey(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, feed *follower, stream context.Context, _ func()) {
		time.Sleep(10 * time.Second)
		feed.mu.Lock()
		feed.keys = 2
		feed.mu.Unlock()
		feed.changed(nil)
		time.Sleep(100 * time.Millisecond)
		feed.answers(revoked)
		feed.changed([]revocation.Entry{{Hash: hashOf("token-1", 2)}})
		cutAfter(t, stream, 0, 0, guard.ReasonRevoked)
	})
}

func TestStreamIsCutWhenItsTokenExpires(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *follower, stream context.Context, _ func()) {
		cutAfter(t, stream, time.Minute, time.Minute, guard.ReasonExpired)
	})
	bubble(t, func(t *testing.T, _ *follower, stream context.Context, _ func()) {
		cutAfter(t, stream, 70*time.Second, 70*time.Second, guard.ReasonExpired)
	}, func(c *guard.Config) { c.Leeway = 10 * time.Second })
}

func TestStreamNobodyVouchesFor(t *testing.T) {
	t.Parallel()
	unknown := revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseStale}
	for name, tt := range map[string]struct {
		change      func(*guard.Config)
		least, most time.Duration
		want        guard.Reason
	}{
		"strict":       {func(*guard.Config) {}, 9 * time.Second, 11 * time.Second, guard.ReasonUnknown},
		"longer grace": {func(c *guard.Config) { c.StreamGrace = 30 * time.Second }, 29 * time.Second, 31 * time.Second, guard.ReasonUnknown},
		"no grace":     {func(c *guard.Config) { c.StreamGrace = 1 }, 0, time.Second, guard.ReasonUnknown},
		"best effort":  {func(c *guard.Config) { c.Policy = guard.BestEffort }, 55 * time.Second, 55 * time.Second, guard.ReasonExpired},
		"strict tenant": {func(c *guard.Config) {
			c.Policy, c.PolicyOf = guard.BestEffort, func(string) guard.Policy { return guard.Strict }
		}, 9 * time.Second, 11 * time.Second, guard.ReasonUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, feed *follower, stream context.Context, _ func()) {
				time.Sleep(5 * time.Second)
				feed.answers(unknown)
				feed.changed(nil)
				cutAfter(t, stream, tt.least, tt.most, tt.want)
			}, tt.change)
		})
	}
}

func TestStreamOutlivesAShortDoubt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, feed *follower, stream context.Context, _ func()) {
		for range 3 {
			feed.answers(revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseGap})
			time.Sleep(8 * time.Second)
			feed.answers(revocation.Decision{State: revocation.Active})
			time.Sleep(2 * time.Second)
		}
		if stream.Err() != nil {
			t.Error(context.Cause(stream))
		}
	})
}

func TestStoppedStreamIsNotLookedAt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, feed *follower, stream context.Context, stop func()) {
		time.Sleep(time.Second)
		stop()
		if cause := context.Cause(stream); !errors.Is(cause, context.Canceled) {
			t.Errorf("ended because of %v", cause)
		}
		before := feed.questions()
		feed.changed(nil)
		feed.changed([]revocation.Entry{{Hash: hashOf("token-1", 1)}})
		time.Sleep(time.Minute)
		if n := feed.questions() - before; n != 0 {
			t.Errorf("%d decisions", n)
		}
	})
}

func TestCutIsReported(t *testing.T) {
	t.Parallel()
	r := &reports{}
	bubble(t, func(t *testing.T, feed *follower, stream context.Context, _ func()) {
		time.Sleep(time.Second)
		feed.answers(revocation.Decision{State: revocation.Revoked, Position: 9})
		cutAfter(t, stream, 0, time.Second, guard.ReasonRevoked)
	}, func(c *guard.Config) { c.Report = r })
	if len(r.got) != 1 {
		t.Fatalf("%d reports", len(r.got))
	}
	ev := r.got[0]
	if ev.Type != events.TokenRejected || ev.Data.Reason != "revoked" || ev.Data.TokenID != "token-1" || ev.Data.View != 9 || ev.Data.Attributes["stream"] != "cut" {
		t.Errorf("got %+v", ev)
	}
	ev.ID, ev.Source = "1", "test"
	if refusal := (events.Policy{}).Validate(&ev, ev.Time); refusal != nil {
		t.Errorf("the intake would refuse it: %v", refusal)
	}
}

// TestStreamsComeAndGoWhileThingsChange is for the race detector, and for locks
// taken in the wrong order.
func TestStreamsComeAndGoWhileThingsChange(t *testing.T) {
	t.Parallel()
	feed := &follower{decider: decider{answer: revocation.Decision{State: revocation.Active}}, keys: 2}
	g := newGuard(t, func(c *guard.Config) { c.Feed = feed })
	tok, err := g.Check(t.Context(), good(t, claims()))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				stream, stop := g.Watch(t.Context(), tok)
				select {
				case <-stream.Done():
				case <-time.After(101 * time.Millisecond):
				}
				stop()
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); all.Wait() }()
	for {
		select {
		case <-done:
			if n := g.Streams(); n != 0 {
				t.Errorf("%d are still watched", n)
			}
			return
		default:
			feed.changed(nil)
			feed.changed([]revocation.Entry{{Hash: hashOf("token-1", 2)}})
			time.Sleep(time.Millisecond)
		}
	}
}
