package feed_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// TestListenersAreToldWhatDecisionsSee has a listener ask for a decision while
// it is told, as what cuts streams does.
func TestListenersAreToldWhatDecisionsSee(t *testing.T) {
	t.Parallel()
	h := start(t)
	f := h.verify(t)
	c := feedtest.Claims(1)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(4)) // from then on it has the tenant's key
	awaitState(t, f, feedtest.Claims(4), revocation.Revoked)
	hashes := f.AppendHashes(nil, c)
	if len(hashes) != 7 { // all scopes but the grant, which it has not
		t.Fatalf("%d hashes", len(hashes))
	}
	told := make(chan revocation.State, 100)
	stop := f.Listen(func(entries []revocation.Entry) {
		if slices.ContainsFunc(entries, func(e revocation.Entry) bool { return slices.Contains(hashes, e.Hash) }) {
			told <- f.Decide(c).State
		}
	})
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(2))
	h.log.Revoke(t, events.ScopeSession, c)
	if state := <-told; state != revocation.Revoked {
		t.Errorf("told of it, decided %s", state)
	}
	stop()
	for len(told) > 0 { // of the same, once announced and once stored
		if state := <-told; state != revocation.Revoked {
			t.Errorf("told again, decided %s", state)
		}
	}
	h.log.Revoke(t, events.ScopeToken, c)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(3))
	awaitState(t, f, feedtest.Claims(3), revocation.Revoked)
	if len(told) > 0 {
		t.Error("told after it was stopped, or of another token")
	}
}

func TestListenersAreToldOfANewView(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(1))
	f := feed.New(feed.Config{Conn: natsdtest.Connect(t, h.server, natsd.Verifier), PublicKey: feedtest.Public()})
	var seen atomic.Bool
	f.Listen(func(entries []revocation.Entry) {
		if entries == nil && f.Decide(feedtest.Claims(1)).State == revocation.Revoked {
			seen.Store(true)
		}
	})
	feedtest.Go(t, f.Run)
	feedtest.Eventually(t, "told", seen.Load)
}

func TestListenersAreToldOfNewKeys(t *testing.T) {
	t.Parallel()
	h := start(t)
	f := h.verify(t)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(3))
	awaitState(t, f, feedtest.Claims(3), revocation.Revoked)
	var more atomic.Bool
	f.Listen(func(entries []revocation.Entry) {
		if entries == nil && len(f.AppendHashes(nil, feedtest.Claims(1))) == 14 {
			more.Store(true)
		}
	})
	h.keys.Set(feedtest.Key(1), feedtest.Key(2))
	h.log.Key = feedtest.Key(2)
	h.log.Revoke(t, events.ScopeToken, feedtest.Claims(2))
	feedtest.Eventually(t, "told", more.Load)
}
