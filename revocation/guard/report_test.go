package guard_test

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/guard"
)

// slow is a feed whose decisions take an hour of clock.
type slow struct {
	clock  *time.Time
	answer revocation.Decision
}

func (s slow) Decide(revocation.Claims) revocation.Decision {
	*s.clock = s.clock.Add(time.Hour)
	return s.answer
}

// A token that is decided just before its revocation starts was accepted before.
func TestReportsSayWhenItWasDecided(t *testing.T) {
	t.Parallel()
	for _, state := range []revocation.State{revocation.Active, revocation.Revoked} {
		clock, r := now, &reports{}
		g := newGuard(t, func(c *guard.Config) {
			c.Report, c.Now, c.Feed = r, func() time.Time { return clock }, slow{&clock, revocation.Decision{State: state}}
		})
		g.Admit(t.Context(), guard.Call{Authorization: []string{"Bearer " + good(t, claims())}}) //nolint:errcheck // what is told counts
		if len(r.got) != 1 || !r.got[0].Time.Equal(now) {
			t.Errorf("%s: %d reports, the first of %s, want %s", state, len(r.got), r.got[0].Time, now)
		}
	}
}
