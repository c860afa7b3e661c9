package seal_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

// openAt is open with a clock.
func openAt(t testing.TB, store seal.Store, now *time.Time) *seal.Keyring {
	t.Helper()
	k, err := seal.NewKeyring(seal.Config{Store: store, Root: kek, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func generations(t testing.TB, k *seal.Keyring) (out []uint32) {
	t.Helper()
	tenant, err := k.Tenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tenant.FeedKeys() {
		if f.Tenant != "acme" {
			t.Errorf("key of tenant %q", f.Tenant)
		}
		out = append(out, f.Generation)
	}
	return out
}

func current(t testing.TB, k *seal.Keyring) uint32 {
	t.Helper()
	tenant, err := k.Tenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	return tenant.FeedKey().Generation
}

func standing(t *seal.Tenant) events.FeedKey { return t.FeedKeyFor(events.ScopeKey, 0) }

func TestFeedKeysRotateAndAreDestroyed(t *testing.T) {
	t.Parallel()
	store, ctx := new(sealtest.Memory), t.Context()
	now := time.Unix(4*428_000_000, 0)
	k := openAt(t, store, &now)
	_, err := k.RotateFeedKey(ctx, "acme", 1, now)
	wantErr(t, err, seal.ErrNotFound)
	tenant, err := k.Tenant(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	first, made := tenant.FeedKey(), time.Unix(4*429_000_000, 0)
	if first.Generation != 428_000_000 {
		t.Errorf("the first is generation %d", first.Generation)
	}
	second, err := k.RotateFeedKey(ctx, "acme", first.Generation, made) // by the caller's clock
	if err != nil || second.Generation != 429_000_000 || second.Key == first.Key {
		t.Fatalf("rotate: generation %d, %v", second.Generation, err)
	}
	third, err := k.RotateFeedKey(ctx, "acme", second.Generation, made)
	if err != nil || third.Generation != 429_000_001 {
		t.Fatalf("rotate at the same time: generation %d, %v", third.Generation, err)
	}
	now = made.Add(time.Hour)
	if again, err := k.RotateFeedKey(ctx, "acme", first.Generation, now); err != nil || again != third {
		t.Errorf("behind the first there is one already: generation %d, %v", again.Generation, err)
	}
	now = made.Add(seal.FeedKeyAhead - time.Second)
	if got := current(t, k); got != first.Generation {
		t.Errorf("generation %d is in use before others can have read it", got)
	}
	if err := k.DestroyFeedKey(ctx, "acme", first.Generation); err == nil {
		t.Error("the one in use was destroyed")
	}
	now = now.Add(time.Hour)
	for _, g := range []uint32{third.Generation, third.Generation + 1, standing(tenant).Generation} {
		if err := k.DestroyFeedKey(ctx, "acme", g); err == nil {
			t.Errorf("generation %d was destroyed while %d is current", g, third.Generation)
		}
	}
	for _, g := range []uint32{first.Generation, first.Generation} {
		if err := k.DestroyFeedKey(ctx, "acme", g); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []*seal.Keyring{k, openAt(t, store, &now)} {
		if got := generations(t, k); !slices.Equal(got, []uint32{second.Generation, third.Generation, standing(tenant).Generation}) || current(t, k) != third.Generation {
			t.Errorf("generations %v, current %d", got, current(t, k))
		}
	}
	all, err := k.FeedGenerations(ctx)
	if err != nil || len(all) != 2 || all[0].Generation != second.Generation || all[1].Tenant != "acme" || !all[0].Created.Equal(made) {
		t.Errorf("%+v %v", all, err)
	}
}

// TestATenantMadeAnewHasOtherNumbers, however soon after the first: a key that another
// one took the number of would be looked for under that, and not found.
func TestATenantMadeAnewHasOtherNumbers(t *testing.T) {
	t.Parallel()
	now, seen := time.Unix(1_800_000_000, 0), make(map[uint32]bool)
	for range 10 {
		k := openAt(t, new(sealtest.Memory), &now)
		for _, g := range generations(t, k) {
			if seen[g] {
				t.Errorf("generation %d again at %s", g, now)
			}
			seen[g] = true
		}
		now = now.Add(4 * time.Second)
	}
}

// TestWhatHasNoEndIsUnderTheStandingKey: it would keep the hashes of people under
// the same key guessable for ever. That key is in every keyring that has the tenant.
func TestWhatHasNoEndIsUnderTheStandingKey(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	one, err := open(t, store).Tenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	two, err := open(t, store).Tenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	other, err := open(t, store).Tenant(t.Context(), "globex")
	if err != nil {
		t.Fatal(err)
	}
	standing, others := standing(one), standing(other)
	if !events.Standing(standing.Generation) || standing != two.FeedKeyFor(events.ScopeKey, seal.LongestFeedKey+1) || standing.Key == others.Key || standing.Generation == others.Generation {
		t.Errorf("standing key of generation %d: the same for everybody, and no other tenant's", standing.Generation)
	}
	if !slices.Contains(one.FeedKeys(), standing) {
		t.Error("verifiers are not given the standing key")
	}
	for _, scope := range []events.Scope{events.ScopeToken, events.ScopeSession, events.ScopeSubject, events.ScopeClient, events.ScopeIssuer, events.ScopeTenant, events.ScopeGrant} {
		if one.FeedKeyFor(scope, seal.LongestFeedKey) != one.FeedKey() || one.FeedKey() == standing {
			t.Errorf("a %s would stay guessable for ever", scope)
		}
		if got := one.FeedKeyFor(scope, seal.LongestFeedKey+1); (got == standing) == scope.HasCutoff() {
			t.Errorf("a %s that lasts longer is under generation %d", scope, got.Generation)
		}
	}
}

func TestRotatingAtOnceMakesOneKey(t *testing.T) {
	t.Parallel()
	store, now := new(sealtest.Memory), time.Unix(1_800_000_000, 0)
	tenant, err := openAt(t, store, &now).Tenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := openAt(t, store, &now).RotateFeedKey(t.Context(), "acme", 450_000_000, now); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := generations(t, openAt(t, store, &now)); !slices.Equal(got, []uint32{450_000_000, 450_000_001, standing(tenant).Generation}) {
		t.Errorf("generations %v", got)
	}
}

// TestFeedKeysAreWhatTenantsHave now, and none is left out in silence.
func TestFeedKeysAreWhatTenantsHave(t *testing.T) {
	t.Parallel()
	store, now, ctx := new(sealtest.Memory), time.Unix(1_800_000_000, 0), t.Context()
	k, reader := openAt(t, store, &now), openAt(t, store, &now)
	tenants := []string{"acme", "globex"}
	same := func(what string, keys int) {
		t.Helper()
		var want []events.FeedKey
		for _, name := range tenants {
			tenant, err := openAt(t, store, &now).Tenant(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, tenant.FeedKeys()...)
		}
		got, err := reader.FeedKeys(ctx)
		slices.SortFunc(got, func(a, b events.FeedKey) int {
			return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Generation, b.Generation))
		})
		if err != nil || !slices.Equal(got, want) || len(got) != keys {
			t.Errorf("%s: %d keys, want %d: %v", what, len(got), keys, err)
		}
	}
	same("at first", 4)
	tenants = append(tenants, "umbrella")
	same("a new tenant", 6)
	if _, err := k.RotateFeedKey(ctx, "globex", 450_000_000, now); err != nil {
		t.Fatal(err)
	}
	same("a new generation", 7)
	now = now.Add(seal.FeedKeyAhead)
	if err := k.DestroyFeedKey(ctx, "globex", 450_000_000); err != nil {
		t.Fatal(err)
	}
	same("one that is destroyed", 6)
	for _, name := range []string{"t.umbrella", fmt.Sprint("f.umbrella.", 450_000_000)} {
		if err := store.Erase(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(seal.MaxCacheTTL)
	same("one that was lost and made anew", 6)
	store.Tamper("f.acme.450000000", []byte("not what it was"))
	if got, err := openAt(t, store, &now).FeedKeys(ctx); err == nil {
		t.Errorf("%d keys, and acme's is taken for destroyed", len(got))
	}
}
