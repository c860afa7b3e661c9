package feed

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at is a feed whose clock stands at now, with a view in which token 1 is
// revoked.
func at(now time.Time, v view) *Feed {
	f := New(Config{Now: func() time.Time { return now }})
	v.set = revocation.NewSet(1)
	key := feedtest.Key(1)
	v.set.SetKeys([]events.FeedKey{key})
	v.set.Apply(revocation.Entry{Hash: key.Hash(events.ScopeToken, feedtest.Issuer, "token-1"), Index: 1, Scope: events.ScopeToken,
		Key: revocation.KeyID{Tenant: feedtest.Tenant, Generation: 1}})
	f.view.Store(&v)
	return f
}

func head(signed time.Time) revocation.Head { return revocation.Head{Time: signed.UnixMicro()} }

func TestAgeCountsFromSigningAndFromReceiving(t *testing.T) {
	t.Parallel()
	const skew = 2 * time.Second
	for _, tt := range []struct {
		name             string
		signed, received time.Duration // before now
		want             time.Duration
	}{
		{"just now", 0, 0, 0},
		{"received a while ago", 3 * time.Second, 3 * time.Second, 3 * time.Second},
		{"under way for as long as clocks may differ", 2 * time.Second, 0, 0},
		{"held back", 30 * time.Second, 0, 28 * time.Second},
		{"held back, a while ago", 40 * time.Second, 10 * time.Second, 38 * time.Second},
		{"signed in our future, as far as clocks may differ", -2 * time.Second, 0, 0},
		{"signed in our future", -10 * time.Second, 0, 8 * time.Second},
		{"signed in our far future, a while ago", -24 * time.Hour, 10 * time.Second, 24*time.Hour + 18*time.Second},
		{"our clock was set back since", -time.Hour, -time.Hour, 0},
	} {
		v := view{}.heardAt(head(t0.Add(-tt.signed)), events.Ref{}, t0.Add(-tt.received), skew)
		if got := v.age(t0); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestSleepOfTheMachineCounts(t *testing.T) {
	t.Parallel()
	v := view{heard: time.Now()} // with a monotonic reading, which stands still in sleep
	if got := v.age(time.Now().Round(0).Add(time.Hour)); got < time.Hour-time.Second {
		t.Errorf("got %s", got)
	}
}

func TestDecisionsOfEveryView(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		age   time.Duration
		doubt revocation.Cause
		state revocation.State
		cause revocation.Cause
	}{
		{"fresh", 5 * time.Second, "", revocation.Active, ""},
		{"old", 5*time.Second + 1, "", revocation.Unknown, revocation.CauseStale},
		{"gap", 0, revocation.CauseGap, revocation.Unknown, revocation.CauseGap},
		{"gap, and old", time.Hour, revocation.CauseGap, revocation.Unknown, revocation.CauseGap},
		{"from disk", 0, revocation.CauseStale, revocation.Unknown, revocation.CauseStale},
	} {
		f := at(t0, view{heard: t0.Add(-tt.age), doubt: tt.doubt, position: 7})
		want := revocation.Decision{State: tt.state, Cause: tt.cause, Age: tt.age, Position: 7}
		if got := f.Decide(feedtest.Claims(2)); got != want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, want)
		}
		if got := f.Decide(feedtest.Claims(1)); got.State != revocation.Revoked || got.Age != tt.age || got.Cause != "" {
			t.Errorf("%s, revoked token: got %+v", tt.name, got)
		}
		if s := f.Status(); s.Doubt != tt.cause || s.Entries != 1 || s.Position != 7 {
			t.Errorf("%s: got %+v", tt.name, s)
		}
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	f := at(t0, view{heard: t0})
	c := feedtest.Claims(2)
	if n := testing.AllocsPerRun(100, func() { f.Decide(c) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	f := at(t0, view{heard: t0})
	f.cfg.Now = time.Now
	c := feedtest.Claims(2)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.Decide(c)
		}
	})
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"no connection": func(c *Config) { c.Conn = nil },
		"no key":        func(c *Config) { c.PublicKey = nil },
		"stale":         func(c *Config) { c.StaleAfter = time.Hour },
		"quiet":         func(c *Config) { c.QuietAfter = 6 * time.Second },
		"skew":          func(c *Config) { c.ClockSkew = time.Hour },
		"save":          func(c *Config) { c.SaveEvery = 1 },
	} {
		c := Config{Conn: offline(t), PublicKey: feedtest.Public()}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&c); c.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
