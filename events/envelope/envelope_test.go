package envelope_test

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/envelope"
)

var (
	from  = time.Unix(1_800_000_000, 0)
	until = from.Add(24 * time.Hour)
	b64   = base64.RawURLEncoding
)

func generate(t testing.TB) envelope.PrivateKey {
	t.Helper()
	k, err := envelope.Generate(from, until)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(t testing.TB, k envelope.PrivateKey, plain string) []byte {
	t.Helper()
	body, err := envelope.Seal(k.PublicKey, "application/cloudevents+json", []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func open(k envelope.PrivateKey, body []byte) ([]byte, error) {
	m, err := envelope.Parse(body)
	if err != nil {
		return nil, err
	}
	if m.KeyID != k.ID {
		return nil, errors.New("another key")
	}
	return m.Open(k)
}

func TestSealedOpensWithItsKeyAlone(t *testing.T) {
	t.Parallel()
	k, other := generate(t), generate(t)
	for _, plain := range []string{"", "x", strings.Repeat("canary ", 10_000)} {
		body := sealed(t, k, plain)
		m, err := envelope.Parse(body)
		if err != nil || m.KeyID != k.ID || m.ContentType != "application/cloudevents+json" {
			t.Fatalf("parse: %+v, %v", m, err)
		}
		if got, err := m.Open(k); err != nil || string(got) != plain {
			t.Fatalf("open: %d bytes, %v", len(got), err)
		}
		if _, err := m.Open(other); err == nil {
			t.Fatal("another key opens it")
		}
		if _, err := m.Open(envelope.PrivateKey{}); err == nil {
			t.Fatal("no key opens it")
		}
		if strings.Contains(string(body), "canary") || strings.Contains(string(body), b64.EncodeToString([]byte("canary"))) {
			t.Fatal("it stands there in clear")
		}
	}
}

// TestAPrivateKeyReadAgainOpens holds ParsePrivate to Bytes.
func TestAPrivateKeyReadAgainOpens(t *testing.T) {
	t.Parallel()
	k := generate(t)
	b, err := k.Bytes()
	if err != nil || len(b) != 32 {
		t.Fatal(len(b), err)
	}
	again, err := envelope.ParsePrivate(b, k.NotBefore, k.Expires)
	if err != nil || again.ID != k.ID || !again.NotBefore.Equal(from) || !again.Expires.Equal(until) {
		t.Fatalf("%+v, %v", again.PublicKey, err)
	}
	if got, err := open(again, sealed(t, k, "text")); err != nil || string(got) != "text" {
		t.Fatalf("%q, %v", got, err)
	}
	for _, bad := range [][]byte{nil, make([]byte, 32), b[:31], bytes.Repeat([]byte{0xff}, 32)} {
		if _, err := envelope.ParsePrivate(bad, from, until); err == nil {
			t.Errorf("%x is taken for a key", bad)
		}
	}
}

func TestLikeMessagesHaveNothingInCommon(t *testing.T) {
	t.Parallel()
	k := generate(t)
	one, two := bytes.Split(sealed(t, k, "the same"), []byte(".")), bytes.Split(sealed(t, k, "the same"), []byte("."))
	for i, part := range []string{"epk", "", "iv", "ciphertext", "tag"} {
		if part != "" && bytes.Equal(one[i], two[i]) {
			t.Errorf("%s is the same", part)
		}
	}
}

// TestNoBitCanBeChanged changes every character of a message to every neighbour
// in the alphabet, and cuts and lengthens it.
func TestNoBitCanBeChanged(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	k := generate(t)
	body := sealed(t, k, "some text that is opened")
	for i, c := range body {
		for bit := range 6 {
			at := strings.IndexByte(alphabet, c)
			if at < 0 {
				break
			}
			changed := bytes.Clone(body)
			changed[i] = alphabet[at^1<<bit]
			if _, err := open(k, changed); err == nil {
				t.Fatalf("bit %d of character %d does not matter", bit, i)
			}
		}
		if _, err := open(k, body[:i]); err == nil {
			t.Fatalf("it opens cut to %d", i)
		}
		for _, more := range []string{"A", ".", "\n", " ", "="} {
			if _, err := open(k, []byte(string(body[:i])+more+string(body[i:]))); err == nil {
				t.Fatalf("it opens with %q at %d", more, i)
			}
		}
	}
	for _, more := range []string{"A", ".", "\n", "=", ".AA"} {
		if _, err := open(k, append(bytes.Clone(body), more...)); err == nil {
			t.Fatalf("it opens with %q behind it", more)
		}
	}
}

// agreed is the content key of ECDH-ES, RFC 7518 section 4.6, by the standard
// library alone.
func agreed(t testing.TB, private *ecdh.PrivateKey, public *ecdh.PublicKey, apu, apv string) []byte {
	t.Helper()
	z, err := private.ECDH(public)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	h.Write([]byte{0, 0, 0, 1})
	h.Write(z)
	for _, s := range []string{"A256GCM", apu, apv} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(s)))
		h.Write([]byte(s))
	}
	_ = binary.Write(h, binary.BigEndian, uint32(256))
	return h.Sum(nil)
}

func gcm(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// forge is a message by other code than ours: what is in header replaces what
// such a message has, and nil takes it out.
func forge(t testing.TB, to envelope.PrivateKey, header map[string]any, plain string) []byte {
	t.Helper()
	raw, err := to.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdh.P256().NewPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	ephemeral, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{"alg": "ECDH-ES", "enc": "A256GCM", "kid": to.ID, "cty": "application/json", "epk": jwkOf(ephemeral.PublicKey())}
	for name, v := range header {
		if all[name] = v; v == nil {
			delete(all, name)
		}
	}
	text := func(name string) string {
		s, _ := all[name].(string)
		b, _ := b64.DecodeString(s)
		return string(b)
	}
	h, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	first := b64.EncodeToString(h)
	iv := make([]byte, 12)
	aead := gcm(t, agreed(t, ephemeral, private.PublicKey(), text("apu"), text("apv")))
	out := aead.Seal(nil, iv, []byte(plain), []byte(first))
	n := len(out) - 16
	return []byte(first + ".." + b64.EncodeToString(iv) + "." + b64.EncodeToString(out[:n]) + "." + b64.EncodeToString(out[n:]))
}

func jwkOf(k *ecdh.PublicKey) map[string]string {
	p := k.Bytes()
	return map[string]string{"kty": "EC", "crv": "P-256", "x": b64.EncodeToString(p[1:33]), "y": b64.EncodeToString(p[33:])}
}

func TestWhatOtherCodeWritesOpens(t *testing.T) {
	t.Parallel()
	k := generate(t)
	for name, header := range map[string]map[string]any{
		"usual": nil, "typ": {"typ": "JOSE"}, "apu and apv": {"apu": b64.EncodeToString([]byte("Alice")), "apv": b64.EncodeToString([]byte("Bob"))},
	} {
		if got, err := open(k, forge(t, k, header, "text")); err != nil || string(got) != "text" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestOtherCodeReadsWhatSealWrites opens by the standard library alone.
func TestOtherCodeReadsWhatSealWrites(t *testing.T) {
	t.Parallel()
	k := generate(t)
	parts := strings.Split(string(sealed(t, k, "some text")), ".")
	h, _ := b64.DecodeString(parts[0])
	var header struct {
		Alg, Enc, Kid, Cty string
		Epk                struct{ X, Y string }
	}
	if err := json.Unmarshal(h, &header); err != nil {
		t.Fatal(err)
	}
	if header.Alg != "ECDH-ES" || header.Enc != "A256GCM" || header.Kid != k.ID || header.Cty != "application/cloudevents+json" || parts[1] != "" {
		t.Fatalf("header %s, encrypted key %q", h, parts[1])
	}
	x, _ := b64.DecodeString(header.Epk.X)
	y, _ := b64.DecodeString(header.Epk.Y)
	epk, err := ecdh.P256().NewPublicKey(append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := k.Bytes()
	private, err := ecdh.P256().NewPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	iv, _ := b64.DecodeString(parts[2])
	ct, _ := b64.DecodeString(parts[3])
	tag, _ := b64.DecodeString(parts[4])
	got, err := gcm(t, agreed(t, private, epk, "", "")).Open(nil, iv, append(ct, tag...), []byte(parts[0]))
	if err != nil || string(got) != "some text" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestHostileMessagesAreRefused(t *testing.T) {
	t.Parallel()
	k := generate(t)
	good := string(forge(t, k, nil, "text"))
	header := func(members map[string]any) string { return string(forge(t, k, members, "text")) }
	p384 := func() map[string]string {
		e, err := ecdh.P384().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		p := e.PublicKey().Bytes()
		return map[string]string{"kty": "EC", "crv": "P-384", "x": b64.EncodeToString(p[1:49]), "y": b64.EncodeToString(p[49:])}
	}()
	offCurve := func(x, y []byte) map[string]string {
		return map[string]string{"kty": "EC", "crv": "P-256", "x": b64.EncodeToString(x), "y": b64.EncodeToString(y)}
	}
	prime := elliptic.P256().Params().P.Bytes()
	zero, one := make([]byte, 32), append(make([]byte, 31), 1)
	first := func(h string) string { return b64.EncodeToString([]byte(h)) + good[strings.IndexByte(good, '.'):] }
	for name, body := range map[string]string{
		"nothing":            "",
		"a dot":              ".",
		"four dots":          "....",
		"a million dots":     strings.Repeat(".", 1<<20),
		"too large":          strings.Repeat("A", envelope.MaxBytes+1),
		"a JWS":              "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.AAAA",
		"alg none":           header(map[string]any{"alg": "none"}),
		"alg dir":            header(map[string]any{"alg": "dir"}),
		"alg RSA1_5":         header(map[string]any{"alg": "RSA1_5"}),
		"alg with key wrap":  header(map[string]any{"alg": "ECDH-ES+A256KW"}),
		"a password":         header(map[string]any{"alg": "PBES2-HS512+A256KW", "p2c": 1 << 30, "p2s": "AAAA"}),
		"a count":            header(map[string]any{"p2c": 1 << 30}),
		"enc A128GCM":        header(map[string]any{"enc": "A128GCM"}),
		"enc CBC":            header(map[string]any{"enc": "A256CBC-HS512"}),
		"zip":                string(forge(t, k, map[string]any{"zip": "DEF"}, deflated(t, "text"))),
		"a bomb":             string(forge(t, k, map[string]any{"zip": "DEF"}, deflated(t, strings.Repeat("a", 1<<20)))),
		"crit":               header(map[string]any{"crit": []string{"exp"}, "exp": 1}),
		"empty crit":         header(map[string]any{"crit": []string{}}),
		"jwk":                header(map[string]any{"jwk": p384}),
		"jku":                header(map[string]any{"jku": "https://evil.example/"}),
		"x5c":                header(map[string]any{"x5c": []string{"AAAA"}}),
		"b64":                header(map[string]any{"b64": false}),
		"no kid":             header(map[string]any{"kid": nil}),
		"no cty":             header(map[string]any{"cty": nil}),
		"no alg":             header(map[string]any{"alg": nil}),
		"no enc":             header(map[string]any{"enc": nil}),
		"no epk":             header(map[string]any{"epk": nil}),
		"kid is no text":     header(map[string]any{"kid": 7}),
		"encrypted twice":    header(map[string]any{"cty": envelope.ContentType}),
		"epk on P-384":       header(map[string]any{"epk": p384}),
		"epk of RSA":         header(map[string]any{"epk": map[string]string{"kty": "RSA", "n": b64.EncodeToString(bytes.Repeat([]byte{7}, 256)), "e": "AQAB"}}),
		"epk symmetric":      header(map[string]any{"epk": map[string]string{"kty": "oct", "k": "AAAA"}}),
		"epk is a text":      header(map[string]any{"epk": "AAAA"}),
		"epk at infinity":    header(map[string]any{"epk": offCurve(zero, zero)}),
		"epk off the curve":  header(map[string]any{"epk": offCurve(one, one)}),
		"epk above p":        header(map[string]any{"epk": offCurve(prime, one)}),
		"epk short":          header(map[string]any{"epk": offCurve(one[:31], one)}),
		"apu is no base64":   header(map[string]any{"apu": "???"}),
		"a huge header":      header(map[string]any{"apu": strings.Repeat("A", envelope.MaxHeader)}),
		"alg twice":          first(`{"alg":"none","alg":"ECDH-ES","enc":"A256GCM","kid":"` + k.ID + `","cty":"a"}`),
		"ALG":                first(`{"ALG":"ECDH-ES","enc":"A256GCM","kid":"` + k.ID + `","cty":"a"}`),
		"header is a list":   first(`[]`),
		"header is null":     first(`null`),
		"an encrypted key":   strings.Replace(good, "..", ".AAAA.", 1),
		"an empty iv":        good[:strings.Index(good, "..")+2] + good[strings.Index(good, "..")+2+16:],
		"a tag of 12 bytes":  good[:len(good)-6],
		"no tag":             good[:strings.LastIndexByte(good, '.')+1],
		"JSON serialization": `{"protected":"","ciphertext":""}`,
	} {
		m, err := envelope.Parse([]byte(body))
		if err == nil {
			_, err = m.Open(k)
		}
		var refused envelope.Refused
		if !errors.As(err, &refused) || refused == "" {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
		if err != nil && (len(err.Error()) > 120 || strings.Contains(err.Error(), k.ID)) {
			t.Errorf("%s: says more than why: %v", name, err)
		}
	}
	if _, err := open(k, []byte(good)); err != nil {
		t.Fatalf("the one that is not hostile: %v", err)
	}
}

func deflated(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBoundsOfContents(t *testing.T) {
	t.Parallel()
	k := generate(t)
	most := bytes.Repeat([]byte{'a'}, envelope.MaxPlain)
	body, err := envelope.Seal(k.PublicKey, "application/cloudevents-batch+protobuf", most)
	if err != nil || len(body) > envelope.MaxBytes {
		t.Fatalf("%d bytes, %v", len(body), err)
	}
	if got, err := open(k, body); err != nil || !bytes.Equal(got, most) {
		t.Fatal(err)
	}
	if _, err := envelope.Seal(k.PublicKey, "a", append(most, 'a')); err == nil {
		t.Error("more than MaxPlain is encrypted")
	}
	if _, err := envelope.Seal(envelope.PublicKey{}, "a", nil); err == nil {
		t.Error("encrypted to no key")
	}
	for _, limit := range []int{0, 1000, envelope.Overhead, 4096, 100_000, 1 << 20} {
		n := envelope.PlainLimit(limit)
		body, err := envelope.Seal(k.PublicKey, "application/cloudevents-batch+protobuf", make([]byte, n))
		if err != nil || n > 0 && len(body) > limit {
			t.Errorf("%d bytes fit into %d: %d, %v", n, limit, len(body), err)
		}
	}
}

func TestPrivateKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	k := generate(t)
	raw, _ := k.Bytes()
	j, _ := json.Marshal(struct{ K envelope.PrivateKey }{k})
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "k", k)
	out := fmt.Sprintf("%v %+v %#v %s %s %s", k, k, k, k, j, &logged)
	for _, form := range []string{string(raw), b64.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), fmt.Sprintf("%x", raw), fmt.Sprint(raw)} {
		if strings.Contains(out, form) {
			t.Fatal("the secret is printed")
		}
	}
}

func FuzzOpen(f *testing.F) {
	k := generate(f)
	good := sealed(f, k, "text")
	f.Add(good)
	f.Add(forge(f, k, map[string]any{"zip": "DEF"}, "text"))
	f.Add([]byte("eyJ9....."))
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, err := open(k, body); err == nil && !bytes.Equal(body, good) {
			t.Fatalf("%q opens", got)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	eachSize(b, func(k envelope.PrivateKey, plain, _ []byte) error {
		_, err := envelope.Seal(k.PublicKey, "application/cloudevents-batch+protobuf", plain)
		return err
	})
}

func BenchmarkOpen(b *testing.B) {
	eachSize(b, func(k envelope.PrivateKey, _, body []byte) error {
		_, err := open(k, body)
		return err
	})
}

// eachSize is one event in a message, and 500.
func eachSize(b *testing.B, do func(k envelope.PrivateKey, plain, body []byte) error) {
	for _, size := range []int{300, 150_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			k, plain := generate(b), make([]byte, size)
			body := sealed(b, k, string(plain))
			b.ReportAllocs()
			for b.Loop() {
				if err := do(k, plain, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sum256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return b64.EncodeToString(sum[:])
}
