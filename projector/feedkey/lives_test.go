package feedkey

import (
	"fmt"
	"testing"

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
