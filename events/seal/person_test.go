package seal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
)

// personal is text sealed as the personal part of an event, with what its
// record says of it.
func personal(t testing.TB, s seal.SubjectKey, id, text string) seal.OpenRequest {
	t.Helper()
	sealed, err := s.SealPersonalTo(nil, "acme", "src", id, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return seal.OpenRequest{
		Tenant: "acme", Source: "src", ID: id, Ref: s.Ref, Generation: s.Generation, Sealed: sealed, Hash: sha256.Sum256(sealed),
	}
}

// TestPartsOfOnePersonThatSayTheSameAreTheSame, and no others are: that is what
// the store saves, and all that it is told.
func TestPartsOfOnePersonThatSayTheSameAreTheSame(t *testing.T) {
	t.Parallel()
	k := open(t, new(sealtest.Memory))
	keys := subjects(t, k, person(1), person(2))
	first := personal(t, keys[0], "one", "what is said of somebody")
	wantOpens(t, k, first, "what is said of somebody")
	if again := personal(t, keys[0], "two", "what is said of somebody"); !bytes.Equal(again.Sealed, first.Sealed) {
		t.Error("two events that say the same are sealed as two parts")
	}
	for name, other := range map[string]seal.OpenRequest{
		"another person": personal(t, keys[1], "one", "what is said of somebody"),
		"another text":   personal(t, keys[0], "one", "what is said of somebodx"),
		"for the event":  letter(t, keys[0], "acme", "what is said of somebody"),
	} {
		if bytes.Equal(first.Sealed[1:17], other.Sealed[1:17]) {
			t.Errorf("%s has the same tag", name)
		}
	}
}

// TestTenantsKeySealsForTheEvent: it seals for many, of whom two that say the
// same are not told to be alike.
func TestTenantsKeySealsForTheEvent(t *testing.T) {
	t.Parallel()
	k := open(t, new(sealtest.Memory))
	s, err := k.TenantKey(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	one, two := personal(t, s, "one", "an address"), personal(t, s, "two", "an address")
	wantOpens(t, k, one, "an address")
	if bytes.Equal(one.Sealed, two.Sealed) {
		t.Error("two events that say the same are sealed as the same")
	}
	one.Sealed, one.Hash = two.Sealed, two.Hash
	_, err = k.Open(t.Context(), one)
	wantErr(t, err, seal.ErrSealed)
}

// TestPersonalPartOpensOnlyBesideItsRecord: what is sealed for a person can be
// put in the place of another part of theirs, and the record tells.
func TestPersonalPartOpensOnlyBesideItsRecord(t *testing.T) {
	t.Parallel()
	k := open(t, new(sealtest.Memory))
	keys := subjects(t, k, person(1), person(2))
	good, moved := personal(t, keys[0], "one", "first address"), personal(t, keys[0], "two", "other address")
	theirs := personal(t, keys[1], "one", "first address")
	tenants, err := k.TenantKey(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*seal.OpenRequest){
		"the part of another event":     func(r *seal.OpenRequest) { r.Sealed = moved.Sealed },
		"no hash":                       func(r *seal.OpenRequest) { r.Hash = events.Hash{} },
		"another hash":                  func(r *seal.OpenRequest) { r.Hash[31] ^= 1 },
		"the part of another person":    func(r *seal.OpenRequest) { r.Sealed, r.Hash = theirs.Sealed, theirs.Hash },
		"another person":                func(r *seal.OpenRequest) { r.Ref = keys[1].Ref },
		"the tenant's key":              func(r *seal.OpenRequest) { r.Ref, r.Generation = events.Ref{}, tenants.Generation },
		"another tenant":                func(r *seal.OpenRequest) { r.Tenant = "acmes" },
		"as if sealed for the event":    func(r *seal.OpenRequest) { relabel(r, 3) },
		"as if sealed by version 2":     func(r *seal.OpenRequest) { relabel(r, 2) },
		"as if sealed by a later one":   func(r *seal.OpenRequest) { relabel(r, 5) },
		"changed, and its hash with it": func(r *seal.OpenRequest) { r.Sealed[20] ^= 1; r.Hash = sha256.Sum256(r.Sealed) },
	} {
		r := good
		r.Sealed = bytes.Clone(good.Sealed)
		change(&r)
		if plain, err := k.Open(t.Context(), r); err == nil {
			t.Errorf("%s: opened to %q", name, plain)
		}
	}
	r := letter(t, keys[0], "acme", "sealed for its event")
	relabel(&r, 4)
	_, err = k.Open(t.Context(), r)
	wantErr(t, err, seal.ErrSealed)
	wantOpens(t, k, good, "first address")
}

func relabel(r *seal.OpenRequest, version byte) {
	r.Sealed = append([]byte{version}, r.Sealed[1:]...)
	r.Hash = sha256.Sum256(r.Sealed)
}

// TestWhatVersion2SealedOpens: it was written before members had tokens.
func TestWhatVersion2SealedOpens(t *testing.T) {
	t.Parallel()
	sealed, err := hex.DecodeString("029ed76ccb517a789d02eea9b32abefb362dbb9b730b151d50fef10eb43b79f8c2f335b664381a6b43f1e85aa9a764f80b")
	if err != nil {
		t.Fatal(err)
	}
	want := "\xa2\x01\x65alice\x02\x78\x200123456789abcdeffedcba9876543210 Mozilla/5.0 (X11; Linux x86_64"
	got, err := seal.OpenUnderCountingKey(seal.OpenRequest{Tenant: "acme", Source: "//id.example.com", ID: "id-1", Sealed: sealed})
	if err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}
