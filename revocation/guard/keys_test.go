package guard_test

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation/guard"
)

func jwkSet(t *testing.T, extra ...map[string]any) []byte {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	ec := must(ecKey.PublicKey.Bytes())
	list := append([]map[string]any{
		{"kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(ec[1:33]), "y": b64(ec[33:])},
		{"kty": "RSA", "kid": "rsa", "alg": "RS256", "use": "sig", "n": b64(rsaKey.N.Bytes()), "e": "AQAB"},
		{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(edKey.Public().(ed25519.PublicKey))},
	}, extra...)
	return must(json.Marshal(map[string]any{"keys": list}))
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	got, err := guard.ParseKeys(jwkSet(t, map[string]any{"kty": "oct", "kid": "secret", "k": "AAAA"}, map[string]any{"kty": "RSA", "use": "enc", "kid": "enc"},
		map[string]any{"kty": "EC", "crv": "secp256k1", "kid": "koblitz"}, map[string]any{"kty": "OKP", "crv": "X25519", "kid": "x"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d keys", len(got))
	}
	for i, want := range keys() {
		p := got[i].Public.(interface{ Equal(crypto.PublicKey) bool })
		if got[i].ID != want.ID || got[i].Algorithm != want.Algorithm || !p.Equal(want.Public) {
			t.Errorf("key %d: got %+v", i, got[i])
		}
	}
}

// TestKeysThatCannotBeUsed: one bad key takes no good one with it, and is never
// used itself.
func TestKeysThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	weak := base64.RawURLEncoding.EncodeToString(make([]byte, 128))
	half := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	base := map[string]map[string]any{
		"no id":           {"kty": "OKP", "crv": "Ed25519", "x": half},
		"weak RSA":        {"kty": "RSA", "kid": "w", "n": weak, "e": "AQAB"},
		"even exponent":   {"kty": "RSA", "kid": "w", "n": base64.RawURLEncoding.EncodeToString(rsaKey.N.Bytes()), "e": "AQAA"},
		"not on curve":    {"kty": "EC", "crv": "P-256", "kid": "w", "x": half, "y": half},
		"short Ed25519":   {"kty": "OKP", "crv": "Ed25519", "kid": "w", "x": "AAAA"},
		"not base64":      {"kty": "RSA", "kid": "w", "n": "**", "e": "AQAB"},
		"wrong kind of x": {"kty": "EC", "crv": "P-256", "kid": "w", "x": 5},
		"id too long":     {"kty": "OKP", "crv": "Ed25519", "kid": strings.Repeat("k", events.MaxTextBytes+1), "x": half},
		"id with control": {"kty": "OKP", "crv": "Ed25519", "kid": "a\nb", "x": half},
	}
	for name, k := range base {
		if got, err := guard.ParseKeys(jwkSet(t, k)); err != nil || len(got) != 3 || got[0].ID != "ec" || got[2].ID != "ed" {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		alone := must(json.Marshal(map[string]any{"keys": []any{k}}))
		if got, err := guard.ParseKeys(alone); err == nil {
			t.Errorf("%s, alone: got %v", name, got)
		}
	}
	twice := jwkSet(t, map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "ec", "x": half})
	if got, err := guard.ParseKeys(twice); err != nil || len(got) != 2 || got[0].ID != "rsa" || got[1].ID != "ed" {
		t.Errorf("an id used twice: got %v, %v", got, err)
	}
	var set struct{ Keys []any }
	if err := json.Unmarshal(jwkSet(t), &set); err != nil {
		t.Fatal(err)
	}
	again := must(json.Marshal(map[string]any{"keys": append(set.Keys, set.Keys...)}))
	if got, err := guard.ParseKeys(again); err != nil || len(got) != 3 {
		t.Errorf("each key twice: got %v, %v", got, err)
	}
	for _, set := range []string{"no", "null", "{}", `{"error":"unavailable"}`, `{"keys":null}`} {
		if got, err := guard.ParseKeys([]byte(set)); err == nil {
			t.Errorf("%s is no set: got %v", set, got)
		}
	}
	if got, err := guard.ParseKeys([]byte(`{"keys":[]}`)); err != nil || len(got) != 0 {
		t.Errorf("a set of none: got %v, %v", got, err)
	}
	if got, err := guard.ParseKeys([]byte(`{"keys":[{"kty":"oct","kid":"secret","k":"AAAA"}]}`)); err != nil || len(got) != 0 {
		t.Errorf("a secret key: got %v, %v", got, err)
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAA"},{"kty":"RSA","n":"AQ","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, set []byte) {
		got, _ := guard.ParseKeys(set)
		for _, k := range got {
			if k.ID == "" || k.Algorithm == "" || k.Public == nil {
				t.Fatalf("got %+v", k)
			}
		}
	})
}
