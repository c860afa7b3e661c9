package envelope_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events/envelope"
)

func published(t testing.TB, keys ...envelope.PrivateKey) string {
	t.Helper()
	s := envelope.Set{Now: from}
	for _, k := range keys {
		s.Keys = append(s.Keys, k.PublicKey)
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAPublishedSetIsReadAgain(t *testing.T) {
	t.Parallel()
	one, two := generate(t), generate(t)
	text := published(t, one, two)
	s, err := envelope.ParseSet([]byte(text))
	if err != nil || len(s.Keys) != 2 || !s.Now.Equal(from) {
		t.Fatalf("%+v, %v", s, err)
	}
	for i, k := range []envelope.PrivateKey{one, two} {
		got := s.Keys[i]
		if got.ID != k.ID || !got.NotBefore.Equal(from) || !got.Expires.Equal(until) {
			t.Errorf("key %d: %+v", i, got)
		}
		body, err := envelope.Seal(got, "a", []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := open(k, body); err != nil || string(plain) != "text" {
			t.Errorf("what is sealed to the published key %d: %q, %v", i, plain, err)
		}
	}
	if raw, _ := one.Bytes(); strings.Contains(text, b64.EncodeToString(raw)) || strings.Contains(text, `"d"`) {
		t.Error("the private half is published")
	}
}

// TestThumbprint is the one of RFC 7638 by hand, of a point that is there.
func TestThumbprint(t *testing.T) {
	t.Parallel()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(published(t, generate(t))), &set); err != nil {
		t.Fatal(err)
	}
	k := set.Keys[0]
	want := sum256(`{"crv":"P-256","kty":"EC","x":"` + k["x"].(string) + `","y":"` + k["y"].(string) + `"}`)
	if d := cmp.Diff(want, k["kid"]); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]any{"kty": "EC", "crv": "P-256", "use": "enc", "alg": "ECDH-ES", "nbf": float64(from.Unix()), "exp": float64(until.Unix())} {
		if k[name] != want {
			t.Errorf("%s: %v, want %v", name, k[name], want)
		}
	}
}

func TestCurrentIsTakenNowAndLongest(t *testing.T) {
	t.Parallel()
	key := func(nbf, exp time.Duration) envelope.PublicKey {
		k, err := envelope.Generate(from.Add(nbf), from.Add(exp))
		if err != nil {
			t.Fatal(err)
		}
		return k.PublicKey
	}
	today, tomorrow := key(0, 24*time.Hour), key(23*time.Hour, 48*time.Hour)
	s := envelope.Set{Keys: []envelope.PublicKey{tomorrow, today}}
	for at, want := range map[time.Duration]string{
		-time.Second: "", 0: today.ID, 23*time.Hour - time.Second: today.ID, 23 * time.Hour: tomorrow.ID,
		24 * time.Hour: tomorrow.ID, 48*time.Hour - time.Second: tomorrow.ID, 48 * time.Hour: "",
	} {
		if got := s.Current(from.Add(at)); got.ID != want {
			t.Errorf("at %s: %q, want %q", at, got.ID, want)
		}
	}
}

func TestBadSetsAreRefused(t *testing.T) {
	t.Parallel()
	good := published(t, generate(t))
	other := published(t, generate(t))
	member := func(of, name string) string {
		_, rest, _ := strings.Cut(of, `"`+name+`":`)
		return rest[:strings.IndexAny(rest, ",}")]
	}
	swap := func(name string) string { return strings.Replace(good, member(good, name), member(other, name), 1) }
	for name, text := range map[string]string{
		"nothing":            "",
		"not JSON":           "{",
		"too large":          strings.Repeat(" ", 64<<10) + good,
		"no time":            strings.Replace(good, `"now"`, `"then"`, 1),
		"another thumbprint": swap("kid"),
		"another x":          swap("x"),
		"another y":          swap("y"),
		"a short x":          strings.Replace(good, member(good, "x"), `"AAAA"`, 1),
		"no nbf":             strings.Replace(good, `"nbf"`, `"from"`, 1),
		"ends as it begins":  strings.Replace(good, member(good, "exp"), member(good, "nbf"), 1),
	} {
		if s, err := envelope.ParseSet([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for name, text := range map[string]string{
		"another algorithm": strings.Replace(good, "ECDH-ES", "HPKE-0", 1),
		"for signatures":    strings.Replace(good, `"enc"`, `"sig"`, 1),
		"another curve":     strings.Replace(good, "P-256", "P-521", 1),
	} {
		if s, err := envelope.ParseSet([]byte(text)); err != nil || len(s.Keys) != 0 {
			t.Errorf("%s: %+v, %v; want it left out", name, s, err)
		}
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add(published(f, generate(f)))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := envelope.ParseSet([]byte(text))
		if err != nil {
			return
		}
		for _, k := range s.Keys {
			if _, err := envelope.Seal(k, "a", nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}
