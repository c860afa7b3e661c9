package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/query/receipt"
	"github.com/rescindhq/rescind/schemas"
)

var update = flag.Bool("update", false, "write the published vector anew")

// key is the key of RFC 8037, appendix A: everybody has it.
func key(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func public(private ed25519.PrivateKey) receipt.Key {
	return receipt.NewKey(private.Public().(ed25519.PublicKey))
}

const (
	issuer  = "https://id.example"
	subject = "alice@example.com"
)

// salt is that of the vector.
func salt() (s receipt.Salt) {
	for i := range s {
		s[i] = byte(i)
	}
	return s
}

// example is the receipt of the vector.
func example() receipt.Receipt {
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC) }
	live := uint64(3)
	return receipt.Receipt{
		Request: "01960000-0000-7000-8000-000000000001", Tenant: "acme", Environment: "production", Regulation: "gdpr",
		Commitment: receipt.Commitment(salt(), issuer, subject),
		Received:   at(2, 9), Due: time.Date(2026, 4, 2, 21, 59, 59, 0, time.UTC),
		Decisions: []receipt.Step{
			{What: "received", At: at(2, 9), By: "p-0011223344556677"}, {What: "verified", At: at(3, 9), By: "p-0011223344556677"},
			{What: "approved", At: at(4, 9), By: "p-8899aabbccddeeff"},
		},
		Outcome:   receipt.Partial,
		Destroyed: &receipt.Destroyed{Method: receipt.Method, At: at(4, 10), Key: "00112233445566778899aabbccddeeff"},
		Tokens:    &receipt.Tokens{IssuedUntil: at(4, 10), Live: &live},
		Kept: &receipt.Kept{Parts: 2, Holds: []receipt.Hold{
			{ID: "01960000-0000-7000-8000-000000000002", Article: "GDPR 17(3)(e)", Review: "2026-09-30", Parts: 2},
		}},
		Recipients: []receipt.Recipient{{ID: "crm", State: "confirmed", At: at(4, 11), Answer: "200"}},
		Missing:    []string{"01960000-0000-7000-8000-000000000002"},
		Residue:    &receipt.Residue{UnreadableFrom: at(12, 0)},
		Remains:    receipt.Remains(),
		Log: &receipt.Checkpoints{
			Before: receipt.Checkpoint{Size: 1200, Root: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
			After:  &receipt.Checkpoint{Size: 1203, Root: "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="},
		},
		Issued: at(4, 11),
	}
}

func sign(t testing.TB, r receipt.Receipt, private ed25519.PrivateKey) receipt.JWS {
	t.Helper()
	j, err := receipt.Sign(r, private)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// published is a file of schemas/receipts; with -update, want written there.
func published(t *testing.T, name string, want []byte) []byte {
	t.Helper()
	if *update {
		if err := os.WriteFile("../../schemas/receipts/"+name, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return want
	}
	b, err := schemas.FS.ReadFile("receipts/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPublishedVector: what is published is what we sign and verify, with the
// subject's salt.
func TestPublishedVector(t *testing.T) {
	t.Parallel()
	j := sign(t, example(), key(t))
	file, err := receipt.NewFile(j)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.MarshalIndent(map[string]any{"keys": []receipt.JWK{public(key(t)).JWK()}}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"example.jws": []byte(j.Compact() + "\n"), "example.json": append(shown, '\n'), "example.keys.json": append(set, '\n')} {
		if d := cmp.Diff(string(want), string(published(t, name, want))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	keys, err := receipt.ParseKeys(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{[]byte(j.Compact()), shown, []byte("\n" + j.Compact() + "\n")} {
		got, by, err := receipt.Verify(file, keys)
		if err != nil {
			t.Fatal(err)
		}
		want := example()
		want.Version = receipt.Version
		if d := cmp.Diff(&want, got); d != "" || by.ID != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" { // RFC 8037, A.3
			t.Errorf("%s %s", by.ID, d)
		}
		if !got.IsOf(salt(), issuer, subject) {
			t.Error("it is not the subject's")
		}
	}
}

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	b, err := schemas.FS.ReadFile("receipts/erasure-receipt.v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("receipt.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("receipt.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// anyReceipt is a receipt that says anything.
func anyReceipt(t *rapid.T) receipt.Receipt {
	at := func() time.Time {
		return time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(t, "time"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
	}
	text := rapid.StringN(0, 400, 1000)
	r := example()
	r.Regulation = rapid.SampledFrom([]string{"gdpr", "ccpa", "other"}).Draw(t, "regulation")
	r.Outcome = rapid.SampledFrom([]string{receipt.Erased, receipt.AlreadyErased, receipt.NoMatch, receipt.Partial}).Draw(t, "outcome")
	r.Received, r.Due, r.Issued = at(), at(), at()
	r.Decisions = r.Decisions[:rapid.IntRange(0, 3).Draw(t, "decisions")]
	for range rapid.IntRange(0, 60).Draw(t, "recipients") {
		r.Recipients = append(r.Recipients, receipt.Recipient{ID: text.Draw(t, "recipient"), State: "confirmed", At: at(), Answer: text.Draw(t, "answer")})
	}
	for range rapid.IntRange(0, 30).Draw(t, "holds") {
		r.Kept.Holds = append(r.Kept.Holds, receipt.Hold{ID: "h", Article: text.Draw(t, "article"), Review: "2026-09-30", Parts: 1})
	}
	if rapid.Bool().Draw(t, "repeated") {
		r.Destroyed.Repetition = &receipt.Repetition{First: at(), Found: at()}
	}
	if rapid.Bool().Draw(t, "bare") {
		r.Destroyed, r.Tokens, r.Kept, r.Recipients, r.Residue, r.Log, r.Commitment = nil, nil, nil, nil, nil, nil, ""
	} else if rapid.Bool().Draw(t, "never") {
		r.Residue = &receipt.Residue{Never: true}
	}
	return r
}

// TestWhatIsSigned: whatever a receipt says, it is what the schema says, fits
// into an event, is verified by us and by code that we did not write, and signed
// again is the same.
func TestWhatIsSigned(t *testing.T) {
	t.Parallel()
	private, valid := key(t), schema(t)
	rapid.Check(t, func(t *rapid.T) {
		r := anyReceipt(t)
		j, err := receipt.Sign(r, private)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := receipt.Sign(r, private); again != j {
			t.Fatal("signed again it is another")
		}
		got, _, err := receipt.Verify([]byte(j.Compact()), []receipt.Key{public(private)})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(got.Recipients) + got.More; n != len(r.Recipients) {
			t.Fatalf("%d recipients of %d", n, len(r.Recipients))
		}
		theirs, err := jose.ParseSignedCompact(j.Compact(), []jose.SignatureAlgorithm{jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := theirs.Verify(private.Public())
		if err != nil || len(payload) > receipt.MaxPayload {
			t.Fatalf("%d bytes, %v", len(payload), err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
		if err != nil {
			t.Fatal(err)
		}
		if err := valid.Validate(v); err != nil {
			t.Fatalf("%v\n%s", err, payload)
		}
	})
}

// TestCommitmentIsOfOne: another salt, issuer or subject, or the same bytes
// divided otherwise, make another.
func TestCommitmentIsOfOne(t *testing.T) {
	t.Parallel()
	other := salt()
	other[31] ^= 1
	all := []string{
		receipt.Commitment(salt(), "ab", "c"), receipt.Commitment(salt(), "a", "bc"), receipt.Commitment(salt(), "", "abc"),
		receipt.Commitment(other, "ab", "c"), receipt.Commitment(receipt.NewSalt(), "ab", "c"), receipt.Commitment(receipt.NewSalt(), "ab", "c"),
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != 6 {
		t.Error(all)
	}
	r := example()
	if !r.IsOf(salt(), issuer, subject) || r.IsOf(other, issuer, subject) || r.IsOf(salt(), issuer, "Alice@example.com") || r.IsOf(salt(), "https://id.example/", subject) {
		t.Error("it is of another, or not of the subject")
	}
	r.Commitment = ""
	if r.IsOf(salt(), issuer, subject) {
		t.Error("without a commitment it is of anybody")
	}
}

func TestSaltInText(t *testing.T) {
	t.Parallel()
	s := receipt.NewSalt()
	if got, err := receipt.ParseSalt(s.String()); err != nil || got != s || s == receipt.NewSalt() {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"", "AAAA", s.String() + "A", s.String()[:42], strings.Repeat("A", 42) + "B", strings.Repeat("=", 43), s.String() + "\n"} {
		if _, err := receipt.ParseSalt(bad); err == nil {
			t.Errorf("read %q", bad)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	good := public(key(t)).JWK()
	file := func(change func(m map[string]any)) string {
		b, _ := json.Marshal(good)
		m := map[string]any{}
		_ = json.Unmarshal(b, &m)
		change(m)
		b, _ = json.Marshal(map[string]any{"keys": []any{m}})
		return string(b)
	}
	other := receipt.NewKey(make(ed25519.PublicKey, 32)).JWK()
	for name, c := range map[string]struct{ file, says string }{
		"nothing":       {"", "not JSON"},
		"no keys":       {`{"keys":[]}`, "no key in it"},
		"a text":        {`{"keys":["x"]}`, "no JSON object"},
		"private":       {file(func(m map[string]any) { m["d"] = "AAAA" }), "private"},
		"symmetric":     {file(func(m map[string]any) { m["kty"] = "oct" }), "kty OKP"},
		"another curve": {file(func(m map[string]any) { m["crv"] = "X25519" }), "crv Ed25519"},
		"short":         {file(func(m map[string]any) { m["x"] = "AAAA" }), "32 bytes"},
		"another alg":   {file(func(m map[string]any) { m["alg"] = "HS256" }), "kty OKP"},
		"swapped":       {file(func(m map[string]any) { m["x"] = other.X }), "in the place of another"},
		"huge":          {strings.Repeat(" ", 2<<20), "the limit"},
	} {
		if _, err := receipt.ParseKeys([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	one, _ := json.Marshal(good)
	if keys, err := receipt.ParseKeys(one); err != nil || len(keys) != 1 || keys[0].ID != good.Kid {
		t.Errorf("one key alone: %v %v", keys, err)
	}
	if keys, err := receipt.ParseKeys([]byte(file(func(m map[string]any) { delete(m, "kid") }))); err != nil || keys[0].ID != good.Kid {
		t.Errorf("without kid: %v %v", keys, err)
	}
}

// TestNodeVerifiesReceipts: docs/receipt does, with nothing but Node, and refuses what
// was changed and who it is not about.
func TestNodeVerifiesReceipts(t *testing.T) {
	t.Parallel()
	changed := filepath.Join(t.TempDir(), "changed.jws")
	good := sign(t, example(), key(t)).Compact()
	if err := os.WriteFile(changed, []byte(strings.Replace(good, ".eyJ", ".eyK", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(file string, args ...string) (string, error) {
		script := filepath.Join("..", "..", "docs", "receipt", "verify.mjs")
		keys := filepath.Join("..", "..", "schemas", "receipts", "example.keys.json")
		out, err := exec.CommandContext(t.Context(), "node", append([]string{script, file, keys}, args...)...).CombinedOutput()
		return string(out), err
	}
	published := filepath.Join("..", "..", "schemas", "receipts", "example.jws")
	if out, err := run(published, salt().String(), issuer, subject); err != nil || !strings.Contains(out, `"outcome":"partial"`) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := run(published, salt().String(), issuer, "bob@example.com"); err == nil || !strings.Contains(out, "not about this person") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := run(changed); err == nil || !strings.Contains(out, "does not hold") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestWhatDoesNotFitIsCut: and counted; texts that others wrote are cut as well.
func TestWhatDoesNotFitIsCut(t *testing.T) {
	t.Parallel()
	r := example()
	long := strings.Repeat("ä", 500)
	for range 300 {
		r.Recipients = append(r.Recipients, receipt.Recipient{ID: "r", State: "confirmed", Answer: long})
		r.Kept.Holds = append(r.Kept.Holds, receipt.Hold{ID: "h", Article: long, Review: "2026-09-30", Parts: 1})
	}
	j := sign(t, r, key(t))
	if n := base64.RawURLEncoding.DecodedLen(len(j.Payload)); n > receipt.MaxPayload {
		t.Errorf("%d bytes", n)
	}
	got, _, err := receipt.Verify([]byte(j.Compact()), []receipt.Key{public(key(t))})
	if err != nil {
		t.Fatal(err)
	}
	if n, m := len(got.Recipients)+got.More, len(got.Kept.Holds)+got.Kept.More; n != 301 || m != 301 || got.More == 0 || got.Kept.More == 0 {
		t.Errorf("%d recipients, %d holds", n, m)
	}
	if len(got.Kept.Holds) < 5 || len(got.Kept.Holds[1].Article) > 210 || len(r.Recipients) != 301 || len(r.Kept.Holds[1].Article) != 1000 {
		t.Errorf("%d holds are named, %d left of mine", len(got.Kept.Holds), len(r.Kept.Holds))
	}
}
