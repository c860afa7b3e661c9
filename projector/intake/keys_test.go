package intake

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

// TestKeyringThatFailsIsAskedAgain fails a few calls, and some that took
// effect.
func TestKeyringThatFailsIsAskedAgain(t *testing.T) {
	t.Parallel()
	for name, verdict := range map[string]sealtest.Verdict{"failed": sealtest.Fail, "failed but applied": sealtest.ApplyThenFail} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var calls atomic.Int64
			r.keys.Judge = func(string, string) sealtest.Verdict {
				if n := calls.Add(1); n <= 3 || n >= 8 && n <= 9 {
					return verdict
				}
				return sealtest.Pass
			}
			r.start()
			for _, id := range []string{"a", "b", "c"} {
				ev := issued(id)
				ev.Data.Subject = id + "@example.com"
				r.publish(ev)
			}
			r.drained()
			if got := len(r.facts()); got != 3 {
				t.Errorf("%d facts, want 3", got)
			}
		})
	}
}

// TestKeyringThatIsDownHoldsEvents logs nothing without its keys, and
// everything when they are back; an event that needs no new key passes.
func TestKeyringThatIsDownHoldsEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start()
	r.publish(issued("known"))
	r.drained()
	var down atomic.Bool
	down.Store(true)
	r.keys.Judge = func(method, key string) sealtest.Verdict {
		if down.Load() {
			return sealtest.Fail
		}
		return sealtest.Pass
	}
	stranger := issued("stranger")
	stranger.Data.Subject = "bob@example.com"
	nobody := revoked("nobody")
	nobody.Data.Subject = ""
	r.publish(stranger, nobody)
	r.until("events are held and others are not", func() bool { s := in.Stats(); return s.Held > 0 && s.Records == 2 })
	if got := r.facts(); got["stranger"].Record != nil || got["revocation-of-nobody"].Record == nil {
		t.Errorf("facts: %v", got)
	}
	down.Store(false)
	r.drained()
	if got := len(r.facts()); got != 3 {
		t.Errorf("%d facts, want 3", got)
	}
}

// TestDamagedKeySparesOthers breaks the entry of one person in the keyring.
func TestDamagedKeySparesOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	store := &sealtest.Memory{}
	r.keys.Store = store
	kek := seal.GenerateKEK()
	r.keyring = r.newKeyring(kek)
	in := r.start()
	r.publish(issued("a"))
	r.drained()
	in.stop()
	for name, value := range store.Dump() {
		if strings.HasPrefix(name, "k.acme.") {
			value[len(value)-1] ^= 1
			store.Tamper(name, value)
		}
	}
	r.keyring = r.newKeyring(kek) // without what the other has cached
	again := r.start()
	bob := issued("bob")
	bob.Data.Subject = "bob@example.com"
	r.publishBatch(issued("b"), bob)
	r.drained()
	if got := r.facts(); len(got) != 2 || got["bob"].Record == nil {
		t.Errorf("facts: %v", got)
	}
	if got := r.quarantined(); len(got) != 1 || got[0].Reason != events.ReasonDefect || got[0].ID != "b" || got[0].Sealed == nil {
		t.Errorf("quarantined: %+v", got)
	}
	if s := again.Stats(); s.Refused[events.ReasonDefect] != 1 {
		t.Errorf("%+v", s)
	}
}
