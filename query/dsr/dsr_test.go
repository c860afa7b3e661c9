package dsr

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/query/erasure"
)

const good = `{"regulation":"gdpr","subject_request_id":"a7551968-d5d6-44b2-9831-815ac9017798","subject_request_type":"erasure",
"submitted_time":"2026-10-02T17:00:00+02:00","api_version":"2.0",
"subject_identities":[{"identity_type":"controller_customer_id","identity_value":"alice@example.com","identity_format":"raw"}],
"status_callback_urls":["https://controller.example/cb?alice@example.com"],
"extensions":{"other.example":{"Anything":[1.50,{"b":null,"a":"alice@example.com"}]},"dsr.example":{"iss":"https://id.example"}}}`

func TestParse(t *testing.T) {
	t.Parallel()
	r, err := Parse([]byte(good), "dsr.example", "")
	if err != nil {
		t.Fatal(err)
	}
	want := Request{
		Regulation: "gdpr", ID: "a7551968-d5d6-44b2-9831-815ac9017798", Type: "erasure", Subject: "alice@example.com", Issuer: "https://id.example",
		Submitted: time.Date(2026, 10, 2, 15, 0, 0, 0, time.UTC), Callbacks: []string{"https://controller.example/cb?alice@example.com"},
	}
	got := r
	got.said, got.encoded, got.Submitted = "", "", r.Submitted.UTC()
	if d := cmp.Diff(want, got, cmp.AllowUnexported(Request{})); d != "" {
		t.Error(d)
	}
	b, err := base64.StdEncoding.DecodeString(r.encoded)
	if err != nil || bytes.Contains(b, []byte("alice")) || bytes.Contains(b, []byte("other.example")) || !bytes.Contains(b, []byte(r.ID)) {
		t.Errorf("encoded: %v %s", err, b)
	}
	if r, err = Parse([]byte(good), "third.example", ""); err != nil || r.Issuer != "" {
		t.Errorf("extensions of others only: %v %q", err, r.Issuer)
	}
	if b, _ = base64.StdEncoding.DecodeString(r.encoded); bytes.Contains(b, []byte("example.com")) || bytes.Contains(b, []byte("dsr.example")) {
		t.Errorf("encoded, extensions of others only: %s", b)
	}
}

// TestSaidIsOneForm: only what a request says makes another of it.
func TestSaidIsOneForm(t *testing.T) {
	t.Parallel()
	said := func(body string) string {
		r, err := Parse([]byte(body), "dsr.example", "")
		if err != nil {
			t.Fatal(err)
		}
		return r.Said()
	}
	var members map[string]any
	d := json.NewDecoder(strings.NewReader(good))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.MarshalIndent(members, "\t", " ")
	if err != nil {
		t.Fatal(err)
	}
	if said(good) != said(string(sorted)) {
		t.Errorf("other order:\n%s\n%s", said(good), said(string(sorted)))
	}
	for _, change := range [][2]string{
		{"gdpr", "ccpa"}, {`"erasure"`, `"access"`}, {"17:00:00", "17:00:01"}, {`"api_version":"2.0",`, ""}, {`alice@example.com","identity_format`, `bob","identity_format`},
		{"cb?alice", "cb?bob"}, {"1.50", "1.5"}, {"https://id.example", "https://id2.example"},
	} {
		if other := strings.Replace(good, change[0], change[1], 1); other == good || said(other) == said(good) {
			t.Errorf("%s for %s is the same", change[1], change[0])
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	identity := func(kind, value, format string) string {
		return `{"identity_type":"` + kind + `","identity_value":"` + value + `","identity_format":"` + format + `"}`
	}
	first := identity(CustomerID, "alice@example.com", Raw)
	for name, c := range map[string]struct{ old, put, member, detail string }{
		"md5":                 {first, identity(CustomerID, "c160f8cc69a4f0bf2b0362752353d060", "md5"), "identity_format", "by trying"},
		"sha1, in capitals":   {first, identity("email", "c160f8cc", "SHA1"), "identity_format", "by trying"},
		"sha256":              {first, identity(CustomerID, "c160f8cc", "sha256"), "identity_format", "nobody is known"},
		"md5 beside raw":      {first, first + "," + identity(CustomerID, "c160", "md5"), "identity_format", "by trying"},
		"no format":           {first, identity(CustomerID, "alice", ""), "identity_format", "raw"},
		"an e-mail address":   {first, identity("email", "alice@example.com", Raw), "identity_type", CustomerID},
		"an e-mail beside":    {first, first + "," + identity("email", "alice@example.com", Raw), "identity_type", CustomerID},
		"two people":          {first, first + "," + identity(CustomerID, "bob", Raw), "subject_identities", "several"},
		"nobody":              {first, "", "subject_identities", "want"},
		"an empty name":       {first, identity(CustomerID, "", Raw), "identity_value", "name"},
		"another regulation":  {"gdpr", "other", "regulation", "gdpr or ccpa"},
		"no regulation":       {`"regulation":"gdpr",`, "", "regulation", "gdpr or ccpa"},
		"a UUID of version 1": {"44b2", "14b2", "subject_request_id", "version 4"},
		"a UUID in capitals":  {"a7551968", "A7551968", "subject_request_id", "lower case"},
		"another type":        {`"erasure"`, `"restriction"`, "subject_request_type", "access"},
		"no time":             {"17:00:00+02:00", "17:00", "submitted_time", "RFC 3339"},
		"another version":     {`"2.0"`, `"3.0"`, "api_version", "2.0"},
		"a member not known":  {`"api_version"`, `"group_id":"x","api_version"`, "body", "not known"},
		"a member twice":      {`"api_version"`, `"regulation":"ccpa","api_version"`, "body", "twice"},
		"twice, escaped":      {`"api_version"`, `"\u0072egulation":"ccpa","api_version"`, "body", "twice"},
		"in capitals":         {`"regulation"`, `"Regulation"`, "body", "lower case"},
		"in capitals, within": {`"identity_value"`, `"Identity_Value"`, "body", "lower case"},
		"twice, folded":       {`"status_callback_urls"`, `"ſubject_identities":[` + identity(CustomerID, "bob", Raw) + `],"status_callback_urls"`, "body", "lower case"},
		"twice within":        {`"identity_format":"raw"`, `"identity_format":"raw","identity_format":"raw"`, "body", "twice"},
		"twice, of others":    {`{"Anything"`, `{"x":1,"x":2,"Anything"`, "body", "twice"},
		"not known of ours":   {`{"iss"`, `{"sub":"x","iss"`, "extensions", "nothing else"},
		"another issuer":      {`"https://id.example"`, `7`, "extensions", "iss"},
		"ours is no object":   {`{"iss":"https://id.example"}`, `7`, "extensions", "object"},
		"something behind":    {"}}}", "}}}{}", "body", "follows"},
		"not complete":        {"}}}", "}}", "body", "object"},
		"another shape":       {`["https://controller.example/cb?alice@example.com"]`, `"alice"`, "status_callback_urls", "shape"},
		"too deep":            {"1.50", strings.Repeat("[", 40) + strings.Repeat("]", 40), "body", "nested"},
	} {
		body := strings.Replace(good, c.old, c.put, 1)
		_, err := Parse([]byte(body), "dsr.example", "")
		var f *Fault
		if !errors.As(err, &f) || f.Member != c.member || !strings.Contains(f.Detail, c.detail) {
			t.Errorf("%s: %v", name, err)
		}
		if body == good || err != nil && (strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), "c160")) {
			t.Errorf("%s: says %v", name, err)
		}
	}
	for _, body := range []string{"", "[]", "7", "null", `"x"`} {
		if _, err := Parse([]byte(body), "dsr.example", ""); err == nil {
			t.Errorf("%q was taken", body)
		}
	}
	if r, err := Parse([]byte(strings.Replace(good, `"regulation":"gdpr",`, "", 1)), "dsr.example", "gdpr"); err != nil || r.Regulation != "gdpr" {
		t.Errorf("version 1 without a regulation: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Parse(body, "dsr.example", "")
		if err != nil {
			return
		}
		again, err := Parse([]byte(r.Said()), "dsr.example", "")
		if err != nil || again.Said() != r.Said() || again.Subject != r.Subject {
			t.Errorf("%v\n%s\n%s", err, r.Said(), again.Said())
		}
	})
}

// TestEveryStateHasAStatus in both protocols, and none is made better than it is.
func TestEveryStateHasAStatus(t *testing.T) {
	t.Parallel()
	want := map[erasure.State][2]string{
		erasure.Received: {Pending, DRPOpen}, erasure.Verified: {Pending, DRPInProgress}, erasure.Extended: {Pending, DRPInProgress},
		erasure.Approved: {InProgress, DRPInProgress}, erasure.Executing: {InProgress, DRPInProgress}, erasure.Partial: {InProgress, DRPInProgress},
		erasure.Completed: {Completed, DRPFulfilled}, erasure.Denied: {Cancelled, DRPDenied}, erasure.Cancelled: {Cancelled, DRPRevoked},
	}
	for _, s := range erasure.States() {
		e := ExerciseOf(&erasure.Request{State: s, Outcome: erasure.Erased})
		if got := [2]string{StatusOf(s), e.Status}; got != want[s] {
			t.Errorf("%s: %v, want %v", s, got, want[s])
		}
		if !slices.Contains(DRPStates(), e.Status) {
			t.Errorf("%s: %s is no state of the protocol", s, e.Status)
		}
	}
}

func TestDataRightsReasons(t *testing.T) {
	t.Parallel()
	for _, reason := range erasure.DenialReasons() {
		e := ExerciseOf(&erasure.Request{State: erasure.Denied, Reason: reason})
		known := slices.Contains(DRPReasons(), reason)
		if known != (e.Reason == reason) || known == (e.Details == reason) || !slices.Contains(DRPReasons(), e.Reason) {
			t.Errorf("%s: %+v", reason, e)
		}
	}
	for outcome, want := range map[erasure.Outcome][3]string{
		erasure.Erased: {DRPFulfilled, "", "erased"}, erasure.AlreadyErased: {DRPFulfilled, "", "already_erased"},
		erasure.NoMatch: {DRPDenied, erasure.ReasonNoMatch, ""},
	} {
		e := ExerciseOf(&erasure.Request{State: erasure.Completed, Outcome: outcome})
		if got := [3]string{e.Status, e.Reason, e.Details}; got != want {
			t.Errorf("%s: %v", outcome, got)
		}
	}
	extended := erasure.Request{State: erasure.Extended, Extended: true, History: []erasure.Step{{}, {What: erasure.StepExtended, Reason: "complex"}}}
	if e := ExerciseOf(&extended); e.Details != "extended: complex" {
		t.Errorf("%+v", e)
	}
}

// certify is a certificate for names, and its key, in PEM.
func certify(t *testing.T, key crypto.Signer, names ...string) (cert, private []byte) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func keys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	strong, errStrong := rsa.GenerateKey(rand.Reader, 2048)
	curve, errCurve := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edwards, errEdwards := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err, errStrong, errCurve, errEdwards); err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"weak": weak, "RSA": strong, "ECDSA": curve, "Ed25519": edwards}
}

func TestSign(t *testing.T) {
	t.Parallel()
	all := keys(t)
	for name, algorithm := range map[string]x509.SignatureAlgorithm{"RSA": x509.SHA256WithRSA, "ECDSA": x509.ECDSAWithSHA256} {
		cert, key := certify(t, all[name], "dsr.example", "www.example")
		s, err := New(Config{Certificate: cert, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		body := []byte(`{"a":1}`)
		h, err := s.Sign(body)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(s.Certificate())
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := base64.StdEncoding.DecodeString(h.Get("X-OpenDSR-Signature"))
		if err != nil || h.Get("X-OpenDSR-Processor-Domain") != "dsr.example" || s.Domain() != "dsr.example" {
			t.Errorf("%s: %v %v", name, err, h)
		}
		if err := leaf.CheckSignature(algorithm, body, signature); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := leaf.CheckSignature(algorithm, []byte(`{"a":2}`), signature); err == nil {
			t.Errorf("%s: verifies another body", name)
		}
		if h.Get("X-OpenGDPR-Signature") != h.Get("X-OpenDSR-Signature") || h.Get("X-OpenGDPR-Processor-Domain") != "dsr.example" {
			t.Errorf("%s: the fields of version 1: %v", name, h)
		}
	}
	for name, change := range map[string]func(*Config){
		"weak":           func(c *Config) { c.Certificate, c.Key = certify(t, all["weak"], "dsr.example") },
		"Ed25519":        func(c *Config) { c.Certificate, c.Key = certify(t, all["Ed25519"], "dsr.example") },
		"another's key":  func(c *Config) { _, c.Key = certify(t, all["RSA"], "dsr.example") },
		"another domain": func(c *Config) { c.Domain = "other.example" },
		"no name":        func(c *Config) { c.Certificate, c.Key = certify(t, all["ECDSA"]) },
		"any name":       func(c *Config) { c.Certificate, c.Key = certify(t, all["ECDSA"], "*.example") },
		"no certificate": func(c *Config) { c.Certificate = nil },
	} {
		var c Config
		c.Certificate, c.Key = certify(t, all["ECDSA"], "dsr.example")
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestCertificateIsAllThatIsShown: a certificate and its key are often in one file.
func TestCertificateIsAllThatIsShown(t *testing.T) {
	t.Parallel()
	all := keys(t)
	cert, key := certify(t, all["ECDSA"], "dsr.example")
	issuer, _ := certify(t, all["RSA"], "authority.example")
	together := slices.Concat([]byte("Bag Attributes: alice\n"), key, cert, issuer)
	s, err := New(Config{Certificate: together, Key: together})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(s.Certificate()), string(cert)+string(issuer); got != want {
		t.Errorf("%d bytes of something else than the %d of the chain; a private key: %t", len(got), len(want), strings.Contains(got, "PRIVATE KEY"))
	}
}

// TestMessage: a callback says the URL that it is for, and how it stood then.
func TestMessage(t *testing.T) {
	t.Parallel()
	cert, key := certify(t, keys(t)["ECDSA"], "dsr.example")
	s, err := New(Config{Certificate: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	r := erasure.Request{ID: "r-1", Tenant: "acme", State: erasure.Completed, Outcome: erasure.NoMatch, Due: time.Date(2026, 11, 1, 0, 0, 0, 0, time.FixedZone("CET", 3600))}
	for state, want := range map[erasure.State]Status{
		erasure.Approved:  {Status: InProgress, Extensions: map[string]Extension{"dsr.example": {RequestID: "r-1", State: "approved"}}},
		erasure.Completed: {Status: Completed, Extensions: map[string]Extension{"dsr.example": {RequestID: "r-1", State: "completed", Outcome: "no_match"}}},
	} {
		m, err := s.Message(&r, erasure.Step{State: state}, "id-1", "https://controller.example/cb")
		if err != nil {
			t.Fatal(err)
		}
		want.ControllerID, want.Expected, want.ID, want.APIVersion, want.CallbackURL = "acme", r.Due.UTC(), "id-1", "2.0", "https://controller.example/cb"
		var got Status
		if err := json.Unmarshal(m.Body, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" || m.Header.Get("X-OpenDSR-Signature") == "" || m.Kind != Kind {
			t.Errorf("%s: %s %v", state, d, m.Header)
		}
	}
}
