package query_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/projector/revoke"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/deadline"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/feedhttp"
	"github.com/rescindhq/rescind/query/history"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/query/store"
	"github.com/rescindhq/rescind/query/store/storetest"
	"github.com/rescindhq/rescind/revocation/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(enginetest.M{M: m}) }

const patience = 2 * time.Minute

// feedKeys is every feed key of a keyring.
type feedKeys struct{ *seal.Keyring }

func (k feedKeys) Keys(ctx context.Context) ([]events.FeedKey, error) { return k.FeedKeys(ctx) }

// house is the API over real NATS and a real ClickHouse, with everything
// between them.
type house struct {
	*api
	kit       *lanetest.Kit
	store     *store.Store
	stopAudit func()
	feedKey   ed25519.PublicKey
	cfg       query.Config
	hears     *receiver // of callbacks
}

func build(t *testing.T, changes ...func(*query.Config)) *house {
	t.Helper()
	k := lanetest.Start(t)
	h := &house{kit: k, hears: listen(t)}
	signer := newSigner(t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.feedKey = public
	k.Run(revoke.New(revoke.Config{Conn: k.Projector, Key: private, Keys: feedKeys{k.Keys}, Heartbeat: 100 * time.Millisecond}).Run)
	passed, err := feedhttp.New(feedhttp.Config{Source: feed.NewStored(k.Conn, public), PublicKey: public})
	if err != nil {
		t.Fatal(err)
	}
	view := feed.New(feed.Config{Conn: k.Conn, PublicKey: public, OnDelta: passed.Pass})
	k.Run(view.Run)
	follower := k.Follower()
	quarantine, err := stream.OpenQuarantine(t.Context(), k.JS)
	if err != nil {
		t.Fatal(err)
	}
	past, err := history.New(history.Config{Logs: []*stream.Log{k.Log}, Keys: k.Keyring, Lane: follower})
	if err != nil {
		t.Fatal(err)
	}
	s := h.tables()
	h.store = s
	archive := &store.Archive{Store: s, Logs: []store.Log{k.Log}}
	office, err := export.New(export.Config{Archive: archive, Keyring: k.Keyring, Store: stream.NewExports(k.JS)})
	if err != nil {
		t.Fatal(err)
	}
	workflow, err := erasure.New(erasure.Config{
		Lane: follower, Publisher: k.Publisher, Keyring: k.Keyring, Policy: k.Policy, Retry: 10 * time.Millisecond, WaitFor: patience,
		Archive: archive, Held: stream.NewHeld(k.JS), Intake: stream.NewBacklog(k.JS), Exports: office,
		Telling: h.hears.telling(t, signer),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.cfg = query.Config{
		Policy: k.Policy, Publisher: k.Publisher, Lane: follower, Events: s, Findings: s, Reach: s, History: past, Keyring: k.Keyring, IntakeKeys: k.IntakeKeys(),
		Decider: view, Requests: workflow, Exports: office, Quarantine: quarantine, Feed: passed, WaitFor: patience,
		OpenDSR: signer,
	}
	for _, change := range changes {
		change(&h.cfg)
	}
	h.api = serve(t, h.cfg)
	t.Cleanup(passed.Close) // streams end before the server does
	k.Run(follower.Run)
	k.Run(workflow.Run)
	return h
}

// tables runs the audit projector into a fresh database.
func (h *house) tables() *store.Store {
	h.kit.T.Helper()
	conn, stop := storetest.Follow(h.kit, patience)
	h.stopAudit = stop
	return store.New(conn)
}

// search searches until enough rows are there, or patience ends.
func (h *house) search(body map[string]any, enough int) query.AuditEvents {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var out query.AuditEvents
		h.call(h.token("officer", query.AllTenants), "POST", "/v1/audit/search", body).want(h.t, http.StatusOK).into(h.t, &out)
		if len(out.Events) >= enough {
			return out
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%d rows, want %d", len(out.Events), enough)
		}
		<-tick.C
	}
}

func (h *house) post(role, path string, body any, status int, out any) {
	h.t.Helper()
	got := h.call(h.token(role, query.AllTenants), "POST", path, body).want(h.t, status)
	if out != nil {
		got.into(h.t, out)
	}
}

// check is the decision about alice's token.
func (h *house) check(claims map[string]any) query.Decision {
	h.t.Helper()
	var d query.Decision
	h.post("verifier", "/v1/check", map[string]any{"tenant": "acme", "claims": claims}, http.StatusOK, &d)
	return d
}

// until waits for a decision at a position.
func (h *house) until(claims map[string]any, want string, position uint64) query.Decision {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		d := h.check(claims)
		if d.Decision == want && d.Position >= position {
			return d
		}
		if d.Position >= position && d.Decision != "unknown" || time.Now().After(deadline) {
			h.t.Fatalf("decision %+v, want %s at %d", d, want, position)
		}
		<-tick.C
	}
}

const alice = "alice@example.com"

// token is the claims of one of alice's tokens.
func aliceClaims(jti string) map[string]any {
	return map[string]any{"iss": "https://id.acme", "sub": alice, "jti": jti, "sid": "s-1", "kid": "k-1", "iat": time.Now().Add(-time.Minute).Unix()}
}

func issued(jti string) map[string]any {
	return event("id", "issued-"+jti, "rescindenv", lanetest.Environment, ".iss", "https://id.acme", ".sub", alice, ".jti", jti, ".sid", "s-1",
		".kid", "k-1", ".alg", "ES256", ".ip", "192.0.2.7", ".iat", time.Now().Unix(), ".exp", time.Now().Add(time.Hour).Unix())
}

// TestStory is the product: published, found, revoked, refused, opened with a
// purpose, forgotten by two people, unreadable, still refused.
func TestStory(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", []any{issued("j-1"), issued("j-2")}, http.StatusBadRequest, nil)
	got := h.call(h.token("issuer", query.AllTenants), "POST", "/v1/events", []any{issued("j-1"), issued("j-2")}, "Content-Type", events.ContentTypeBatch).want(t, http.StatusAccepted)
	if !strings.Contains(string(got.body), `"accepted":2`) {
		t.Fatalf("%s", got.body)
	}
	bySubject := map[string]any{"tenant": "acme", "issuer": "https://id.acme", "subject": alice, "count": true, "type": "token.issued"}
	out := h.search(bySubject, 2)
	if *out.Total != 2 || out.SubjectState != "known" || out.Events[0].Personal != nil || out.Events[0].Type != string(events.TokenIssued) {
		t.Fatalf("%+v", out)
	}
	ref := out.Events[0].SubjectRef
	if n := len(h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": "j-1", "type": "token.issued"}, 1).Events); n != 1 {
		t.Errorf("by jti: %d", n)
	}
	if n := len(h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "sid": "s-1", "type": "token.issued"}, 2).Events); n != 2 {
		t.Errorf("by sid: %d", n)
	}
	h.until(aliceClaims("j-1"), "active", 0)
	h.revokeAndLift(t)
	h.openWithPurpose(t, bySubject)
	h.forget(t, ref)
	for _, personal := range []string{alice, "192.0.2.7", "j-1", "eyJ"} {
		if strings.Contains(h.logs.String(), personal) {
			t.Errorf("%s is in our log", personal)
		}
	}
}

func (h *house) revokeAndLift(t *testing.T) {
	t.Helper()
	var accepted, lifted query.Accepted
	h.post("issuer", "/v1/revocations", map[string]any{"tenant": "acme", "scope": "token", "iss": "https://id.acme", "jti": "j-1", "reason": "stolen"}, http.StatusAccepted, &accepted)
	if accepted.Position == nil {
		t.Fatal("no position")
	}
	if d := h.until(aliceClaims("j-1"), "revoked", *accepted.Position); d.Scope != events.ScopeToken || d.Reason != "stolen" {
		t.Errorf("%+v", d)
	}
	h.until(aliceClaims("j-2"), "active", *accepted.Position)
	var v query.Revocation
	h.call(h.token("officer", "acme"), "GET", "/v1/revocations/"+accepted.ID, nil).want(t, http.StatusOK).into(t, &v)
	if v.State != "active" || v.Position != *accepted.Position || v.Actor != "issuer-1" || v.Expires == 0 {
		t.Errorf("%+v", v)
	}
	h.post("issuer", "/v1/revocations/"+accepted.ID+"/lift", map[string]any{"reason": "found again"}, http.StatusAccepted, &lifted)
	h.until(aliceClaims("j-1"), "active", *lifted.Position)
	h.call(h.token("officer", "acme"), "GET", "/v1/revocations/"+accepted.ID, nil).want(t, http.StatusOK).into(t, &v)
	if v.State != "lifted" || *v.LiftedAt != *lifted.Position {
		t.Errorf("%+v", v)
	}
	h.post("issuer", "/v1/revocations/"+accepted.ID+"/lift", map[string]any{"reason": "again"}, http.StatusConflict, nil)
}

func (h *house) openWithPurpose(t *testing.T, bySubject map[string]any) {
	t.Helper()
	body := map[string]any{"tenant": "acme", "issuer": "https://id.acme", "subject": alice, "type": "token.issued", "open": true, "purpose": "case 42"}
	out := h.search(body, 2)
	for i, e := range out.Events {
		if e.Personal == nil || e.Personal.Subject != alice || e.Personal.IP != "192.0.2.7" || e.Personal.TokenID != fmt.Sprint("j-", i+1) {
			t.Errorf("%+v", e.Personal)
		}
	}
	bySubject["type"] = "audit.accessed"
	accessed := h.search(bySubject, 1)
	want := map[string]string{"purpose": "case 42", "route": "audit/search", "events": "2", "first": fmt.Sprint(out.Events[0].Index), "last": fmt.Sprint(out.Events[1].Index)}
	if d := cmp.Diff(want, accessed.Events[0].Attributes); d != "" || accessed.Events[0].Actor != "officer-1" {
		t.Error(d)
	}
	var one query.AuditEvent
	h.call(h.token("officer", "acme"), "GET", fmt.Sprint("/v1/audit/events/", out.Events[0].Index), nil).want(t, http.StatusOK).into(t, &one)
	if one.ID != "issued-j-1" || one.Personal != nil {
		t.Errorf("%+v", one)
	}
	h.call(h.token("officer", "globex"), "GET", fmt.Sprint("/v1/audit/events/", out.Events[0].Index), nil).want(t, http.StatusNotFound)
}

func (h *house) forget(t *testing.T, ref string) {
	t.Helper()
	var r query.SubjectRequest
	h.post("handler", "/v1/requests", map[string]any{
		"type": "erasure", "regulation": "gdpr", "tenant": "acme", "subject": map[string]string{"iss": "https://id.acme", "sub": alice},
	}, http.StatusCreated, &r)
	if r.State != erasure.Received || r.ID == "" || !r.Due.Equal(deadline.Default().Answer(r.Received, "gdpr")) {
		t.Fatalf("%+v", r)
	}
	path := "/v1/requests/" + r.ID
	h.post("approver", path+"/approve", nil, http.StatusConflict, nil)
	h.post("handler", path+"/verify", nil, http.StatusOK, nil)
	h.post("handler", path+"/approve", nil, http.StatusForbidden, nil)
	h.post("approver", path+"/deny", map[string]any{}, http.StatusUnprocessableEntity, nil)
	h.post("approver", path+"/approve", map[string]any{"reason": "identity checked"}, http.StatusOK, &r)
	if r.State != erasure.Approved && r.State != erasure.Executing && r.State != erasure.Completed {
		t.Fatalf("%+v", r)
	}
	r = h.completed(t, path)
	if r.Outcome != "erased" || len(r.History) != 6 {
		t.Errorf("%+v", r)
	}
	h.post("approver", path+"/deny", map[string]any{"reason": "legal_claims"}, http.StatusConflict, nil)
	var list query.SubjectRequests
	h.call(h.token("handler", "acme"), "GET", "/v1/requests?state=completed", nil).want(t, http.StatusOK).into(t, &list)
	if len(list.Requests) != 1 || list.Requests[0].ID != r.ID {
		t.Errorf("%+v", list)
	}
	h.call(h.token("handler", "globex"), "GET", path, nil).want(t, http.StatusNotFound)

	revoked := h.search(map[string]any{"tenant": "acme", "subject_ref": ref, "type": "subject.revoked"}, 1).Events[0].ID
	h.post("issuer", "/v1/revocations/"+revoked+"/lift", map[string]any{"reason": "mistake"}, http.StatusConflict, nil)

	trail := h.search(map[string]any{"tenant": "acme", "subject_ref": ref, "type": "token.issued", "open": true, "purpose": "prove it"}, 2)
	for _, e := range trail.Events {
		if e.Personal != nil || e.Sealed != "erased" {
			t.Errorf("%+v %s", e.Personal, e.Sealed)
		}
	}
	gone := h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "subject": alice}, 0)
	if gone.SubjectState != "erased" || len(gone.Events) != 0 {
		t.Errorf("%+v", gone)
	}
	if d := h.until(aliceClaims("j-2"), "revoked", r.Position-1); d.Scope != events.ScopeSubject {
		t.Errorf("%+v", d)
	}
}

func (h *house) completed(t *testing.T, path string) (r query.SubjectRequest) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		h.call(h.token("handler", "acme"), "GET", path, nil).want(t, http.StatusOK).into(t, &r)
		if r.State == erasure.Completed {
			return r
		}
		<-tick.C
	}
	t.Fatalf("not completed: %+v", r)
	return r
}

// TestQuarantineOfTheDoor: what the API refuses is kept, sealed under the
// tenant's key, and listed; what is itself the offence is not kept.
func TestQuarantineOfTheDoor(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme"}, 1)
	token := h.token("issuer", "acme")
	foreign := event("id", "bad-1", "rescindenv", "prod")
	for range 2 { // refused twice, kept once
		h.call(token, "POST", "/v1/events", foreign, "Content-Type", events.ContentTypeEvent).want(t, http.StatusAccepted)
	}
	h.call(token, "POST", "/v1/events", event("id", "bad-2", "rescindenv", lanetest.Environment, ".note", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln")).want(t, http.StatusAccepted)
	var out query.Quarantine
	h.call(h.token("officer", "acme"), "GET", "/v1/quarantine", nil).want(t, http.StatusOK).into(t, &out)
	if len(out.Quarantined) != 2 || !out.Quarantined[0].Kept || !out.Quarantined[0].Sealed || out.Quarantined[1].Kept || out.Quarantined[1].Sealed {
		t.Fatalf("%+v", out)
	}
	if q := out.Quarantined[1]; q.ID != "bad-2" || q.Reason != string(events.ReasonRawToken) || q.Tenant != "acme" {
		t.Errorf("%+v", q)
	}
}

// TestQuarantineOfNewTenant: a tenant's first event is kept, as the fact,
// though there is no key yet to seal it under.
func TestQuarantineOfNewTenant(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.call(h.token("issuer", "acme"), "POST", "/v1/events", event("id", "first", "rescindenv", "prod"), "Content-Type", events.ContentTypeEvent).want(t, http.StatusAccepted)
	var out query.Quarantine
	h.call(h.token("officer", "acme"), "GET", "/v1/quarantine", nil).want(t, http.StatusOK).into(t, &out)
	if len(out.Quarantined) != 1 {
		t.Fatalf("%+v", out)
	}
	if q := out.Quarantined[0]; !q.Kept || q.Sealed || q.Reason != string(events.ReasonEnvironment) || q.Source != "test" || q.ID != "first" || len(q.Sha256) != 64 || q.Sha256 == strings.Repeat("0", 64) {
		t.Errorf("%+v", q)
	}
}

// TestFindingsAreShown: what the controls find reaches GET /v1/findings.
func TestFindingsAreShown(t *testing.T) {
	t.Parallel()
	h := build(t)
	ev := event("id", "weak", "rescindenv", lanetest.Environment, ".alg", "HS256")
	h.post("issuer", "/v1/events", ev, http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme", "type": "finding.opened"}, 1)
	var out query.Findings
	h.call(h.token("officer", query.AllTenants), "GET", "/v1/findings?state=open", nil).want(t, http.StatusOK).into(t, &out)
	if len(out.Findings) == 0 || out.Findings[0].Tenant != "acme" || out.Findings[0].Severity == "" {
		t.Errorf("%+v", out)
	}
	h.call(h.token("officer", "globex"), "GET", "/v1/findings", nil).want(t, http.StatusOK).into(t, &out)
	if len(out.Findings) != 0 {
		t.Errorf("another tenant's: %+v", out)
	}
}

// TestRevokingNeverWaitsForAudit: with the audit side away, revocations are
// accepted, shown, lifted and enforced.
func TestRevokingNeverWaitsForAudit(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.stopAudit()
	// A view at 0 may have applied the first record or none: begin behind it.
	h.post("issuer", "/v1/revocations", map[string]any{"tenant": "acme", "scope": "key", "iss": "https://id.acme", "kid": "other", "reason": "first"}, http.StatusAccepted, nil)
	h.revokeAndLiftAlone(t)
}

func (h *house) revokeAndLiftAlone(t *testing.T) {
	t.Helper()
	var accepted query.Accepted
	h.post("issuer", "/v1/revocations", map[string]any{"tenant": "acme", "scope": "session", "iss": "https://id.acme", "sid": "s-1", "reason": "logout"}, http.StatusAccepted, &accepted)
	h.until(aliceClaims("j-9"), "revoked", *accepted.Position)
	h.call(h.token("officer", "acme"), "GET", "/v1/revocations/"+accepted.ID, nil).want(t, http.StatusOK)
	var lifted query.Accepted
	h.post("issuer", "/v1/revocations/"+accepted.ID+"/lift", map[string]any{"reason": "back"}, http.StatusAccepted, &lifted)
	h.until(aliceClaims("j-9"), "active", *lifted.Position)
}

// TestSearchWithoutIssuer finds the one issuer that knows an identifier, and
// does not choose between two people.
func TestSearchWithoutIssuer(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	for name, in := range map[string]map[string]any{
		"subject": {"subject": alice}, "jti": {"jti": "j-1"}, "sid": {"sid": "s-1"}, "both": {"subject": alice, "jti": "j-1"},
	} {
		in["tenant"], in["type"] = "acme", "token.issued"
		if out := h.search(in, 1); len(out.Events) != 1 {
			t.Errorf("by %s: %d", name, len(out.Events))
		}
	}
	if out := h.search(map[string]any{"tenant": "acme", "subject": "nobody"}, 0); len(out.Events) != 0 {
		t.Errorf("nobody: %+v", out)
	}
	other := issued("j-1")
	other["id"], other["data"].(map[string]any)["iss"] = "issued-elsewhere", "https://id.globex"
	h.post("issuer", "/v1/events", other, http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme", "issuer": "https://id.globex", "subject": alice, "type": "token.issued"}, 1)
	h.call(h.token("officer", "acme"), "POST", "/v1/audit/search", map[string]any{"tenant": "acme", "subject": alice}).want(t, http.StatusUnprocessableEntity)
}

// TestTenantsAndSubjectsOfSearchNeverMix: the same identifiers at two tenants
// are two people.
func TestTenantsAndSubjectsOfSearchNeverMix(t *testing.T) {
	t.Parallel()
	h := build(t)
	for _, tenant := range []string{"acme", "globex"} {
		ev := issued("j-1")
		ev["rescindtenant"] = tenant
		h.post("issuer", "/v1/events", ev, http.StatusAccepted, nil)
	}
	find := func(tenant string) query.AuditEvents {
		return h.search(map[string]any{"tenant": tenant, "issuer": "https://id.acme", "subject": alice, "type": "token.issued"}, 1)
	}
	a, g := find("acme"), find("globex")
	if len(a.Events) != 1 || len(g.Events) != 1 || a.Events[0].SubjectRef == g.Events[0].SubjectRef || a.Events[0].TokenRef == g.Events[0].TokenRef {
		t.Errorf("%+v %+v", a, g)
	}
	h.call(h.token("officer", "acme"), "POST", "/v1/audit/search", map[string]any{"tenant": "globex"}).want(t, http.StatusForbidden)
}
