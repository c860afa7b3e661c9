package query_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/dsr"
	"github.com/rescindhq/rescind/query/erasure"
)

const processor = "dsr.test"

func newSigner(t *testing.T) *dsr.Signer {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{processor}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := dsr.New(dsr.Config{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// receiver is a controller that is called back.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	got []answer
}

func listen(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, answer{header: req.Header, body: b})
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) telling(t *testing.T, signer *dsr.Signer) *erasure.Telling {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(r.Certificate())
	sender, err := callback.New(callback.Config{Key: key, Roots: roots, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	return &erasure.Telling{Posts: sender, Message: signer.Message, Retry: 10 * time.Millisecond}
}

// heard is what was said of the request id, once last was.
func (r *receiver) heard(t *testing.T, id, last string) (out []answer) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		out = nil
		var s dsr.Status
		r.mu.Lock()
		for _, a := range r.got {
			if err := json.Unmarshal(a.body, &s); err == nil && s.ID == id {
				out = append(out, a)
			}
		}
		r.mu.Unlock()
		if len(out) > 0 {
			out[len(out)-1].into(t, &s)
			if s.Status == last {
				return out
			}
		}
		<-tick.C
	}
	t.Fatalf("never told that %s is %s", id, last)
	return nil
}

// wantSigned checks a signature with nothing but the certificate.
func (a answer) wantSigned(t *testing.T, certificate *x509.Certificate) {
	t.Helper()
	domain := a.header.Get("X-OpenDSR-Processor-Domain")
	signature, err := base64.StdEncoding.DecodeString(a.header.Get("X-OpenDSR-Signature"))
	if err == nil {
		err = certificate.VerifyHostname(domain)
	}
	if err == nil {
		err = certificate.CheckSignature(x509.ECDSAWithSHA256, a.body, signature)
	}
	if err != nil {
		t.Errorf("%v: %s", err, a.body)
	}
}

// opendsr is a request by OpenDSR; what is not named is an erasure of alice's.
func opendsr(id, subject string, urls ...string) map[string]any {
	return map[string]any{
		"regulation": "gdpr", "subject_request_id": id, "subject_request_type": "erasure", "submitted_time": "2026-01-02T15:04:05Z",
		"subject_identities":   []map[string]string{{"identity_type": "controller_customer_id", "identity_value": subject, "identity_format": "raw"}},
		"status_callback_urls": append([]string{}, urls...),
	}
}

func now(body map[string]any) map[string]any {
	body["submitted_time"] = time.Now().UTC().Format(time.RFC3339)
	return body
}

const dsrRequests = "/v1/opendsr/requests"

// extension is what a status says of ours.
func extension(t *testing.T, a answer) (dsr.Status, dsr.Extension) {
	t.Helper()
	var s dsr.Status
	a.into(t, &s)
	return s, s.Extensions[processor]
}

// TestOpenDSR is what a controller sees, from its request to the last callback, and
// that nothing of it is decided by the controller.
func TestOpenDSR(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1)
	agent := h.token("agent", "acme")
	var found dsr.Discovery
	a := h.call("", "GET", "/v1/opendsr/discovery", nil).want(t, http.StatusOK)
	a.into(t, &found)
	if found.APIVersion != "2.0" || found.Certificate != "https://dsr.test/v1/opendsr/certificate" || len(found.Identities) != 1 {
		t.Errorf("%+v", found)
	}
	block, _ := pem.Decode(h.call("", "GET", "/v1/opendsr/certificate", nil).want(t, http.StatusOK).body)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	a.wantSigned(t, certificate)

	id := uuid.NewString()
	body := now(opendsr(id, alice, h.hears.URL+"/cb"))
	first := h.call(agent, "POST", dsrRequests, body).want(t, http.StatusCreated)
	first.wantSigned(t, certificate)
	var receipt dsr.Receipt
	first.into(t, &receipt)
	encoded, err := base64.StdEncoding.DecodeString(receipt.Encoded)
	if err != nil || receipt.ControllerID != "acme" || receipt.ID != id || receipt.Received.IsZero() || !receipt.Expected.After(receipt.Received) {
		t.Errorf("%v %+v", err, receipt)
	}
	if got := first.header.Get("Location"); got != dsrRequests+"/"+id || strings.Contains(string(encoded)+string(first.body), alice) {
		t.Errorf("%s %s", got, encoded)
	}
	again := h.call(agent, "POST", dsrRequests, body).want(t, http.StatusCreated)
	if d := cmp.Diff(string(first.body), string(again.body)); d != "" {
		t.Errorf("sent again: %s", d)
	}
	salt, forgotten := salted(t, first)
	if p := h.call(agent, "POST", dsrRequests, now(opendsr(id, "bob"))).want(t, http.StatusConflict).problem(t); p.Type != "urn:rescind:problem:taken" {
		t.Errorf("%+v", p)
	}
	a = h.call(agent, "GET", dsrRequests+"/"+id, nil).want(t, http.StatusOK)
	a.wantSigned(t, certificate)
	status, ours := extension(t, a)
	if status.Status != dsr.Pending || ours.State != "received" {
		t.Fatalf("%+v", status)
	}

	path := "/v1/requests/" + ours.RequestID
	h.call(agent, "POST", path+"/verify", nil).want(t, http.StatusForbidden)
	h.post("approver", path+"/approve", nil, http.StatusConflict, nil) // nobody has verified who it is (E19)
	for _, stranger := range []string{h.token("handler", "acme"), h.token("agent", "globex")} {
		h.call(stranger, "GET", dsrRequests+"/"+id, nil).want(t, http.StatusNotFound)
		h.call(stranger, "DELETE", dsrRequests+"/"+id, nil).want(t, http.StatusNotFound)
	}
	h.settle(t, ours.RequestID, erasure.Completed)
	calls := h.hears.heard(t, id, dsr.Completed)
	var told []string
	for _, c := range calls {
		c.wantSigned(t, certificate)
		s, e := extension(t, c)
		told = append(told, s.Status+" "+e.State+" "+e.Outcome)
		if s.CallbackURL != h.hears.URL+"/cb" || strings.Contains(string(c.body), alice) {
			t.Errorf("%s", c.body)
		}
	}
	if d := cmp.Diff([]string{"pending verified ", "in_progress approved ", "in_progress executing ", "completed completed erased"}, told); d != "" {
		t.Error(d)
	}
	h.wantReceipt(t, ours.RequestID, salt, string(erasure.Erased))
	if got := h.call(agent, "POST", dsrRequests, body).want(t, http.StatusCreated); string(got.body) != forgotten {
		t.Errorf("sent again after the erasure: %s, want %s", got.body, forgotten)
	}
	h.call(agent, "POST", dsrRequests, now(opendsr(id, "bob"))).want(t, http.StatusConflict)
	h.call(agent, "DELETE", dsrRequests+"/"+id, nil).want(t, http.StatusConflict)
	h.outcomes(t, agent)
	if logged := h.logs.String(); strings.Contains(logged, alice) || strings.Contains(logged, h.hears.URL) || strings.Contains(logged, id) {
		t.Errorf("logged: %s", logged)
	}
}

// salted is the salt that an answer gives, and the answer without it, as it is when
// the person is erased.
func salted(t *testing.T, a answer) (salt, without string) {
	t.Helper()
	var said dsr.Receipt
	a.into(t, &said)
	ours := said.Extensions[processor]
	if salt = ours.Salt; salt == "" || ours.RequestID == "" {
		t.Fatalf("nobody is given the salt: %s", a.body)
	}
	return salt, strings.Replace(string(a.body), `,"salt":"`+salt+`"`, "", 1)
}

// outcomes: E10, by OpenDSR and in the words of the Data Rights Protocol.
func (h *house) outcomes(t *testing.T, agent string) {
	t.Helper()
	for subject, want := range map[string][2]string{alice: {"already_erased", dsr.DRPFulfilled}, "nobody": {"no_match", dsr.DRPDenied}} {
		id := uuid.NewString()
		body := now(opendsr(id, subject, h.hears.URL+"/"+want[0]))
		body["extensions"] = map[string]any{processor: map[string]string{"iss": "https://id.acme"}}
		h.call(agent, "POST", dsrRequests, body).want(t, http.StatusCreated)
		_, ours := extension(t, h.call(agent, "GET", dsrRequests+"/"+id, nil).want(t, http.StatusOK))
		h.settle(t, ours.RequestID, erasure.Completed)
		calls := h.hears.heard(t, id, dsr.Completed)
		if _, e := extension(t, calls[len(calls)-1]); e.Outcome != want[0] {
			t.Errorf("%s: told %+v", want[0], e)
		}
		if s, e := extension(t, h.call(agent, "GET", dsrRequests+"/"+id, nil).want(t, http.StatusOK)); s.Status != dsr.Completed || e.Outcome != want[0] {
			t.Errorf("%s: %+v", want[0], s)
		}
		var e dsr.Exercise
		h.call(h.token("handler", "acme"), "GET", "/v1/data-rights-request/"+ours.RequestID, nil).want(t, http.StatusOK).into(t, &e)
		if e.Status != want[1] {
			t.Errorf("%s: %+v", want[0], e)
		}
		h.call(agent, "GET", "/v1/data-rights-request/"+ours.RequestID, nil).want(t, http.StatusForbidden)
	}
}

// TestOpenDSRJoinsAndWithdraws: who asks for the same is joined, however they ask,
// and takes back only their own; and what cannot be taken is named.
func TestOpenDSRJoinsAndWithdraws(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1)
	agent := h.token("agent", "acme")
	var r query.SubjectRequest
	h.post("handler", "/v1/requests", request("erasure", alice), http.StatusCreated, &r)
	ids := []string{uuid.NewString(), uuid.NewString()}
	for i, path := range []string{dsrRequests, "/v1/opendsr/opengdpr_requests"} {
		body := now(opendsr(ids[i], alice))
		if i == 1 {
			delete(body, "regulation")
		}
		h.call(agent, "POST", path, body).want(t, http.StatusCreated)
		if s, e := extension(t, h.call(agent, "GET", path+"/"+ids[i], nil).want(t, http.StatusOK)); e.RequestID != r.ID || s.Status != dsr.Pending {
			t.Errorf("%+v", s)
		}
	}
	for range 2 {
		var w dsr.Withdrawal
		h.call(agent, "DELETE", dsrRequests+"/"+ids[0], nil).want(t, http.StatusAccepted).into(t, &w)
		if w.ID != ids[0] || w.ControllerID != "acme" || w.Received.IsZero() {
			t.Errorf("%+v", w)
		}
	}
	for i, want := range []string{dsr.Cancelled, dsr.Pending} {
		if s, _ := extension(t, h.call(agent, "GET", dsrRequests+"/"+ids[i], nil).want(t, http.StatusOK)); s.Status != want {
			t.Errorf("%d: %+v", i, s)
		}
	}
	h.call(h.token("handler", "acme"), "GET", "/v1/requests/"+r.ID, nil).want(t, http.StatusOK).into(t, &r)
	var steps []string
	for _, s := range r.History {
		steps = append(steps, s.What)
	}
	if r.State != erasure.Received || !slices.Equal(steps, []string{"received", "joined", "joined", "withdrawn"}) {
		t.Errorf("%s %v", r.State, steps)
	}
	h.refusals(t, agent)
}

// refusals: OpenDSR has one status for whatever is wrong with a request.
func (h *house) refusals(t *testing.T, agent string) {
	t.Helper()
	for name, c := range map[string]struct {
		change func(map[string]any)
		member string
	}{
		"md5": {func(b map[string]any) {
			b["subject_identities"] = []map[string]string{{"identity_type": "email", "identity_value": "c160f8cc", "identity_format": "md5"}}
		}, "identity_format"},
		"in the future": {func(b map[string]any) { b["submitted_time"] = time.Now().Add(time.Hour).Format(time.RFC3339) }, "submitted_time"},
		"long ago":      {func(b map[string]any) { b["submitted_time"] = "2018-10-02T15:00:00Z" }, "submitted_time"},
		"a local URL":   {func(b map[string]any) { b["status_callback_urls"] = []string{"https://169.254.169.254/"} }, "status_callback_urls"},
		"a raw token": {func(b map[string]any) {
			b["subject_identities"] = []map[string]string{{"identity_type": "controller_customer_id", "identity_value": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln", "identity_format": "raw"}}
		}, ""},
		"a member of no use": {func(b map[string]any) { b["group_id"] = "g" }, "body"},
	} {
		body := now(opendsr(uuid.NewString(), alice))
		c.change(body)
		p := h.call(agent, "POST", dsrRequests, body).want(t, http.StatusBadRequest).problem(t)
		if p.Member != c.member || p.Error == nil || p.Error.Code != http.StatusBadRequest || p.Error.Message == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	h.call(agent, "POST", dsrRequests, opendsr("x", alice), "Content-Type", "text/plain").want(t, http.StatusBadRequest)
	h.call(agent, "GET", dsrRequests+"/alice@example.com", nil).want(t, http.StatusNotFound)
	h.call(h.token("agent", "acme", "globex"), "POST", dsrRequests, opendsr(uuid.NewString(), alice)).want(t, http.StatusBadRequest)
	h.call(h.token("agent", "acme", "globex"), "POST", dsrRequests+"?tenant=acme", now(opendsr(uuid.NewString(), alice))).want(t, http.StatusCreated)
	h.call(agent, "POST", dsrRequests+"?tenant=globex", now(opendsr(uuid.NewString(), alice))).want(t, http.StatusForbidden)
	h.call(h.token("agent", "globex"), "POST", dsrRequests, now(opendsr(uuid.NewString(), alice))).want(t, http.StatusBadRequest)
}

// TestOpenDSRNeedsACertificate: without one its routes are not there.
func TestOpenDSRNeedsACertificate(t *testing.T) {
	t.Parallel()
	a := serve(t, new(parts).config())
	for _, path := range []string{"/v1/opendsr/discovery", "/v1/opendsr/certificate"} {
		a.call("", "GET", path, nil).want(t, http.StatusNotFound)
	}
	if p := a.call(a.token("agent", "acme"), "POST", dsrRequests, opendsr(uuid.NewString(), "x")).want(t, http.StatusNotFound).problem(t); p.Error == nil {
		t.Errorf("%+v", p)
	}
}
