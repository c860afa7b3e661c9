package feedkey

import (
	"fmt"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// history is a log with one revocation under each of some generations.
func history(t *testing.T, generations ...uint32) *stream.Log {
	t.Helper()
	s := natsdtest.Start(t)
	log := feedtest.OpenLog(t, s)
	for n, g := range generations {
		log.Key = feedtest.KeyOf(feedtest.Tenant, g)
		log.Revoke(t, events.ScopeToken, feedtest.Claims(n))
	}
	opened, err := stream.OpenLog(t.Context(), natsdtest.JetStream(t, s, natsd.Projector))
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// TestALogThatGoesOn is not read again.
func TestALogThatGoesOn(t *testing.T) {
	t.Parallel()
	l := newLives([]*stream.Log{history(t, 1, 2, 3)})
	for _, want := range []int{3, 0} {
		clear(l.until)
		if err := l.catchUp(t.Context()); err != nil || len(l.until) != want {
			t.Errorf("%d generations were read, want %d: %v", len(l.until), want, err)
		}
	}
}

// TestALogThatWentBack to an older copy and goes on in another way is read anew, be it
// shorter, as long or longer than what was read. What the lost part said still holds:
// verifiers may have it.
func TestALogThatWentBack(t *testing.T) {
	t.Parallel()
	was := []uint32{1, 2, 3}
	for _, is := range [][]uint32{{4}, {4, 5, 6}, {4, 5, 6, 7, 8}} {
		t.Run(fmt.Sprint(len(is)), func(t *testing.T) {
			t.Parallel()
			l := newLives([]*stream.Log{history(t, was...)})
			if err := l.catchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.logs[0].log = history(t, is...)
			for range 2 {
				if err := l.catchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, g := range append(is, was...) {
				if l.until[revocation.KeyID{Tenant: feedtest.Tenant, Generation: g}] == 0 {
					t.Errorf("generation %d is not known to live", g)
				}
			}
		})
	}
}

// TestWhatHasExpiredIsDropped of what is under keys that do not rotate, as everything that
// such a key makes is kept in mind.
func TestWhatHasExpiredIsDropped(t *testing.T) {
	t.Parallel()
	l, now := newLives([]*stream.Log{nil}), time.Now()
	for n := range uint64(3) {
		l.note(l.logs[0], &revocation.Entry{Index: n, Expires: events.TimestampOf(now.Add(time.Duration(n) * time.Hour)), Key: revocation.KeyID{Tenant: feedtest.Tenant, Generation: events.FirstStanding}})
	}
	for after, want := range []int{2, 1, 0} {
		lost := l.lost(nil, now.Add(time.Duration(after)*time.Hour))
		if kept := len(l.logs[0].standing); kept != want || lost != min(want, 1) {
			t.Errorf("after %d h: %d are kept, want %d, and %d keys are lost", after, kept, want, lost)
		}
	}
}
