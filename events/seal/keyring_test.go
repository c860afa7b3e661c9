package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var kek = seal.GenerateKEK()

// open is a keyring over store, as a process of its own would have it.
func open(t testing.TB, store seal.Store) *seal.Keyring {
	t.Helper()
	k, err := seal.NewKeyring(seal.Config{Store: store, Root: kek})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func person(n int) seal.Person {
	return seal.Person{Tenant: "acme", Issuer: "https://issuer.example", Subject: fmt.Sprintf("canary-%d@example.org", n)}
}

func people(n int) []seal.Person {
	out := make([]seal.Person, n)
	for i := range out {
		out[i] = person(i)
	}
	return out
}

func subjects(t testing.TB, k *seal.Keyring, ps ...seal.Person) []seal.SubjectKey {
	t.Helper()
	keys, err := k.Subjects(t.Context(), ps)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// letter is a sealed part with what is needed to open it.
func letter(t testing.TB, s seal.SubjectKey, tenant, text string) seal.OpenRequest {
	t.Helper()
	sealed, err := s.Seal(tenant, "src", "id", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return seal.OpenRequest{Tenant: tenant, Source: "src", ID: "id", Ref: s.Ref, Generation: s.Generation, Sealed: sealed}
}

func wantOpens(t testing.TB, k *seal.Keyring, r seal.OpenRequest, text string) {
	t.Helper()
	if plain, err := k.Open(t.Context(), r); err != nil || string(plain) != text {
		t.Fatalf("open: %q, %v; want %q", plain, err, text)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	for _, allOrNone := range []bool{false, true} {
		sealtest.TestStore(t, func(*testing.T) seal.Store { return &sealtest.Memory{AllOrNone: allOrNone} })
	}
}

func TestKEKIsARoot(t *testing.T) {
	t.Parallel()
	sealtest.TestRoot(t, func(*testing.T) seal.Root { return kek })
}

func TestMemoryRevisions(t *testing.T) {
	t.Parallel()
	sealtest.TestRevisions(t, func(*testing.T) sealtest.RevisionStore { return new(sealtest.Memory) })
}

func TestSealedOpensOnlyForItsEvent(t *testing.T) {
	t.Parallel()
	k := open(t, new(sealtest.Memory))
	s := subjects(t, k, person(1))[0]
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(0, 3, 6)
		source, id, plain := text.Draw(rt, "source"), text.Draw(rt, "id"), rapid.SliceOf(rapid.Byte()).Draw(rt, "plain")
		sealed, err := s.Seal("acme", source, id, plain)
		if err != nil {
			rt.Fatal(err)
		}
		r := seal.OpenRequest{Tenant: "acme", Source: source, ID: id, Ref: s.Ref, Generation: 1, Sealed: sealed}
		if got, err := k.Open(t.Context(), r); err != nil || !bytes.Equal(got, plain) {
			rt.Fatalf("open: %x, %v", got, err)
		}
		other := r
		other.Source, other.ID = text.Draw(rt, "other source"), text.Draw(rt, "other id")
		if other.Source == source && other.ID == id {
			return
		}
		if _, err := k.Open(t.Context(), other); !errors.Is(err, seal.ErrSealed) {
			rt.Fatalf("opened for (%q, %q) what was sealed for (%q, %q): %v", other.Source, other.ID, source, id, err)
		}
	})
}

func TestOpenRefusesWhatWasChanged(t *testing.T) {
	t.Parallel()
	k := open(t, new(sealtest.Memory))
	other := person(1)
	other.Tenant = "globex"
	keys := subjects(t, k, person(1), person(2), other)
	good := letter(t, keys[0], "acme", "text")
	wantOpens(t, k, good, "text")
	for name, change := range map[string]func(*seal.OpenRequest){
		"another person":     func(r *seal.OpenRequest) { r.Ref = keys[1].Ref },
		"the tenant's key":   func(r *seal.OpenRequest) { r.Ref = events.Ref{} },
		"no generation":      func(r *seal.OpenRequest) { r.Generation = 0 },
		"later generation":   func(r *seal.OpenRequest) { r.Generation = 2 },
		"border moved":       func(r *seal.OpenRequest) { r.Source, r.ID = "srci", "d" },
		"nothing":            func(r *seal.OpenRequest) { r.Sealed = nil },
		"cut":                func(r *seal.OpenRequest) { r.Sealed = r.Sealed[:len(r.Sealed)-1] },
		"longer":             func(r *seal.OpenRequest) { r.Sealed = append(bytes.Clone(r.Sealed), 0) },
		"another version":    func(r *seal.OpenRequest) { r.Sealed = bytes.Clone(r.Sealed); r.Sealed[0]++ },
		"one bit of the tag": func(r *seal.OpenRequest) { r.Sealed = bytes.Clone(r.Sealed); r.Sealed[len(r.Sealed)-1] ^= 1 },
	} {
		r := good
		change(&r)
		if plain, err := k.Open(t.Context(), r); !errors.Is(err, seal.ErrSealed) || plain != nil {
			t.Errorf("%s: %q, %v; want ErrSealed", name, plain, err)
		}
	}
	moved := good
	moved.Tenant = "globex"
	if _, err := k.Open(t.Context(), moved); !errors.Is(err, seal.ErrDestroyed) {
		t.Errorf("a reference of another tenant: %v", err)
	}
}

func TestTenantKeySealsWhatNamesNobody(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	s, err := open(t, store).TenantKey(t.Context(), "acme")
	if err != nil || !s.Ref.IsZero() {
		t.Fatalf("reference %s, %v; want none", s.Ref, err)
	}
	wantOpens(t, open(t, store), letter(t, s, "acme", "text"), "text")
}

func TestSubjectsAreDurableAndKeepTheirOrder(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	ps := append(people(50), person(7), person(7))
	first := subjects(t, open(t, store), ps...)
	again := open(t, store)
	for i, s := range subjects(t, again, ps...) {
		if s.Ref != first[i].Ref || s.Ref.IsZero() || s.Generation != 1 || s.Erased {
			t.Fatalf("person %d: %v, then %v", i, first[i], s)
		}
		wantOpens(t, again, letter(t, first[i], "acme", "text"), "text")
	}
	if first[50].Ref != first[7].Ref || first[51].Ref != first[7].Ref {
		t.Fatal("one person in one call has two references")
	}
	refs := map[events.Ref]bool{}
	for _, s := range first {
		refs[s.Ref] = true
	}
	if len(refs) != 50 {
		t.Fatalf("%d references for 50 people", len(refs))
	}
}

func TestSubjectsCallTheStoreOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	calls := map[string]int{}
	store := &sealtest.Fault{Store: new(sealtest.Memory), Judge: func(method, key string) sealtest.Verdict {
		mu.Lock()
		defer mu.Unlock()
		calls[method]++
		return sealtest.Pass
	}}
	k := open(t, store)
	if _, err := k.Tenant(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	clear(calls)
	subjects(t, k, people(1000)...)
	if calls["create"] != 1 || calls["get"] != 3 { // before, the epoch, and after
		t.Errorf("%d calls of create, %d of get; want 1 and 3", calls["create"], calls["get"])
	}
	clear(calls)
	again := open(t, store)
	if _, err := again.Tenant(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	clear(calls)
	subjects(t, again, people(1000)...)
	if len(calls) != 1 || calls["get"] != 1 {
		t.Errorf("of another process: %v, want 1 of get", calls)
	}
	clear(calls)
	subjects(t, k, people(1000)...)
	if len(calls) != 0 {
		t.Errorf("the second time: %v, want none", calls)
	}
}

// asked is a store that remembers what was asked of it.
type asked struct {
	seal.Store
	keys []string
}

func (a *asked) Get(ctx context.Context, keys ...string) (map[string][]byte, error) {
	a.keys = append(a.keys, keys...)
	return a.Store.Get(ctx, keys...)
}

// kinds is how many entries of each kind were asked for.
func (a *asked) kinds() map[string]int {
	out := map[string]int{}
	for _, key := range a.keys {
		out[key[:1]]++
	}
	a.keys = nil
	return out
}

func TestAnExpiredKeyIsConfirmedByTheFenceAndReadAnewEachHour(t *testing.T) {
	t.Parallel()
	memory, now := new(sealtest.Memory), time.Unix(1_800_000_000, 0)
	store := &asked{Store: memory}
	k, err := seal.NewKeyring(seal.Config{Store: store, Root: kek, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	first := subjects(t, k, people(3)...)
	for range 119 { // 59 minutes and a half
		now = now.Add(30 * time.Second)
		if _, err := k.Tenant(t.Context(), "acme"); err != nil { // it expires as well
			t.Fatal(err)
		}
		store.keys = nil
		subjects(t, k, people(3)...)
		if d := cmp.Diff(map[string]int{"e": 3}, store.kinds()); d != "" {
			t.Fatalf("asked for:\n%s", d)
		}
		subjects(t, k, people(3)...)
		if len(store.keys) != 0 {
			t.Fatalf("asked again for %v", store.kinds())
		}
	}
	lacking := new(sealtest.Memory) // an operator put a backup in the place of the store, from before anybody came
	for key, v := range memory.Dump() {
		if key[0] == 't' || key[0] == 'f' {
			if err := lacking.Create(t.Context(), "", seal.Put{Key: key, Value: v}); err != nil {
				t.Fatal(err)
			}
		}
	}
	store.Store = lacking
	now = now.Add(30 * time.Second)
	if _, err := k.Tenant(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	fresh := subjects(t, k, people(3)...)
	for i, s := range fresh {
		if s.Ref == first[i].Ref {
			t.Errorf("person %d has a key that the store does not", i)
		}
		wantOpens(t, k, letter(t, s, "acme", "text"), "text")
	}
}

func TestPeopleAreTold(t *testing.T) {
	t.Parallel()
	k := open(t, new(sealtest.Memory))
	keys := subjects(t, k,
		seal.Person{Tenant: "acme", Issuer: "ab", Subject: "c"}, seal.Person{Tenant: "acme", Issuer: "a", Subject: "bc"},
		seal.Person{Tenant: "acme", Issuer: "", Subject: "abc"}, seal.Person{Tenant: "ACME", Issuer: "ab", Subject: "c"},
		seal.Person{Tenant: "acme", Issuer: "ab", Subject: "C"},
	)
	refs := map[events.Ref]bool{}
	for _, s := range keys {
		refs[s.Ref] = true
	}
	if len(refs) != len(keys) {
		t.Fatalf("%d people share %d references", len(keys), len(refs))
	}
	for name, p := range map[string]seal.Person{
		"no subject": {Tenant: "acme", Issuer: "a"}, "no tenant": {Issuer: "a", Subject: "b"}, "two tokens": {Tenant: "a.b", Subject: "b"},
	} {
		if _, err := k.Subjects(t.Context(), []seal.Person{p}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// stored counts the entries of one kind.
func stored(m *sealtest.Memory, kind string) int {
	n := 0
	for key := range m.Dump() {
		if strings.HasPrefix(key, kind+".") {
			n++
		}
	}
	return n
}

func TestProcessesAgreeOnOneKey(t *testing.T) {
	t.Parallel()
	const processes, each = 8, 40
	store := new(sealtest.Memory)
	all := make([][]seal.SubjectKey, processes)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			ps := people(each)
			slices.Reverse(ps[:i*each/processes]) // they meet in different orders
			keys, err := open(t, store).Subjects(t.Context(), ps)
			if err != nil {
				t.Error(err)
				return
			}
			slices.Reverse(keys[:i*each/processes])
			all[i] = keys
		})
	}
	wg.Wait()
	reader := open(t, store)
	for i := range all {
		for j, s := range all[i] {
			if s.Ref != all[0][j].Ref {
				t.Fatalf("process %d has another reference of person %d", i, j)
			}
			wantOpens(t, reader, letter(t, s, "acme", "text"), "text")
		}
	}
	if s, k := stored(store, "s"), stored(store, "k"); s != each || k != each {
		t.Fatalf("%d references and %d data keys for %d people", s, k, each)
	}
	if n := stored(store, "t"); n != 1 {
		t.Fatalf("%d tenants", n)
	}
}

func TestE03DestroyedOpensNowhere(t *testing.T) {
	t.Parallel()
	store, now := new(sealtest.Memory), time.Unix(1_800_000_000, 0)
	clocked := func() *seal.Keyring {
		k, err := seal.NewKeyring(seal.Config{Store: store, Root: kek, CacheTTL: time.Minute, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	here, told, untold := clocked(), clocked(), clocked()
	s := subjects(t, here, person(1))[0]
	sealed := letter(t, s, "acme", "text")
	for _, k := range []*seal.Keyring{here, told, untold} { // warm every cache
		subjects(t, k, person(1))
		wantOpens(t, k, sealed, "text")
	}

	done, err := here.Destroy(t.Context(), "acme", s.Ref)
	if err != nil || done.AlreadyGone || len(done.KeyFingerprint) != 16 {
		t.Fatalf("destroy: %+v, %v", done, err)
	}
	for _, k := range []*seal.Keyring{here, told, untold, clocked()} {
		_, err := k.Open(t.Context(), sealed)
		wantErr(t, err, seal.ErrDestroyed)
	}

	if s := subjects(t, here, person(1))[0]; !s.Erased || !s.Ref.IsZero() {
		t.Fatalf("here: %v, want erased", s)
	}
	for key := range store.Dump() {
		if handle, ok := strings.CutPrefix(key, "e.acme."); ok {
			told.Evict("acme", handle)
		}
	}
	if s := subjects(t, told, person(1))[0]; !s.Erased {
		t.Fatal("a process that was told still has the key")
	}
	now = now.Add(time.Minute)
	if s := subjects(t, untold, person(1))[0]; !s.Erased {
		t.Fatal("a process that was not told still has the key when its time is over")
	}
	erased := subjects(t, clocked(), person(1))[0]
	_, err = erased.Seal("acme", "src", "id", []byte("text"))
	wantErr(t, err, seal.ErrDestroyed)

	done, err = untold.Destroy(t.Context(), "acme", s.Ref)
	if err != nil || !done.AlreadyGone {
		t.Fatalf("second destroy: %+v, %v; want AlreadyGone", done, err)
	}
}

func TestForgettingOneChangesNobodyElse(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	k := open(t, store)
	same := person(1)
	same.Tenant = "globex"
	keys := subjects(t, k, person(1), person(2), same)
	before := store.Dump()
	if _, err := k.Destroy(t.Context(), "acme", keys[0].Ref); err != nil {
		t.Fatal(err)
	}
	after := store.Dump()
	var gone, added []string
	for key, v := range before {
		if w, ok := after[key]; !ok {
			gone = append(gone, key[:7])
		} else if !bytes.Equal(v, w) {
			t.Errorf("entry %s was changed", key)
		}
	}
	for key := range after {
		if _, ok := before[key]; !ok {
			added = append(added, key[:7])
		}
	}
	slices.Sort(gone)
	slices.Sort(added)
	if d := cmp.Diff([][]string{{"k.acme.", "s.acme."}, {"d.acme.", "e.acme."}}, [][]string{gone, added}); d != "" {
		t.Error(d)
	}
	wantOpens(t, open(t, store), letter(t, keys[1], "acme", "two"), "two")
	wantOpens(t, open(t, store), letter(t, keys[2], "globex", "three"), "three")
}

func TestNothingLeadsFromTheReferenceToThePerson(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	k := open(t, store)
	s := subjects(t, k, person(1))[0]
	if _, err := k.Destroy(t.Context(), "acme", s.Ref); err != nil {
		t.Fatal(err)
	}
	for key, v := range store.Dump() {
		if strings.Contains(key, s.Ref.String()) || bytes.Contains(v, s.Ref[:]) {
			t.Errorf("entry %s holds the reference", key)
		}
		if handle, ok := strings.CutPrefix(key, "e.acme."); ok && len(k.Unwrap(key, v)) > 16 {
			t.Errorf("fence %s holds more than a time: %x", handle, k.Unwrap(key, v))
		}
	}
}

func TestTheStoreSeesNoIdentifierAndNoKey(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	k := open(t, store)
	subjects(t, k, people(20)...)
	tenant, err := k.Tenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	feed := tenant.FeedKey()
	for key, v := range store.Dump() {
		for _, secret := range []string{"canary", "example", string(feed.Key[:])} {
			if strings.Contains(key, secret) || bytes.Contains(v, []byte(secret)) {
				t.Errorf("entry %s holds %q in clear", key, secret)
			}
		}
		if seal.OfEpochs(key) {
			continue
		}
		if plain := k.Unwrap(key, v); bytes.Contains(v, plain) {
			t.Errorf("entry %s is not wrapped", key)
		}
	}
}

func TestEntriesCannotBeSwapped(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	keys := subjects(t, open(t, store), person(1), person(2))
	dump := store.Dump()
	for _, prefix := range []string{"k.", "s."} {
		one, two := pair(t, dump, prefix)
		store.Tamper(one, dump[two])
		store.Tamper(two, dump[one])
		for i := range keys {
			_, err := open(t, store).Open(t.Context(), letter(t, keys[i], "acme", "text"))
			wantErr(t, err, seal.ErrSealed)
			if prefix == "k." {
				_, err = open(t, store).Subjects(t.Context(), []seal.Person{person(1 + i)})
				wantErr(t, err, seal.ErrSealed)
			}
		}
		store.Tamper(one, nil)
		store.Tamper(two, nil)
		_, err := open(t, store).Open(t.Context(), letter(t, keys[0], "acme", "text"))
		wantErr(t, err, seal.ErrSealed)
		store.Tamper(one, dump[one])
		store.Tamper(two, dump[two])
	}
	wantOpens(t, open(t, store), letter(t, keys[0], "acme", "text"), "text")
}

// pair is the names of the two entries of one kind.
func pair(t *testing.T, entries map[string][]byte, prefix string) (one, two string) {
	t.Helper()
	var names []string
	for name := range entries {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	if len(names) != 2 {
		t.Fatalf("%d entries %s", len(names), prefix)
	}
	return names[0], names[1]
}

func TestAnotherKEKIsTold(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	s := subjects(t, open(t, store), person(1))[0]
	k, err := seal.NewKeyring(seal.Config{Store: store, Root: seal.GenerateKEK()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Open(t.Context(), letter(t, s, "acme", "text"))
	wantErr(t, err, seal.ErrEpoch)
	_, err = k.Subjects(t.Context(), []seal.Person{person(1)})
	wantErr(t, err, seal.ErrEpoch)
	if _, err = k.Destroy(t.Context(), "acme", s.Ref); !errors.Is(err, seal.ErrEpoch) {
		t.Fatalf("destroy: %v", err)
	}
	wantOpens(t, open(t, store), letter(t, s, "acme", "text"), "text")
}

func TestNeverSeenForgottenAndUnreachableAreTold(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	k := open(t, store)
	_, err := k.Lookup(t.Context(), person(1)) // not even the tenant is known
	wantErr(t, err, seal.ErrNotFound)
	if len(store.Dump()) != 0 {
		t.Fatal("looking somebody up made entries")
	}
	keys := subjects(t, k, person(1), person(2))
	before := len(store.Dump())
	_, err = k.Lookup(t.Context(), person(3))
	wantErr(t, err, seal.ErrNotFound)
	if got, err := k.Lookup(t.Context(), person(1)); err != nil || got.Ref != keys[0].Ref {
		t.Fatalf("lookup: %v, %v", got, err)
	}
	if len(store.Dump()) != before {
		t.Fatal("looking somebody up made entries")
	}
	if _, err := k.Destroy(t.Context(), "acme", keys[1].Ref); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Lookup(t.Context(), person(2)); err != nil || !got.Erased {
		t.Fatalf("lookup of a forgotten person: %v, %v", got, err)
	}
	down := open(t, &sealtest.Fault{Store: store, Judge: func(string, string) sealtest.Verdict { return sealtest.Fail }})
	for name, err := range unreachable(t.Context(), down, keys[0]) {
		if !errors.Is(err, sealtest.ErrFault) || errors.Is(err, seal.ErrNotFound) || errors.Is(err, seal.ErrDestroyed) {
			t.Errorf("%s of a store that is down: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), keys[0].Ref.String())) {
			t.Errorf("%s: the error names somebody: %v", name, err)
		}
	}
}

func unreachable(ctx context.Context, k *seal.Keyring, s seal.SubjectKey) map[string]error {
	out := map[string]error{}
	_, out["lookup"] = k.Lookup(ctx, person(1))
	_, out["subjects"] = k.Subjects(ctx, people(3))
	_, out["open"] = k.Open(ctx, seal.OpenRequest{Tenant: "acme", Ref: s.Ref, Generation: 1})
	_, out["open with the tenant's key"] = k.Open(ctx, seal.OpenRequest{Tenant: "acme", Generation: 1})
	_, out["destroy"] = k.Destroy(ctx, "acme", s.Ref)
	_, out["tenants"] = k.Tenants(ctx)
	_, out["tenant key"] = k.TenantKey(ctx, "acme")
	_, out["rotate"] = k.RotateFeedKey(ctx, "acme", 1, time.Now())
	_, out["feed keys"] = k.FeedGenerations(ctx)
	out["destroy feed key"] = k.DestroyFeedKey(ctx, "acme", 1)
	return out
}

func TestConfigReportsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := seal.NewKeyring(seal.Config{CacheSubjects: -1, CacheTTL: time.Hour})
	for _, want := range []string{"store", "root is missing", "subjects", "1h"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %q", err, want)
		}
	}
}

func TestTenantReferences(t *testing.T) {
	t.Parallel()
	store := new(sealtest.Memory)
	ctx := t.Context()
	one, err := open(t, store).Tenant(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	two, err := open(t, store).Tenant(ctx, "globex")
	if err != nil {
		t.Fatal(err)
	}
	same, err := open(t, store).LookupTenant(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	if one.TokenRef("i", "j") != same.TokenRef("i", "j") || one.Digest([]byte("e")) != same.Digest([]byte("e")) {
		t.Fatal("another process makes other references")
	}
	refs := []events.Ref{
		one.TokenRef("i", "j"), one.SessionRef("i", "j"), one.GrantRef("i", "j"), one.AskRef("i", "j"), one.SaidRef("i", "j"),
		one.TokenRef("ij", "j"), one.TokenRef("i", "jj"), one.TokenRef("", "ij"), two.TokenRef("i", "j"),
	}
	seen := map[events.Ref]bool{}
	for _, r := range refs {
		if r.IsZero() || seen[r] {
			t.Fatalf("references collide: %v", refs)
		}
		seen[r] = true
	}
	for _, r := range []events.Ref{one.TokenRef("i", ""), one.SessionRef("i", ""), one.GrantRef("i", ""), one.AskRef("i", ""), one.SaidRef("i", "")} {
		if !r.IsZero() {
			t.Error("a reference of nothing")
		}
	}
	if one.Digest([]byte("e")) == two.Digest([]byte("e")) || one.Digest([]byte("e")) == one.Digest([]byte("f")) {
		t.Error("digests collide")
	}
	names, err := open(t, store).Tenants(ctx)
	if err != nil || !slices.Equal(names, []string{"acme", "globex"}) {
		t.Errorf("tenants %v, %v", names, err)
	}
}

func FuzzOpen(f *testing.F) {
	k := open(f, new(sealtest.Memory))
	s := subjects(f, k, person(1))[0]
	good := letter(f, s, "acme", "text")
	f.Add("acme", "src", "id", good.Sealed)
	f.Add("acme", "src", "id", []byte{1})
	f.Fuzz(func(t *testing.T, tenant, source, id string, sealed []byte) {
		_, err := k.Open(t.Context(), seal.OpenRequest{Tenant: tenant, Source: source, ID: id, Ref: s.Ref, Generation: 1, Sealed: sealed})
		if same := tenant == "acme" && source == "src" && id == "id" && bytes.Equal(sealed, good.Sealed); (err == nil) != same {
			t.Fatalf("error %v for the sealed event %t", err, same)
		}
	})
}
