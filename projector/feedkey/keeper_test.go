package feedkey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/revocation"
)

// TestThreeGenerations: what was revoked under any of them is refused while it lives,
// over rotations and destructions, and nothing else is.
func TestThreeGenerations(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -70*day)
	k := h.keeper()
	h.turn(k)
	under := func(jti string, exp time.Duration) uint32 { return h.revoke("acme", jti, exp).Revocation.FeedKey }
	first := under("a", time.Hour)
	h.turn(k)
	h.wants("before the period is over", first)

	h.at(-40 * day)
	h.turn(k)
	second := h.newest()
	h.wants("after it", first, second)
	if got := under("a2", time.Hour); got != first {
		t.Errorf("generation %d is used before all have read it", got)
	}
	h.at(-32*day + time.Hour)
	if got := under("b", 50*time.Hour); got != second {
		t.Errorf("under generation %d, want %d", got, second)
	}
	h.at(-10 * day)
	h.turn(k)
	third := h.newest()
	h.wants("what lives keeps its key", first, second, third)
	h.at(0)
	if got := under("c", 50*time.Hour); got != third {
		t.Errorf("under generation %d, want %d", got, third)
	}
	h.turn(k)
	h.wants("all three live", first, second, third)
	for jti, want := range map[string]revocation.State{"a": revocation.Revoked, "a2": revocation.Revoked, "b": revocation.Revoked, "c": revocation.Revoked, "d": revocation.Active} {
		h.decides("acme", jti, want)
	}

	h.at(Linger)
	h.turn(k)
	h.wants("the first has expired, but not Linger ago", first, second, third)
	h.at(Linger + 2*time.Hour)
	h.turn(k)
	h.wants("the first is over", second, third)
	for jti, want := range map[string]revocation.State{"a": revocation.Active, "b": revocation.Revoked, "c": revocation.Revoked, "d": revocation.Active} {
		h.decides("acme", jti, want)
	}
	h.at(Linger + 60*time.Hour)
	h.turn(k)
	h.wants("the one in use stays", third)
	h.decides("acme", "d", revocation.Active)
	if s := k.Status(); !s.AtWork || s.Keys != 1 || s.Retired != 0 || s.Made != 2 || s.Destroyed != 2 || s.Failures != 0 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

// retire makes a second generation of acme, which is in use for long, and is its number.
// The clock is at 0 then.
func (h *house) retire(k *Keeper) uint32 {
	h.Helper()
	h.at(-20 * day)
	h.turn(k)
	h.at(0)
	return h.newest()
}

// TestADestroyedKeyIsGone: from the keyring's stream, from what verifiers are given,
// and for whoever would compare the record of an erasure with guesses.
func TestADestroyedKeyIsGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	k := h.keeper()
	erasure := h.publish("acme", events.SubjectRevoked, events.Data{Subject: "ann@example.org", IssuedBefore: events.TimestampOf(time.Now().Add(-2 * day))})
	guesses := []string{"bob@example.org", "ann@example.org", "cid@example.org"}
	tied := func() (found []string) {
		keys, err := h.Keys(t.Context())
		h.check(err)
		for _, key := range keys {
			for _, sub := range guesses {
				if key.Hash(events.ScopeSubject, issuer, sub) == erasure.Revocation.Hash {
					found = append(found, sub)
				}
			}
		}
		return found
	}
	if got := tied(); !slices.Equal(got, []string{"ann@example.org"}) {
		t.Fatalf("with its key the record is tied to %v", got)
	}
	first, second := h.newest(), h.retire(k)
	h.at(2 * day)
	h.turn(k)
	h.wants("after the destruction", second)
	if got := tied(); got != nil {
		t.Errorf("without its key the record is tied to %v", got)
	}
	names, err := h.store().List(t.Context(), "f.")
	h.check(err)
	if want := fmt.Sprint("f.acme.", second); !slices.Equal(names, []string{want}) {
		t.Errorf("in the keyring: %v", names)
	}
	keys, err := h.Keys(t.Context())
	h.check(err)
	if slices.ContainsFunc(keys, func(f events.FeedKey) bool { return f.Generation == first }) {
		t.Error("verifiers are given the key")
	}
}

// TestTheFeedGoesOnWhileKeysTurn: a verifier that follows refuses what is revoked while
// the key in use changes and another is destroyed, and is sure meanwhile of what is not.
func TestTheFeedGoesOnWhileKeysTurn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	k := h.keeper()
	h.revoke("acme", "a", time.Hour)
	h.revoke("globex", "a", -3*day) // it has expired
	first := h.keyOf("globex", h.of("globex")[0])
	v := h.verify()
	h.at(-20 * day)
	h.turn(k)
	ofGlobex := h.of("globex")
	second := h.keyOf("globex", ofGlobex[len(ofGlobex)-1])
	v.awaits(&second, true)

	v.watch(func() {
		for n := range 40 {
			h.sendRevoked("acme", n)
			if n == 20 {
				h.at(-12*day + time.Minute) // while some are on their way
			}
		}
		h.sendRevoked("globex", 0)
		for n := range 40 {
			v.refuses("acme", n)
		}
		v.refuses("globex", 0)
	})
	h.drained()
	used, firsts := map[string]bool{}, []uint32{h.generations()[0], first.Generation}
	for _, l := range h.records() {
		if r := l.record.Revocation; r != nil {
			used[fmt.Sprint(l.record.Tenant, slices.Contains(firsts, r.FeedKey))] = true
		}
	}
	if len(used) != 4 {
		t.Fatalf("both tenants were to revoke under both generations: %v", used)
	}

	v.watch(func() {
		h.at(0)
		h.turn(k)
		if acme, globex := h.of("acme"), h.of("globex"); len(acme) != 2 || !slices.Equal(globex, []uint32{second.Generation}) {
			t.Errorf("generations %v of the one whose first has living ones, %v of the other", acme, globex)
		}
		v.awaits(&first, false)
		h.sendRevoked("acme", 41)
		h.sendRevoked("globex", 41)
		for tenant, tokens := range map[string][]int{"acme": {0, 39, 41}, "globex": {0, 41}} {
			for _, n := range tokens {
				v.refuses(tenant, n)
			}
		}
	})
}

// TestKilledBetween: whoever comes after one that was killed goes on.
func TestKilledBetween(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	h.revoke("acme", "a", -3*day)
	second := h.retire(h.keeper())
	again := h.keeper() // a new process: it knows nothing of the first
	h.turn(again)
	h.wants("another goes on", second)
	h.turn(h.keeper())
	h.wants("nothing is left to do", second)
}

// deaf does what it is asked, and answers that it could not.
type deaf struct{ *seal.Keyring }

var errDeaf = errors.New("no answer came")

func (d deaf) RotateFeedKey(ctx context.Context, tenant string, after uint32, now time.Time) (events.FeedKey, error) {
	_, err := d.Keyring.RotateFeedKey(ctx, tenant, after, now)
	return events.FeedKey{}, errors.Join(err, errDeaf)
}

func (d deaf) DestroyFeedKey(ctx context.Context, tenant string, generation uint32) error {
	return errors.Join(d.Keyring.DestroyFeedKey(ctx, tenant, generation), errDeaf)
}

// TestWhatFailedButWasDone is not done again, and keeps no other tenant waiting.
func TestWhatFailedButWasDone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	h.revoke("acme", "a", -3*day)
	h.revoke("globex", "a", -3*day)
	k, first := h.keeper(), h.newest()
	k.cfg.Keyring = deaf{h.keyring()}
	h.at(-20 * day)
	if err := k.turn(t.Context()); !errors.Is(err, errDeaf) {
		t.Errorf("the turn says %v", err)
	}
	h.turn(k)
	second := h.newest()
	h.wants("one was made", first, second)
	h.at(0)
	if err := k.turn(t.Context()); !errors.Is(err, errDeaf) {
		t.Errorf("the turn says %v", err)
	}
	h.turn(k) // there is nothing left to fail
	if h.wants("one was destroyed", second); len(h.of("globex")) != 1 || k.Status().Failures != 2 {
		t.Errorf("of the other tenant %v, %+v", h.of("globex"), k.Status())
	}
}

// TestWhatWaitsKeepsItsKey: a message that was stored before, and is in hand, held or
// delivered again, may yet be hashed under the older key by who slept over it.
func TestWhatWaitsKeepsItsKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	k := h.keeper()
	h.revoke("acme", "a", -3*day)
	first, second := h.newest(), h.retire(k)
	h.stop()
	h.send("acme", events.TokenRevoked, events.Data{TokenID: "b", Expires: events.TimestampOf(time.Now().Add(time.Hour))})
	h.turn(k)
	h.turn(h.keeper())
	h.wants("a message waits", first, second)
	h.open()
	lanetest.Eventually(t, "the key is destroyed", func() error {
		h.turn(k)
		if got := h.generations(); !slices.Equal(got, []uint32{second}) {
			return fmt.Errorf("generations %v", got)
		}
		return nil
	})
	h.decides("acme", "b", revocation.Revoked)
}

// TestAnotherNextIsWaitedForAnew: where the keyring that was restored lacks the next one,
// the older is in use again, and what is stored then may be hashed under it.
func TestAnotherNextIsWaitedForAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	k := h.keeper()
	h.revoke("acme", "a", time.Hour)
	first, second := h.newest(), h.retire(k)
	h.turn(k)
	h.wants("what lives keeps it", first, second)
	h.check(h.store().Erase(t.Context(), fmt.Sprint("f.acme.", second)))
	h.stop()
	h.send("acme", events.TokenRevoked, events.Data{TokenID: "b", Expires: events.TimestampOf(time.Now().Add(time.Hour))})
	h.turn(k)
	third := h.newest()
	h.at(20 * day)
	h.turn(k)
	h.wants("a message waits", first, third)
	h.open()
	lanetest.Eventually(t, "the key is destroyed", func() error {
		h.turn(k)
		if got := h.generations(); !slices.Equal(got, []uint32{third}) {
			return fmt.Errorf("generations %v", got)
		}
		return nil
	})
}

// TestARestoredKeyIsDestroyedAgain, with the first turn.
func TestARestoredKeyIsDestroyedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	h.revoke("acme", "a", -3*day)
	first := h.newest()
	name := fmt.Sprint("f.acme.", first)
	values, err := h.store().Get(t.Context(), name)
	h.check(err)
	second := h.retire(h.keeper())
	h.turn(h.keeper())
	h.wants("destroyed", second)
	h.check(h.store().Create(t.Context(), "", seal.Put{Key: name, Value: values[name]}))
	h.wants("restored", first, second)
	h.turn(h.keeper())
	h.wants("destroyed again", second)
}

// TestAKeyIsMadeByTheKeepersClock: that of its process alone would have it wait in the
// future.
func TestAKeyIsMadeByTheKeepersClock(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	k := h.keeper()
	k.cfg.Keyring = h.keyringAt(func() time.Time { return h.now().Add(1000 * day) })
	h.revoke("acme", "a", time.Hour)
	second := h.retire(k)
	if made := time.Unix(int64(second)*4, 0); made.After(h.now()) {
		t.Errorf("made at %s", made)
	}
	if got := h.revoke("acme", "b", time.Hour).Revocation.FeedKey; got != second {
		t.Errorf("under generation %d, want %d", got, second)
	}
}

// TestANumberIsNeverGivenAgain, also where the keyring that is restored does not know
// that there was a second: what was made with that is unknown, and not active.
func TestANumberIsNeverGivenAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	k := h.keeper()
	h.revoke("acme", "a", time.Hour)
	second := h.retire(k)
	h.revoke("acme", "b", time.Hour)
	h.check(h.store().Erase(t.Context(), fmt.Sprint("f.acme.", second))) // as in a copy from before
	k = h.keeper()
	h.turn(k)
	if third := h.newest(); third <= second {
		t.Errorf("generation %d after %d", third, second)
	}
	h.decides("acme", "b", revocation.Unknown)
	h.decides("acme", "a", revocation.Revoked)
	if s := k.Status(); s.Lost != 1 {
		t.Errorf("%+v", s)
	}
}

// TestATenantMadeAnewHasOtherNumbers: a keyring from before there was the tenant makes
// it again. What was made with the keys that it lacks is unknown, and not active, until
// it is lifted.
func TestATenantMadeAnewHasOtherNumbers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -day)
	token, key := h.revoke("acme", "a", time.Hour), h.publish("acme", events.KeyRevoked, events.Data{KeyID: "k"})
	old := h.newest()
	h.forget("acme")
	h.at(0)
	h.revoke("acme", "b", time.Hour)
	if now := h.newest(); now == old || h.of("acme")[0] == old {
		t.Errorf("generation %d again", now)
	}
	h.decides("acme", "a", revocation.Unknown)
	h.decides("acme", "c", revocation.Unknown)
	h.decides("acme", "b", revocation.Revoked)
	k := h.keeper()
	h.turn(k)
	if s := k.Status(); s.Lost != 2 {
		t.Errorf("%+v", s)
	}
	h.lift(token)
	h.decides("acme", "c", revocation.Unknown)
	h.lift(key)
	h.decides("acme", "c", revocation.Active)
	h.at(2 * time.Hour)
	if h.turn(k); k.Status().Lost != 0 {
		t.Errorf("%+v", k.Status())
	}
}

// TestTenantsThatDoNotRevokeCostNothing: no turn writes for them.
func TestTenantsThatDoNotRevokeCostNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -100*day)
	keys := h.keyring()
	for n := range 50 {
		_, err := keys.Tenant(t.Context(), fmt.Sprint("quiet-", n))
		h.check(err)
	}
	h.revoke("acme", "a", time.Hour)
	k, first := h.keeper(), h.newest()
	h.at(-60 * day)
	h.turn(k)
	h.wants("the one that revokes has another", first, h.newest())
	before := h.written()
	for _, away := range []time.Duration{-59 * day, -20 * day, 0, day} {
		h.at(away)
		h.turn(k)
	}
	if after := h.written(); after != before {
		t.Errorf("%d writes for nobody", after-before)
	}
}

// written is how often the keyring's stream was written to.
func (h *house) written() uint64 {
	h.Helper()
	s, err := h.js.Stream(h.Context(), stream.KeyringStream)
	h.check(err)
	return s.CachedInfo().State.LastSeq
}

// TestWhatHasNoEnd keeps no generation.
func TestWhatHasNoEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	k := h.keeper()
	key := h.publish("acme", events.KeyRevoked, events.Data{KeyID: "k9"})
	token := h.revoke("acme", "for ever", 3000*day)
	for _, v := range []*events.Revocation{key.Revocation, token.Revocation} {
		if !events.Standing(v.FeedKey) {
			t.Errorf("%+v", v)
		}
	}
	h.turn(k)
	a := h.revoke("acme", "a", -3*day)
	h.publish("acme", events.RevocationLifted, events.Data{Attributes: map[string]string{ // without an end
		"hash": a.Revocation.Hash.String(), "revocation": a.Ref().String(), "position": "1", "scope": "token", "feed_key": fmt.Sprint(a.Revocation.FeedKey)}})
	second := h.retire(k)
	h.at(400 * day)
	h.turn(k)
	h.wants("the lift keeps none", second)
	if h.turn(k); k.Status().Lost != 0 {
		t.Errorf("nothing is unknown: %+v", k.Status())
	}
	h.decides("acme", "a", revocation.Active)
	c := revocation.Claims{Tenant: "acme", Issuer: issuer, TokenID: "t", KeyID: "k9", IssuedAt: events.TimestampOf(time.Now())}
	if d := h.set(h.now()).Decide(&c, h.now()); d.State != revocation.Revoked || d.Scope != events.ScopeKey {
		t.Errorf("a token under a revoked key: %+v", d)
	}
}

// TestOneKeeperAtATime turns keys, and another where that is gone.
func TestOneKeeperAtATime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, -75*day)
	h.revoke("acme", "a", -3*day)
	one, two := h.keeper(), h.keeper()
	stop := h.kit.Run(one.Run)
	lanetest.Eventually(t, "one at work", func() error { return atWork(one) })
	h.kit.Run(two.Run)
	h.at(-40 * day)
	lanetest.Eventually(t, "a rotation", func() error {
		if s := one.Status(); s.Made != 1 || len(h.generations()) != 2 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if two.Status().AtWork {
		t.Error("two at work")
	}
	stop()
	if s := one.Status(); s.AtWork || s.Keys != 0 || s.Made != 1 || s.Failures != 0 {
		t.Errorf("after its end: %+v", s)
	}
	h.at(0)
	lanetest.Eventually(t, "a destruction by the other", func() error {
		if s := two.Status(); s.Destroyed != 1 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

func atWork(k *Keeper) error {
	if !k.Status().AtWork {
		return errors.New("it is not")
	}
	return nil
}

func TestConfigReportsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Period: time.Hour, Every: time.Millisecond})
	for _, want := range []string{"keyring", "logs", "intake", "lock", "period 1h", "every 1ms"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %q", err, want)
		}
	}
}

// TestNoClockAloneEndsAKey: the earlier of the server's and ours counts.
func TestNoClockAloneEndsAKey(t *testing.T) {
	t.Parallel()
	now := Config{}.withDefaults().Now
	if got := now(time.Now().Add(day)); time.Until(got) > time.Minute {
		t.Errorf("the server's clock is ahead: %s", got)
	}
	behind := time.Now().Add(-day)
	if got := now(behind); !got.Equal(behind) {
		t.Errorf("ours is: %s", got)
	}
}
