package feed

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// A clock that was a day ahead for a while, and is right again: what was
// applied, announced, loaded and swept meanwhile is still revoked.
func TestClockAheadDropsNothing(t *testing.T) {
	t.Parallel()
	right := time.Now()
	now := right
	f := New(Config{PublicKey: feedtest.Public(), Now: func() time.Time { return now }}.withDefaults())
	key := feedtest.Key(1)
	f.keys = []events.FeedKey{key}
	entry := func(n int) revocation.Entry {
		c := feedtest.Claims(n)
		return revocation.Entry{Hash: key.Hash(events.ScopeToken, c.Issuer, c.TokenID), Index: uint64(n), Scope: events.ScopeToken,
			Expires: events.TimestampOf(right.Add(time.Hour)), At: events.TimestampOf(right), Key: revocation.KeyID{Tenant: feedtest.Tenant, Generation: 1}}
	}
	head := revocation.Head{Epoch: 1, Feed: 1, Seq: 1, Position: 1, Time: right.UnixMicro()}
	set := revocation.NewSet(1)
	set.Apply(entry(1))
	data := must(set.Snapshot(head, events.Ref{}, feedtest.Signer()))

	now = right.Add(24 * time.Hour)
	f.show(f.viewOf(must(revocation.OpenSnapshot(feedtest.Public(), data))))
	head.Seq, head.Position = 2, 2
	delta := revocation.Delta{Head: head, Prev: 1, Entries: []revocation.Entry{entry(2)}}
	next := must(f.step(t.Context(), f.view.Load(), must(delta.Sign(feedtest.Signer()))))
	f.show(next.doubted(""))
	head.Seq, head.Position = 3, 3
	f.hear(must((&revocation.Delta{Head: head, Entries: []revocation.Entry{entry(3)}}).Announce(feedtest.Signer())))
	f.sweep()
	now = right
	for n := 1; n <= 3; n++ {
		if d := f.Decide(feedtest.Claims(n)); d.State != revocation.Revoked {
			t.Errorf("token %d: %s", n, d.State)
		}
	}
	now = right.Add(24 * time.Hour)
	beat := revocation.Delta{Head: head, Prev: 2, PrevSum: next.sum}
	beat.Time = now.UnixMicro()
	f.show(must(f.step(t.Context(), f.view.Load(), must(beat.Sign(feedtest.Signer())))))
	if f.sweep(); f.Status().Entries != 0 {
		t.Errorf("%d entries are left when the signer's clock has passed their expiry", f.Status().Entries)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
