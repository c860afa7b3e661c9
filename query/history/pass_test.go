package history

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// TestLiftsOfTooManyAreNotSeen: what was not kept is never taken for lifted.
func TestLiftsOfTooManyAreNotSeen(t *testing.T) {
	t.Parallel()
	for _, n := range []uint64{maxUnread, maxUnread + 1, maxUnread + 2} {
		c := revocation.Claims{Tenant: "acme", Issuer: "https://id.example", TokenID: "j"}
		p := &pass{claims: &c, at: Moment{Time: time.Now()}, set: revocation.NewSet(1), unread: make(map[place]revocation.Entry)}
		p.set.SetKeys(nil)
		for _, lift := range []bool{false, true} {
			for i := range n {
				p.note(revocation.Entry{Hash: events.Ref{1}, Index: i + 1, Lift: lift, Scope: events.ScopeToken, Reason: "r", Key: revocation.KeyID{Tenant: "acme", Generation: 1}})
			}
			if len(p.unread) > maxUnread+1 {
				t.Errorf("%d entries are kept", len(p.unread))
			}
		}
		p.applyUnread()
		want := revocation.Active
		if n > maxUnread {
			want = revocation.Unknown
		}
		if d := p.set.Decide(&c, p.at.Time); d.State != want {
			t.Errorf("of %d, all lifted: %+v, want %s", n, d, want)
		}
	}
}
