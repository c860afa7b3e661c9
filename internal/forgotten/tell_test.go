package forgotten

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
)

// teller tells a running stack of people, as those do that use it.
type teller struct {
	testing.TB
	file *dev.File
}

func (t teller) as(role string) *client.Client {
	return client.New(t.file.HTTP, t.file.Tokens[role])
}

// post posts as a role, and wants it accepted.
func (t teller) post(role, path string, in, out any) {
	t.Helper()
	if err := t.as(role).Call(t.Context(), "POST", path, in, out); err != nil {
		t.Fatal(err)
	}
}

// wrong does what is refused, and wants that.
func (t teller) wrong(role, method, path string, in any) {
	t.Helper()
	err := t.as(role).Call(t.Context(), method, path, in, nil)
	if p, is := errors.AsType[*client.Problem](err); !is || p.Status >= 500 {
		t.Errorf("%s was not refused: %v", method, err)
	}
}

// publish publishes through the SDK, with an issuer's credentials.
func (t teller) publish(evs ...events.Event) {
	t.Helper()
	nc := t.connect()
	pub, err := stream.NewPublisher(stream.PublisherConfig{Conn: nc, Environment: dev.Environment})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(pub.Publish(t.Context(), evs...), pub.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func (t teller) connect() *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(t.file.NATS, nats.UserCredentials(t.file.NATSCreds["issuer"]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// allOf says all of k in every way in: over NATS and HTTP, well and badly, and by
// asking.
func (t teller) allOf(k known) {
	t.Helper()
	t.publish(k.events("nats")...)
	t.await(k, 2) // before the tenant has a key, nothing that is refused is kept
	t.overHTTP(k.events("http"), 0)
	bad := k.events("refused")
	bad[0].Data.Attributes = map[string]string{"contact": k.subject} // an offence: dropped
	bad[1].Environment = "production"                                // not this one: kept, sealed
	t.overHTTP(bad, len(bad))
	for _, in := range []map[string]any{{"scope": "token", "jti": k.jti}, {"scope": "session", "sid": k.sid}} {
		in["tenant"], in["iss"], in["reason"], in["note"] = k.tenant, issuer, "stolen", k.note
		t.post("admin", "/v1/revocations", in, nil)
	}
	t.post("admin", "/v1/check", map[string]any{"tenant": k.tenant, "claims": map[string]any{"iss": issuer, "sub": k.subject, "jti": k.jti}}, nil)
	t.mistakes(k)
}

// overHTTP publishes a batch of which as many are refused.
func (t teller) overHTTP(evs []events.Event, refused int) {
	t.Helper()
	body, err := events.MarshalEvents(evs)
	if err != nil {
		t.Fatal(err)
	}
	var out client.Published
	if err := t.as("issuer").Send(t.Context(), "POST", "/v1/events", events.ContentTypeBatch, body, &out); err != nil || len(out.Refused) != refused {
		t.Fatalf("%+v, %v", out, err)
	}
}

// await waits for n events of theirs.
func (t teller) await(k known, n int) {
	t.Helper()
	in := map[string]any{"tenant": k.tenant, "issuer": issuer, "subject": k.subject}
	devtest.Eventually(t, "the trail", func() (bool, error) {
		var out client.Trail
		err := t.as("officer").Call(t.Context(), "POST", "/v1/audit/search", in, &out)
		return len(out.Events) >= n, err
	})
}

// trail is what an officer may open: of the person, or of a reference where there
// is one.
func (t teller) trail(k known, ref string) (out client.Trail, err error) {
	in := map[string]any{"tenant": k.tenant, "limit": 1000, "open": true, "purpose": "case 42"}
	if in["subject_ref"] = ref; ref == "" {
		delete(in, "subject_ref")
		in["issuer"], in["subject"] = issuer, k.subject
	}
	err = t.as("officer").Call(t.Context(), "POST", "/v1/audit/search", in, &out)
	return out, err
}

// hold places a hold that matches what one client did.
func (t teller) hold(k known) (id string) {
	t.Helper()
	var h client.Hold
	t.post("officer", "/v1/holds", map[string]any{
		"tenant": k.tenant, "iss": issuer, "subject": k.subject, "note": k.note, "types": []string{"token.refreshed"}, "article": "GDPR 17(3)(e)", "owner": "legal", "review": "2099-12-31", "reason": "case 42",
	}, &h)
	return h.ID
}

// forget asks that people be forgotten, as a handler and an approver do, several at
// a time.
func (t teller) forget(those ...person) []client.Request {
	t.Helper()
	out := make([]client.Request, len(those))
	var work errgroup.Group
	work.SetLimit(8)
	for i, p := range those {
		work.Go(func() (err error) { out[i], err = t.approved("erasure", p); return err })
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	return out
}

// request is an approved request of p.
func (t teller) request(kind string, p person) client.Request {
	t.Helper()
	r, err := t.approved(kind, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (t teller) approved(kind string, p person) (r client.Request, err error) {
	in := map[string]any{"type": kind, "regulation": "gdpr", "tenant": p.tenant, "subject": map[string]string{"iss": issuer, "sub": p.subject}}
	if err := t.as("handler").Call(t.Context(), "POST", "/v1/requests", in, &r); err != nil {
		return r, err
	}
	for _, step := range []struct{ role, do string }{{"handler", "verify"}, {"approver", "approve"}} {
		if err := t.as(step.role).Call(t.Context(), "POST", "/v1/requests/"+r.ID+"/"+step.do, map[string]any{}, nil); err != nil {
			return r, err
		}
	}
	return r, nil
}

// completed waits until all are carried out.
func (t teller) completed(those []client.Request) {
	t.Helper()
	for _, r := range those {
		t.until(r, "completed")
	}
}

func (t teller) until(r client.Request, state string) (out client.Request) {
	t.Helper()
	devtest.Eventually(t, "a request that is "+state, func() (bool, error) {
		err := t.as("handler").Call(t.Context(), "GET", "/v1/requests/"+r.ID, nil, &out)
		return out.State == state, err
	})
	return out
}

// export keeps what the API answers of everybody, as people save it.
func (t teller) export(k known, of client.Request, ref, dir string) {
	t.Helper()
	search := func(in map[string]any) map[string]any {
		in["limit"], in["count"] = 1000, true
		return in
	}
	for name, q := range map[string]struct {
		role, method, path string
		in                 any
	}{
		"acme": {"officer", "POST", "/v1/audit/search", search(map[string]any{"tenant": acme})}, "globex": {"officer", "POST", "/v1/audit/search", search(map[string]any{"tenant": globex})},
		"theirs":   {"officer", "POST", "/v1/audit/search", search(map[string]any{"tenant": acme, "subject_ref": ref, "open": true, "purpose": "proof"})},
		"byname":   {"officer", "POST", "/v1/audit/search", search(map[string]any{"tenant": acme, "issuer": issuer, "subject": k.subject})},
		"requests": {"handler", "GET", "/v1/requests?limit=1000", nil}, "holds": {"officer", "GET", "/v1/holds", nil}, "findings": {"officer", "GET", "/v1/findings?tenant=acme", nil},
		"quarantine": {"officer", "GET", "/v1/quarantine?tenant=acme", nil}, "verifiers": {"admin", "GET", "/v1/verifiers", nil},
	} {
		var out json.RawMessage
		if err := t.as(q.role).Call(t.Context(), q.method, q.path, q.in, &out); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.save("admin", t.file.HTTP+"/metrics", filepath.Join(dir, "metrics"))
	t.save("handler", t.file.HTTP+"/v1/requests/"+of.ID+"/receipt", filepath.Join(dir, "receipt.json"))
}

// access has a person given what is about them, and keeps the file as whoever hands
// it on does.
func (t teller) access(k known, to string) {
	t.Helper()
	r := t.until(t.request("access", k.person), "completed")
	var out struct {
		Link string `json:"link"`
	}
	t.post("handler", "/v1/requests/"+r.ID+"/export", map[string]any{}, &out)
	t.save("", t.file.HTTP+out.Link, to)
}

// save keeps what the API answers to a role.
func (t teller) save(role, url, to string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		req.Header.Set("Authorization", "Bearer "+t.file.Tokens[role])
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || len(b) == 0 {
		t.Fatal(answer.Status, err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// mistakes are made with what is known of k where no identifier belongs.
func (t teller) mistakes(k known) {
	t.Helper()
	t.wrong("officer", "GET", "/v1/requests/"+url.PathEscape(k.subject), nil)
	t.wrong("officer", "GET", "/v1/audit/search?subject="+url.QueryEscape(k.name), nil)
	t.wrong("officer", "POST", "/v1/audit/search", map[string]any{"tenant": acme, "cursor": k.subject, "issuer": issuer})
	t.wrong("admin", "POST", "/v1/revocations", map[string]any{"tenant": acme, "scope": k.name, "iss": issuer, "jti": k.jti})
	t.wrong(k.name, "GET", "/v1/findings", nil)
}
