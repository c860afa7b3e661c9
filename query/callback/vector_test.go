package callback

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// vector is a message with its signature, as docs/callbacks.md prints it.
type vector struct {
	URL    string            `json:"url"`
	Fields map[string]string `json:"fields"`
	Body   string            `json:"body"`
	JWK    map[string]string `json:"jwk"`
	Now    int64             `json:"now"`
	Base   string            `json:"base,omitempty"`
}

// vectorKey is the first of RFC 8032, section 7.1.
func vectorKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	seed, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func readVector(t testing.TB) (v vector) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vector.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v vector) header() http.Header {
	h := http.Header{}
	for name, value := range v.Fields {
		h.Set(name, value)
	}
	return h
}

// TestVector holds what is sent to the published vector, and the vector to the
// manual.
func TestVector(t *testing.T) {
	t.Parallel()
	v, key := readVector(t), vectorKey(t)
	h := http.Header{}
	sign(h, key, Message{ID: "notice-1", URL: v.URL, Kind: "erasure.notice", ContentType: "application/json", Body: []byte(v.Body)}, time.Unix(v.Now, 0))
	for name := range v.Fields {
		if h.Get(name) != v.Fields[name] {
			t.Errorf("%s: %s\nwant %s", name, h.Get(name), v.Fields[name])
		}
	}
	if len(h) != len(v.Fields) {
		t.Errorf("%d fields, the vector has %d", len(h), len(v.Fields))
	}
	params := strings.TrimPrefix(h.Get(fieldInput), "rescind=")
	if got := base(h, v.URL, params); got != v.Base {
		t.Errorf("the signature base is\n%s\nwant\n%s", got, v.Base)
	}
	public := key.Public().(ed25519.PublicKey)
	if x := base64.RawURLEncoding.EncodeToString(public); x != v.JWK["x"] {
		t.Errorf("key %s", x)
	}
	if KeyID(public) != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" { // RFC 8037, appendix A.3
		t.Errorf("key id %s", KeyID(public))
	}
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "callbacks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{v.Base, v.Fields["signature"], v.Body} {
		if !strings.Contains(string(manual), want) {
			t.Errorf("docs/callbacks.md does not hold %s", want)
		}
	}
}

// changes is what a signature must not survive.
var changes = map[string]func(v *vector){
	"body":      func(v *vector) { v.Body += " " },
	"url":       func(v *vector) { v.URL += "?" },
	"id":        func(v *vector) { v.Fields["idempotency-key"] = `"notice-2"` },
	"kind":      func(v *vector) { v.Fields["rescind-kind"] = "request.status" },
	"type":      func(v *vector) { v.Fields["content-type"] = "text/plain" },
	"digest":    func(v *vector) { v.Fields["content-digest"] = digest([]byte("x")) },
	"late":      func(v *vector) { v.Now += int64((Window + 2*time.Minute) / time.Second) },
	"early":     func(v *vector) { v.Now -= 120 },
	"key":       func(v *vector) { v.JWK["x"] = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) },
	"signature": func(v *vector) { v.Fields["signature"] = strings.Replace(v.Fields["signature"], ":", ":AAAA", 1) },
	"unsigned":  func(v *vector) { delete(v.Fields, "signature") },
	"covered": func(v *vector) {
		v.Fields["signature-input"] = strings.Replace(v.Fields["signature-input"], ` "content-digest"`, "", 1)
	},
	"longer": func(v *vector) {
		v.Fields["signature-input"] = strings.Replace(v.Fields["signature-input"], "expires=1800000300", "expires=1800099999", 1)
	},
	"tag": func(v *vector) {
		v.Fields["signature-input"] = strings.Replace(v.Fields["signature-input"], "rescind-callback", "x", 1)
	},
}

func (v vector) clone() vector {
	v.Fields, v.JWK = maps.Clone(v.Fields), maps.Clone(v.JWK)
	return v
}

func (v vector) verify(t testing.TB) (Received, error) {
	t.Helper()
	x, err := base64.RawURLEncoding.DecodeString(v.JWK["x"])
	if err != nil {
		t.Fatal(err)
	}
	return Verify(v.header(), v.URL, []byte(v.Body), map[string]ed25519.PublicKey{KeyID(x): x}, time.Unix(v.Now, 0))
}

// TestVerify: the vector is believed, and nothing that differs from it.
func TestVerify(t *testing.T) {
	t.Parallel()
	v := readVector(t)
	got, err := v.verify(t)
	if err != nil || got.ID != "notice-1" || got.Kind != "erasure.notice" || got.Created.Unix() != v.Now {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, change := range changes {
		c := v.clone()
		change(&c)
		if _, err := c.verify(t); err == nil {
			t.Errorf("%s: it is believed", name)
		}
	}
	twice := v.header()
	twice.Add("Signature", v.Fields["signature"])
	if _, err := Verify(twice, v.URL, []byte(v.Body), nil, time.Unix(v.Now, 0)); err == nil {
		t.Error("two signatures are believed")
	}
}

// TestSignedForLonger: a signature that says itself that it holds for longer than
// the window is refused, although it is right.
func TestSignedForLonger(t *testing.T) {
	t.Parallel()
	v, key := readVector(t), vectorKey(t)
	for _, window := range []time.Duration{Window, Window + time.Second} {
		h, now := v.header(), time.Unix(v.Now, 0)
		params := strings.Replace(parameters(KeyID(key.Public().(ed25519.PublicKey)), now), fmt.Sprint("expires=", now.Add(Window).Unix()), fmt.Sprint("expires=", now.Add(window).Unix()), 1)
		h.Set(fieldInput, "rescind="+params)
		h.Set(fieldSignature, "rescind=:"+base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(base(h, v.URL, params))))+":")
		_, err := Verify(h, v.URL, []byte(v.Body), map[string]ed25519.PublicKey{KeyID(key.Public().(ed25519.PublicKey)): key.Public().(ed25519.PublicKey)}, now)
		if (err == nil) != (window == Window) {
			t.Errorf("%s: %v", window, err)
		}
	}
}

// TestNodeVerifies: the script of the manual, which shares no code with ours,
// says the same of the vector and of each change to it.
func TestNodeVerifies(t *testing.T) {
	t.Parallel()
	v := readVector(t)
	run := func(v vector) ([]byte, error) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "vector.json")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.CommandContext(t.Context(), "node", filepath.Join("..", "..", "docs", "callbacks", "verify.mjs"), file).CombinedOutput()
	}
	if out, err := run(v); err != nil || string(bytes.TrimSpace(out)) != `{"id":"notice-1","kind":"erasure.notice"}` {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"body", "url", "late", "covered", "key"} {
		c := v.clone()
		changes[name](&c)
		if out, err := run(c); err == nil {
			t.Errorf("%s: Node believes it: %s", name, out)
		}
	}
}

// FuzzVerify: nothing that a stranger sends is believed, or stops us.
func FuzzVerify(f *testing.F) {
	v := readVector(f)
	f.Add(v.Fields["signature-input"], v.Fields["signature"], v.Fields["idempotency-key"])
	f.Add("rescind=()", "rescind=::", `"`)
	f.Fuzz(func(t *testing.T, input, signature, id string) {
		c := v.clone()
		c.Fields["signature-input"], c.Fields["signature"], c.Fields["idempotency-key"] = input, signature, id
		same := input == v.Fields["signature-input"] && id == v.Fields["idempotency-key"]
		if _, err := c.verify(t); err == nil && !same {
			t.Error("it is believed")
		}
	})
}
