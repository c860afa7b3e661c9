package recipient_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/recipient"
)

func https(url string) error { return callback.CheckURL(url, false, nil) }

// key is a public key of P-256 as a file has it: that of RFC 7517, appendix A.1.
const key = `{kty: EC, crv: P-256, x: MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4, y: 4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM}`

const good = `
own: [https://api.acme.example]
recipients:
  - id: crm
    audiences: [https://crm.example, crm]
    url: https://crm.example/rescind
    key: ` + key + `
  - {id: bank, tenants: [acme], audiences: [bank, crm], contact: "post@bank.example"}
  - {id: other, tenants: [globex], audiences: [https://crm.example], contact: letter}
`

// TestOf: who applies follows from audiences and exports, for the tenant.
func TestOf(t *testing.T) {
	t.Parallel()
	g, err := recipient.Parse([]byte(good), https)
	if err != nil || g.IsEmpty() {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, tenant string
		recipient.Disclosed
		want, unknown []string
	}{
		{"nothing", "acme", recipient.Disclosed{}, nil, nil},
		{"one audience, one recipient", "acme", recipient.Disclosed{Audiences: []string{"https://crm.example"}}, []string{"crm"}, nil},
		{"one audience, two recipients", "acme", recipient.Disclosed{Audiences: []string{"crm"}}, []string{"bank", "crm"}, nil},
		{"another tenant's are not told", "globex", recipient.Disclosed{Audiences: []string{"bank", "https://crm.example"}}, []string{"crm", "other"}, []string{"bank"}},
		{"own and unknown", "acme", recipient.Disclosed{Audiences: []string{"https://api.acme.example", "who?"}}, nil, []string{"who?"}},
		{"exports to another tenant's are not told", "globex", recipient.Disclosed{Exports: []string{"bank", "crm"}}, []string{"crm"}, []string{"bank"}},
		{"exports", "acme", recipient.Disclosed{Audiences: []string{"bank"}, Exports: []string{"bank", "crm", "gone"}}, []string{"bank", "crm"}, []string{"gone"}},
	} {
		got, unknown := g.Of(c.tenant, c.Disclosed)
		if diff := cmp.Diff(c.want, got) + cmp.Diff(c.unknown, unknown); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if r, ok := g.Get("bank"); !ok || r.URL != "" || r.Contact != "post@bank.example" || !r.Key.IsZero() {
		t.Errorf("%+v", r)
	}
	if _, ok := g.Get("nobody"); ok {
		t.Error("nobody is registered")
	}
}

// TestNobody: no file is a registry of nobody.
func TestNobody(t *testing.T) {
	t.Parallel()
	g, err := recipient.Load("", https)
	if _, there := g.Get("crm"); err != nil || !g.IsEmpty() || there {
		t.Errorf("%v", err)
	}
}

// TestFaults: each is found, and all at once.
func TestFaults(t *testing.T) {
	t.Parallel()
	entry := func(members string) string { return "recipients: [{" + members + "}]" }
	whole := "id: a, audiences: [a], url: 'https://a.example/', key: " + key
	if _, err := recipient.Parse([]byte(entry(whole)), https); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, want string }{
		"yaml":            {"recipients: [", ""},
		"twice a member":  {"own: []\nown: []", "own"},
		"unknown":         {"recipient: []", "recipient"},
		"unknown member":  {entry(whole + ", uri: x"), "uri"},
		"id":              {entry("id: 'A b', audiences: [a], contact: c"), "id: want"},
		"long id":         {entry("id: " + strings.Repeat("a", 33) + ", audiences: [a], contact: c"), "id: want"},
		"twice":           {"recipients: [{id: a, audiences: [a], contact: c}, {id: a, audiences: [b], contact: c}]", "another one has it"},
		"no audience":     {entry("id: a, contact: c"), "audiences: want"},
		"empty audience":  {entry("id: a, audiences: [''], contact: c"), "audiences: one is empty"},
		"audience twice":  {entry("id: a, audiences: [x, x], contact: c"), "twice"},
		"own":             {"own: [a]\n" + entry("id: a, audiences: [a], contact: c"), "own"},
		"tenant":          {entry("id: a, audiences: [a], contact: c, tenants: [a.b]"), "tenants"},
		"nobody can tell": {entry("id: a, audiences: [a]"), "nobody could tell them"},
		"no key":          {entry("id: a, audiences: [a], url: 'https://a.example/'"), "want both"},
		"key alone":       {entry("id: a, audiences: [a], contact: c, key: " + key), "want both"},
		"http":            {entry(strings.Replace(whole, "https:", "http:", 1)), "want https"},
		"inside":          {entry(strings.Replace(whole, "a.example", "10.0.0.1", 1)), "public Internet"},
		"private":         {entry(strings.Replace(whole, "kty: EC", "d: AA, kty: EC", 1)), "private"},
		"curve":           {entry(strings.Replace(whole, "P-256", "P-384", 1)), "P-256"},
		"signing key":     {entry(strings.Replace(whole, "kty: EC", "use: sig, kty: EC", 1)), "use"},
		"no point":        {entry(strings.Replace(whole, "y: 4E", "y: 4F", 1)), "no point"},
	} {
		if _, err := recipient.Parse([]byte(c.file), https); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := recipient.Parse([]byte("recipients: [{id: A}, {id: b, audiences: [x], url: 'http://x/'}]"), https)
	for _, want := range []string{"recipient 1", "id: want", "audiences", "recipient 2", "want https", "both"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

// TestLoad: a file that is not there, or is no registry, is named.
func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "recipients.yaml")
	if _, err := recipient.Load(file, https); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	for _, text := range []string{good, "recipients: 1", strings.Repeat("#", recipient.MaxFile+1)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := recipient.Load(file, https); (err == nil) != (text == good) || err != nil && !strings.Contains(err.Error(), file) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// TestSeal: what is sealed opens with the recipient's private key, and no other.
func TestSeal(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	private, err := envelope.Generate(now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	other, err := envelope.Generate(now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	r := recipient.Recipient{ID: "crm", Key: private.PublicKey}
	sealed, err := r.Seal([]byte(`{"sub":"alice"}`))
	if err != nil || strings.Contains(string(sealed), "alice") {
		t.Fatal(err)
	}
	m, err := envelope.Parse(sealed)
	if err != nil || m.ContentType != "application/json" {
		t.Fatal(err)
	}
	if plain, err := m.Open(private); err != nil || string(plain) != `{"sub":"alice"}` {
		t.Errorf("%s, %v", plain, err)
	}
	if _, err := m.Open(other); err == nil {
		t.Error("another key opens it")
	}
	if _, err := (&recipient.Recipient{ID: "x"}).Seal(nil); err == nil {
		t.Error("sealed to no key")
	}
}
