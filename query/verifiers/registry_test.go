package verifiers

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

// What is said to be enforced is refused, at every verifier, at that moment.
func TestEnforcedMeansRefused(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry()
	var all []*feed.Feed
	for n := range 3 {
		f, _ := h.verify(fmt.Sprintf("orders-%d", n))
		all = append(all, f)
	}
	r.of(t, 3, 3)
	for n := range 20 {
		of := h.revoke(n)
		e, done := r.waits(t, of, patience)
		for i, f := range all {
			if d := f.Decide(feedtest.Claims(n)); d.State != revocation.Revoked {
				t.Errorf("token %d: enforced, and verifier %d says %s", n, i, d.State)
			}
		}
		since := time.Since(of.Received)
		if !done || e.Of != 3 || e.Fresh != 3 || e.At != 3 || e.Slowest == nil || e.Slowest.Lag > since || e.Slowest.Lag < 0 {
			t.Fatalf("token %d: %v %+v", n, done, e)
		}
		for _, v := range e.Verifiers {
			if !v.Applied || v.Lag > e.Slowest.Lag || v.AppliedAt.Before(of.Received.Truncate(time.Microsecond)) || v.Position < of.Position || v.State != Current {
				t.Errorf("token %d: %+v", n, v)
			}
		}
	}
}

// One that hears but does not apply is waited for, and named.
func TestVerifierThatLagsIsNamed(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry()
	h.verify("quick")
	hold, held := make(chan struct{}), make(chan struct{})
	var release func()
	once := false
	h.verify("slow", func(c *feed.Config) {
		c.OnApply = func(a feed.Applied) {
			if a.Entries > 0 && !a.Snapshot && !once {
				once = true
				close(held)
				<-hold
			}
		}
	})
	release = func() { close(hold) }
	r.of(t, 2, 2)
	of := h.revoke(1)
	<-held
	began := time.Now()
	e, done := r.waits(t, of, time.Second)
	if took := time.Since(began); done || took < time.Second {
		t.Errorf("done %v after %s", done, took)
	}
	if d := cmp.Diff([]string{"slow"}, names(e)); d != "" || e.At != 1 || e.Of != 2 {
		t.Errorf("%s %+v", d, e)
	}
	release()
	if e, done = r.waits(t, of, patience); !done || e.At != 2 || e.Slowest.Name != "slow" || e.Slowest.Lag < time.Second {
		t.Errorf("%v %+v", done, e)
	}
}

func TestNobodyRegisteredIsDoneAtOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry()
	if e, done := r.waits(t, h.revoke(1), 0); !done || e.Of != 0 || e.At != 0 || len(e.Verifiers) != 0 || e.Slowest != nil {
		t.Errorf("%v %+v", done, e)
	}
}

// A verifier that is killed stays registered, is named, and is not waited for;
// when it comes back it is the same; when it stops in order it is gone.
func TestKilledVerifier(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry()
	h.verify("lives")
	dies := h.spawn("dies")
	r.of(t, 2, 2)
	end(dies, syscall.SIGKILL)
	r.of(t, 2, 1)
	of := h.revoke(1)
	e, done := r.waits(t, of, patience)
	if d := cmp.Diff([]string{"dies"}, names(e)); !done || d != "" || e.Of != 2 || e.Fresh != 1 || e.At != 1 || e.Missing()[0].State != Silent {
		t.Errorf("%v %s %+v", done, d, e)
	}
	again := h.registry() // which never heard it
	if s := again.Stats(); s.Registered != 2 {
		t.Errorf("a second API knows %+v", s)
	}
	back := h.spawn("dies")
	for _, r := range []*Registry{r, again} {
		r.of(t, 2, 2)
		if e, done := r.waits(t, of, patience); !done || e.At != 2 || e.Missing() == nil && e.Of != 2 {
			t.Errorf("%v %+v", done, e)
		}
	}
	end(back, syscall.SIGTERM)
	for _, r := range []*Registry{r, again} {
		r.of(t, 1, 1)
	}
	h.registry().of(t, 1, 1)
}

// Silence alone is no agreement.
func TestAllSilentIsNotDone(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry(func(c *Config) { c.FreshFor = time.Second })
	dies := h.spawn("dies")
	r.of(t, 1, 1)
	end(dies, syscall.SIGKILL)
	r.of(t, 1, 0)
	if e, done := r.waits(t, h.revoke(1), 500*time.Millisecond); done || e.Of != 1 || e.Fresh != 0 || e.At != 0 {
		t.Errorf("%v %+v", done, e)
	}
}

// One that falls silent while it is waited for is not waited for any longer.
func TestVerifierDiesWhileWaitedFor(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry(func(c *Config) { c.FreshFor = time.Second })
	h.verify("lives")
	dies := h.spawn("dies")
	r.of(t, 2, 2)
	if err := dies.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	of := h.revoke(1)
	if e, done := r.waits(t, of, patience); !done || e.At != 1 || e.Of != 2 {
		t.Errorf("%v %+v", done, e)
	}
	if err := dies.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.of(t, 2, 2)
	if e, done := r.waits(t, of, patience); !done || e.At != 2 {
		t.Errorf("%v %+v", done, e)
	}
}

// A registry that was started anew knows who applied what, and not when.
func TestRestartedRegistryKnowsWhoButNotWhen(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry()
	h.verify("one")
	h.verify("two")
	r.of(t, 2, 2)
	of := h.revoke(1)
	before, _ := r.waits(t, of, patience)
	again := h.registry()
	again.of(t, 2, 2)
	after, done := again.waits(t, of, patience)
	if !done || after.At != 2 || after.Slowest != nil || before.Slowest == nil {
		t.Errorf("%v %+v, before %+v", done, after, before)
	}
	of = h.revoke(2)
	for _, r := range []*Registry{r, again} {
		if e, done := r.waits(t, of, patience); !done || e.At != 2 || e.Slowest == nil {
			t.Errorf("%v %+v", done, e)
		}
	}
}

// A clock that is wrong by an hour changes no lag and no freshness.
func TestClocksOfVerifiersDoNotCount(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry()
	for name, off := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		h.verify(name, func(c *feed.Config) { c.Now = func() time.Time { return time.Now().Add(off) } })
	}
	r.of(t, 2, 2)
	of := h.revoke(1)
	e, done := r.waits(t, of, patience)
	if !done || e.At != 2 || e.Slowest.Lag > time.Since(of.Received) {
		t.Errorf("%v %+v", done, e)
	}
	for i, v := range r.list() {
		if want := []time.Duration{time.Hour, -time.Hour}[i]; v.ClockOffset > want || v.ClockOffset < want-time.Minute {
			t.Errorf("%s: clock is off by %s", v.Name, v.ClockOffset)
		}
	}
}

// wellFormed is a receipt that is in order.
func wellFormed(r *Registry, id string) revocation.Receipt {
	h := r.head()
	return revocation.Receipt{ID: id, Name: id, Instance: "i1", Started: time.Now(), At: time.Now(),
		Places: []revocation.Reached{{Epoch: h.Epoch, Position: h.Position}}}
}

func marshal(t *testing.T, r revocation.Receipt) []byte {
	t.Helper()
	data, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What is no receipt of the verifier that it came from is dropped and counted,
// live and when it is kept.
func TestMaliciousReceiptsAreDropped(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry()
	nc := natsdtest.Connect(t, h.server, natsd.Verifier)
	good := wellFormed(r, "evil")
	long := append(marshal(t, good), make([]byte, stream.MaxReceiptBytes)...)
	for i := len(marshal(t, good)); i < len(long); i++ {
		long[i] = ' ' // it is JSON all the same
	}
	for name, data := range map[string][]byte{
		"another's id": marshal(t, wellFormed(r, "victim")), "not JSON": []byte("{"), "empty": nil, "huge": long,
		"hugest": []byte(`"` + strings.Repeat("x", 900<<10) + `"`),
		"no id":  marshal(t, revocation.Receipt{Instance: "i"}),
	} {
		before := r.Stats()
		say(t, nc, "evil", data)
		feedtest.Eventually(t, name+" is refused", func() bool { return r.Stats().Refused > before.Refused })
		if s := r.Stats(); s.Registered != 0 || s.Receipts != before.Receipts {
			t.Errorf("%s: %+v", name, s)
		}
	}
	say(t, nc, "evil", marshal(t, good))
	r.of(t, 1, 1)
	h.registry().of(t, 1, 1) // which reads what is kept, a moment after it was sent
}

// A position that there is not counts for nothing, and the verifier is named.
func TestPositionFromTheFutureCountsForNothing(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := h.registry()
	nc := natsdtest.Connect(t, h.server, natsd.Verifier)
	for name, change := range map[string]func(*revocation.Receipt){
		"the end of time": func(m *revocation.Receipt) { m.Places[0].Position = 1<<64 - 1 },
		"another log":     func(m *revocation.Receipt) { m.Places[0].Epoch++ },
		"another shard":   func(m *revocation.Receipt) { m.Places = append(m.Places, m.Places[0]) },
		"no shard":        func(m *revocation.Receipt) { m.Places, m.Doubt = nil, revocation.CauseCold },
	} {
		of := h.revoke(1)
		lie := wellFormed(r, "liar")
		change(&lie)
		say(t, nc, "liar", marshal(t, lie))
		r.of(t, 1, 1)
		if e, done := r.waits(t, of, 100*time.Millisecond); done || e.At != 0 {
			t.Errorf("%s: %v %+v", name, done, e)
		}
		if len(lie.Places) == 0 {
			continue
		}
		feedtest.Eventually(t, name+": unconfirmed", func() bool {
			say(t, nc, "liar", marshal(t, lie))
			return r.list()[0].State == Unconfirmed
		})
		honest := wellFormed(r, "liar")
		say(t, nc, "liar", marshal(t, honest))
		feedtest.Eventually(t, name+": current", func() bool { return r.list()[0].State == Current })
	}
}

// Whoever speaks for a verifier that is alive is noticed, whatever instance is
// made up.
func TestVerifierThatIsAliveCannotBeSpokenFor(t *testing.T) {
	t.Parallel()
	for name, instance := range map[string]func(n int) string{
		"one instance": func(int) string { return "evil" }, "many": func(n int) string { return fmt.Sprintf("evil-%d", n) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			r := h.registry()
			hold := make(chan struct{})
			defer close(hold)
			h.verify("victim", func(c *feed.Config) { // it lives, and applies nothing
				c.OnApply = func(a feed.Applied) {
					if a.Entries > 0 && !a.Snapshot {
						<-hold
					}
				}
			})
			r.of(t, 1, 1)
			of := h.revoke(1)
			nc := natsdtest.Connect(t, h.server, natsd.Verifier)
			n := 0
			feedtest.Eventually(t, "contested", func() bool {
				lie := wellFormed(r, "victim")
				lie.Instance = instance(n)
				n++
				say(t, nc, "victim", marshal(t, lie))
				return r.list()[0].State == Contested
			})
			if e := r.enforced(of); e.At != 0 || e.Of != 1 {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestFullRegistryForgetsTheSilentAndNobodyElse(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := &Registry{cfg: Config{MaxVerifiers: 3, FreshFor: time.Second, Now: func() time.Time { return now }}, verifiers: map[string]*verifier{}, claims: map[string]*verifier{}}
	for _, id := range []string{"a", "b", "c", "d"} {
		r.receive(id, marshal(t, revocation.Receipt{ID: id, Instance: "i", Started: now, At: now}))
		now = now.Add(100 * time.Millisecond)
	}
	ids := func() (out []string) {
		for _, v := range r.list() {
			out = append(out, v.ID)
		}
		return out
	}
	if d := cmp.Diff([]string{"a", "b", "c"}, ids()); d != "" || r.Stats().Refused != 1 {
		t.Errorf("%s, %+v", d, r.Stats())
	}
	now = now.Add(800 * time.Millisecond) // a and b are silent, a for longer
	r.receive("d", marshal(t, revocation.Receipt{ID: "d", Instance: "i", Started: now, At: now}))
	if d := cmp.Diff([]string{"b", "c", "d"}, ids()); d != "" {
		t.Error(d)
	}
}

// A log that was made anew: what was applied in the one before it says nothing.
func TestPositionsOfAnotherLogDoNotCount(t *testing.T) {
	t.Parallel()
	r := &Registry{cfg: Config{MaxVerifiers: 3}.withDefaults(), verifiers: map[string]*verifier{}, claims: map[string]*verifier{}}
	r.cfg.MaxVerifiers = 3
	r.Advance(revocation.Head{Epoch: 1, Position: 10})
	m := revocation.Receipt{ID: "a", Instance: "i", Started: time.Now(), At: time.Now(), Places: []revocation.Reached{{Epoch: 1, Position: 10}}}
	r.receive("a", marshal(t, m))
	of := Revoked{Position: 4}
	if e := r.enforced(of); e.At != 1 {
		t.Fatalf("%+v", e)
	}
	r.Advance(revocation.Head{Epoch: 2, Position: 5})
	if e := r.enforced(of); e.At != 0 {
		t.Errorf("%+v", e)
	}
	m.Places[0].Epoch, m.Places[0].Position = 2, 4
	r.receive("a", marshal(t, m))
	if e := r.enforced(of); e.At != 1 {
		t.Errorf("%+v", e)
	}
}

// What a verifier says before we know of it counts as of when it said so, if
// that was just before.
func TestVerifierThatKnowsBeforeUs(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Microsecond)
	r := &Registry{cfg: Config{Now: func() time.Time { return now }}.withDefaults(), verifiers: map[string]*verifier{}, claims: map[string]*verifier{}}
	at := func(position uint64) {
		r.receive("a", marshal(t, revocation.Receipt{ID: "a", Instance: "i", Started: now, At: now, Places: []revocation.Reached{{Epoch: 1, Position: position}}}))
	}
	r.Advance(revocation.Head{Epoch: 1, Position: 10})
	at(10)
	for _, tt := range []struct{ late, lag time.Duration }{{500 * time.Millisecond, 20 * time.Millisecond}, {3 * time.Second, 3020 * time.Millisecond}} {
		of := Revoked{Position: r.head().Position + 1, Received: now}
		now = now.Add(20 * time.Millisecond)
		at(of.Position)
		now = now.Add(time.Millisecond)
		at(of.Position + 5)
		if e := r.enforced(of); e.At != 0 {
			t.Fatalf("%+v", e)
		}
		now = now.Add(tt.late - time.Millisecond)
		r.Advance(revocation.Head{Epoch: 1, Position: of.Position})
		if e := r.enforced(of); e.At != 1 || e.Slowest == nil || e.Slowest.Lag != tt.lag {
			t.Errorf("late by %s: %+v", tt.late, e)
		}
		r.Advance(revocation.Head{Epoch: 1, Position: of.Position + 5})
		of.Position += 5
		if e := r.enforced(of); e.At != 1 {
			t.Errorf("%+v", e)
		}
	}
}

func TestMissingIsListedFirstAndThenTheSlowest(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	at := time.Now()
	want := []Standing{
		{Name: "b"}, {Name: "a", State: Silent},
		{Name: "x", Applied: true, AppliedAt: at, Lag: 9 * ms}, {Name: "c", Applied: true, AppliedAt: at, Lag: 2 * ms}, {Name: "d", Applied: true},
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compare)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestConfigReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(Config{FreshFor: 1, MaxVerifiers: -1, ReloadEvery: 1})
	for _, name := range []string{"conn", "fresh", "max", "reload"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported in: %v", name, err)
		}
	}
}

// A process that takes the place of another is believed when that one has been
// silent for long enough, or has taken leave.
func TestRestartedVerifierIsBelievedInTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := &Registry{cfg: Config{Now: func() time.Time { return now }}.withDefaults(), verifiers: map[string]*verifier{}, claims: map[string]*verifier{}}
	r.Advance(revocation.Head{Epoch: 1, Position: 10})
	say := func(instance string, stopped bool) {
		r.receive("a", marshal(t, revocation.Receipt{ID: "a", Instance: instance, Started: now, At: now, Stopped: stopped, Places: []revocation.Reached{{Epoch: 1, Position: 10}}}))
	}
	state := func(want State, at int) {
		t.Helper()
		if e := r.enforced(Revoked{Position: 10}); e.Of != 1 || e.Verifiers[0].State != want || e.At != at {
			t.Errorf("got %+v, want %s", e, want)
		}
	}
	say("one", false)
	now = now.Add(4 * time.Second)
	say("two", false)
	state(Contested, 0)
	now = now.Add(999 * time.Millisecond)
	say("two", false)
	state(Contested, 0)
	now = now.Add(time.Millisecond)
	state(Current, 1)
	say("nobody", true) // takes leave for it
	state(Current, 1)
	say("one", false) // it was alive after all
	state(Contested, 0)
	say("one", true)
	say("two", false)
	state(Current, 1)
}

// Before it is known who is registered nothing is said, and nothing is done.
func TestNothingIsSaidBeforeTheRegisteredAreRead(t *testing.T) {
	t.Parallel()
	r, err := New(Config{Conn: natsdtest.Connect(t, natsdtest.Start(t), natsd.API)})
	if err != nil {
		t.Fatal(err)
	}
	if e, known := r.Enforced(Revoked{Position: 1}); known {
		t.Errorf("%+v", e)
	}
	if all, known := r.List(); known {
		t.Errorf("%+v", all)
	}
	if e, done := r.waits(t, Revoked{}, 10*time.Millisecond); done {
		t.Errorf("%+v", e)
	}
	feedtest.Go(t, r.Run)
	if e, done := r.waits(t, Revoked{}, patience); !done || e.Of != 0 {
		t.Errorf("%v %+v", done, e)
	}
}

// A verifier that has lost its view, as after a restart, applies nothing until
// it has one again; when it first did stays what it was.
func TestColdVerifierAppliesNothing(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Microsecond)
	r := &Registry{cfg: Config{Now: func() time.Time { return now }}.withDefaults(), verifiers: map[string]*verifier{}, claims: map[string]*verifier{}}
	at := func(doubt revocation.Cause, position ...uint64) Enforcement {
		now = now.Add(time.Second)
		m := revocation.Receipt{ID: "a", Instance: "i", Started: now, At: now, Doubt: doubt}
		for _, p := range position {
			m.Places = append(m.Places, revocation.Reached{Epoch: 1, Position: p})
		}
		r.receive("a", marshal(t, m))
		return r.enforced(Revoked{Position: 10, Received: time.Unix(0, 0)})
	}
	r.Advance(revocation.Head{Epoch: 1, Position: 10})
	at("", 9)
	before := at("", 10)
	if e := at(revocation.CauseCold); e.At != 0 || e.Verifiers[0].State != Cold {
		t.Errorf("%+v", e)
	}
	if e := at("", 10); e.At != 1 || before.At != 1 || e.Slowest == nil || e.Slowest.Lag != before.Slowest.Lag {
		t.Errorf("%+v, before %+v", e, before)
	}
}
