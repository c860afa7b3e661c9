package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/query/receipt"
)

// forged is a JWS whose header and payload are these, signed with private.
func forged(header, payload string, private ed25519.PrivateKey) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	return signed + "." + b64(ed25519.Sign(private, []byte(signed)))
}

// TestHostileReceipts: each is refused for what it is.
func TestHostileReceipts(t *testing.T) {
	t.Parallel()
	private, other := key(t), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	mine, theirs := public(private), public(other)
	good := sign(t, example(), private)
	raw, _ := base64.RawURLEncoding.DecodeString(good.Payload)
	payload := string(raw)
	head := func(alg, more string) string {
		return `{"alg":"` + alg + `","kid":"` + mine.ID + `","typ":"rescind-erasure-receipt"` + more + `}`
	}
	jwk, _ := json.Marshal(theirs.JWK())
	mac := hmac.New(sha256.New, mine.Public) // the public key taken for a secret
	hs := base64.RawURLEncoding.EncodeToString([]byte(head("HS256", ""))) + "." + good.Payload
	mac.Write([]byte(hs))
	changed := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(payload, `"outcome":"partial"`, `"outcome":"erased"`, 1)))
	another := sign(t, func() receipt.Receipt { r := example(); r.Request = "another"; return r }(), private)

	for name, c := range map[string]struct{ file, what, says string }{
		"nothing":                       {"", receipt.BadForm, "empty"},
		"blank":                         {" \n ", receipt.BadForm, "empty"},
		"prose":                         {"this is a letter", receipt.BadForm, "three parts"},
		"JSON of something":             {`{"a":1}`, receipt.BadForm, "member jws"},
		"JSON that was cut":             {`{"jws":"` + good.Compact(), receipt.BadForm, "cut"},
		"without signature":             {good.Protected + "." + good.Payload, receipt.BadForm, "cut"},
		"empty signature":               {good.Protected + "." + good.Payload + ".", receipt.BadSignature, "does not hold"},
		"cut in the signature":          {good.Compact()[:len(good.Compact())-9], receipt.BadSignature, "cut"},
		"four parts":                    {good.Compact() + ".x", receipt.BadForm, "three parts"},
		"huge":                          {strings.Repeat("a", 1<<20), receipt.BadSize, "bytes"},
		"alg none":                      {base64.RawURLEncoding.EncodeToString([]byte(head("none", ""))) + "." + good.Payload + ".", receipt.BadHeader, `"none"`},
		"alg None, signed":              {forged(head("None", ""), payload, private), receipt.BadHeader, `"None"`},
		"alg HS256":                     {hs + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), receipt.BadHeader, "HS256"},
		"alg ES256":                     {forged(head("ES256", ""), payload, private), receipt.BadHeader, "ES256"},
		"no alg":                        {forged(`{"kid":"`+mine.ID+`","typ":"rescind-erasure-receipt"}`, payload, private), receipt.BadHeader, "algorithm"},
		"a key of its own":              {forged(head("EdDSA", `,"jwk":`+string(jwk)), payload, other), receipt.BadHeader, "a key of its own"},
		"a URL of keys":                 {forged(head("EdDSA", `,"jku":"https://evil.example/keys"`), payload, other), receipt.BadHeader, "members"},
		"critical":                      {forged(head("EdDSA", `,"crit":["b64"],"b64":false`), payload, private), receipt.BadHeader, "members"},
		"two algs":                      {forged(head("none", `,"alg":"EdDSA"`), payload, private), receipt.BadHeader, "members"},
		"an access token":               {forged(`{"alg":"EdDSA","kid":"`+mine.ID+`","typ":"at+jwt"}`, payload, private), receipt.BadHeader, "at+jwt"},
		"no header":                     {"!!." + good.Payload + "." + good.Signature, receipt.BadHeader, "no header"},
		"signed by another":             {forged(head("EdDSA", ""), payload, other), receipt.BadSignature, "somebody else"},
		"another's key named":           {sign(t, example(), other).Compact(), receipt.BadKey, theirs.ID},
		"changed":                       {good.Protected + "." + changed + "." + good.Signature, receipt.BadSignature, "changed"},
		"another's signature":           {good.Protected + "." + good.Payload + "." + another.Signature, receipt.BadSignature, "does not hold"},
		"padded":                        {good.Compact() + "==", receipt.BadSignature, "does not hold"},
		"broken into lines":             {good.Protected + "." + good.Payload[:76] + "\n" + good.Payload[76:] + "." + good.Signature, receipt.BadSignature, "does not hold"},
		"a line break in the signature": {good.Protected + "." + good.Payload + "." + good.Signature[:9] + "\n" + good.Signature[9:], receipt.BadSignature, "does not hold"},
		"a line break in the header":    {good.Protected[:9] + "\r\n" + good.Protected[9:] + "." + good.Payload + "." + good.Signature, receipt.BadHeader, "no header"},
		"shown otherwise":               {`{"jws":"` + good.Compact() + `","receipt":` + strings.Replace(payload, `"partial"`, `"erased"`, 1) + `}`, receipt.BadDisplay, "not what was signed"},
		"signed, no JSON":               {forged(head("EdDSA", ""), "hello", private), receipt.BadPayload, "tell those"},
		"signed, newer":                 {forged(head("EdDSA", ""), `{"version":2,"request":7}`, private), receipt.BadVersion, "newer rescind"},
		"signed, a member more":         {forged(head("EdDSA", ""), strings.Replace(payload, `{`, `{"anonymised":true,`, 1), private), receipt.BadPayload, "not written"},
		"signed, a member twice": {forged(head("EdDSA", ""), strings.Replace(payload, `"outcome":"partial"`, `"outcome":"partial","outcome":"erased"`, 1), private),
			receipt.BadPayload, "not written"},
		"signed, other types": {forged(head("EdDSA", ""), `{"version":1,"request":7}`, private), receipt.BadPayload, "does not say"},
	} {
		r, _, err := receipt.Verify([]byte(c.file), []receipt.Key{mine})
		var bad *receipt.Invalid
		if r != nil || !errors.As(err, &bad) || bad.What != c.what || !strings.Contains(bad.Detail, c.says) {
			t.Errorf("%s: %v, want %s that says %q", name, err, c.what, c.says)
		}
	}
}

// TestEveryByteCounts: with a bit changed anywhere, or cut anywhere, a receipt
// is refused.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	keys := []receipt.Key{public(key(t))}
	good := []byte(sign(t, example(), key(t)).Compact())
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, _, err := receipt.Verify(bad, keys); err == nil {
			t.Fatalf("byte %d, bit %d", i, i%8)
		}
		if _, _, err := receipt.Verify(good[:i], keys); err == nil {
			t.Fatalf("cut to %d of %d bytes", i, len(good))
		}
	}
}

func FuzzVerify(f *testing.F) {
	private := key(f)
	keys := []receipt.Key{public(private)}
	good := sign(f, example(), private)
	file, _ := receipt.NewFile(good)
	asJSON, _ := json.Marshal(file)
	for _, seed := range [][]byte{[]byte(good.Compact()), asJSON, []byte("{"), []byte("a.b.c")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, by, err := receipt.Verify(file, keys)
		if err != nil {
			if r != nil {
				t.Error("it was refused, and read")
			}
			return
		}
		if again := sign(t, *r, private); by.ID != keys[0].ID || again.Payload != good.Payload {
			t.Errorf("accepted what was never signed: %+v", r)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	b, _ := json.Marshal(map[string]any{"keys": []any{public(key(f)).JWK()}})
	f.Add(b)
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := receipt.ParseKeys(b)
		if err != nil && !errors.Is(err, receipt.ErrKeys) {
			t.Error(err)
		}
		for _, k := range keys {
			if k.ID != receipt.NewKey(k.Public).ID {
				t.Errorf("a key stands under %s", k.ID)
			}
		}
	})
}
