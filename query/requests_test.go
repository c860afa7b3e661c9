package query_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/receipt"
)

func request(kind, subject string) map[string]any {
	return map[string]any{"type": kind, "regulation": "gdpr", "tenant": "acme", "subject": map[string]string{"iss": "https://id.acme", "sub": subject}}
}

// settle approves a request and waits for its end.
func (h *house) settle(t *testing.T, id string, want erasure.State) (r query.SubjectRequest) {
	t.Helper()
	path := "/v1/requests/" + id
	h.post("handler", path+"/verify", nil, http.StatusOK, nil)
	h.post("approver", path+"/approve", nil, http.StatusOK, nil)
	return h.reaches(t, path, want)
}

func (h *house) reaches(t *testing.T, path string, want erasure.State) (r query.SubjectRequest) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		r = query.SubjectRequest{}
		h.call(h.token("handler", "acme"), "GET", path, nil).want(t, http.StatusOK).into(t, &r)
		if r.State == want {
			return r
		}
		<-tick.C
	}
	t.Fatalf("waited for %s: %+v", want, r)
	return r
}

// opened is the first event of a search that opens, with what is said of its
// personal part.
func (h *house) opened(t *testing.T, body map[string]any) query.AuditEvent {
	t.Helper()
	search := map[string]any{"tenant": "acme", "type": "token.issued", "open": true, "purpose": "prove it"}
	for k, v := range body {
		search[k] = v
	}
	return h.search(search, 1).Events[0]
}

// TestRequestsOverHTTP is what a handler and an approver do beside an erasure:
// join, extend, deny, restrict and lift.
func TestRequestsOverHTTP(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	ref := h.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1).Events[0].SubjectRef
	var first, again query.SubjectRequest
	h.post("handler", "/v1/requests", request("access", alice), http.StatusCreated, &first)
	h.post("admin", "/v1/requests", request("access", alice), http.StatusOK, &again)
	if again.ID != first.ID || len(again.History) != 2 || again.History[1].What != erasure.StepJoined || again.History[1].Actor != "admin-1" {
		t.Errorf("%+v", again)
	}
	if first.DaysLeft == nil || *first.DaysLeft < 27 || first.Urgency != "" {
		t.Errorf("%+v", first)
	}
	path := "/v1/requests/" + first.ID
	today := time.Now().UTC().Format(time.DateOnly)
	if got := h.call(h.token("handler", "acme"), "POST", path+"/extend", map[string]any{"reason": "complex"}).want(t, http.StatusUnprocessableEntity).problem(t); got.Member != "told" {
		t.Errorf("%+v", got)
	}
	h.post("handler", path+"/extend", map[string]any{"reason": "complex", "told": today}, http.StatusOK, &again)
	if !again.Extended || again.State != erasure.Received || !again.Due.After(first.Due.AddDate(0, 1, 0)) {
		t.Errorf("%+v", again)
	}
	h.post("handler", path+"/extend", map[string]any{"reason": "complex", "told": today}, http.StatusConflict, nil)
	for member, in := range map[string]map[string]any{"reason": {"reason": "because"}, "note": {"reason": "other"}} {
		if got := h.call(h.token("approver", "acme"), "POST", path+"/deny", in).want(t, http.StatusUnprocessableEntity).problem(t); got.Member != member {
			t.Errorf("%+v", got)
		}
	}
	again = query.SubjectRequest{}
	h.post("approver", path+"/deny", map[string]any{"reason": "excessive"}, http.StatusOK, &again)
	if again.State != erasure.Denied || again.Reason != "excessive" || again.DaysLeft != nil || again.Answered.IsZero() {
		t.Errorf("%+v", again)
	}
	late := request("access", alice)
	late["received_at"] = time.Now().AddDate(0, 0, -90).UTC().Format(time.RFC3339)
	h.post("handler", "/v1/requests", late, http.StatusCreated, &again)
	var list query.SubjectRequests
	h.call(h.token("handler", "acme"), "GET", "/v1/requests?urgency=overdue", nil).want(t, http.StatusOK).into(t, &list)
	if len(list.Requests) != 1 || list.Requests[0].ID != again.ID || *list.Requests[0].DaysLeft >= 0 {
		t.Errorf("%+v", list)
	}
	h.post("handler", "/v1/requests/"+again.ID+"/extend", map[string]any{"reason": "complex", "told": today}, http.StatusConflict, nil)
	late["received_at"] = time.Now().AddDate(0, 0, 1).UTC().Format(time.RFC3339)
	h.post("handler", "/v1/requests", late, http.StatusUnprocessableEntity, nil)

	h.restricts(t, ref)
}

// restricts has alice restrict what is theirs: it is not opened but under an
// exception, which is recorded, until it is lifted.
func (h *house) restricts(t *testing.T, ref string) {
	t.Helper()
	mine := map[string]any{"subject_ref": ref}
	if e := h.opened(t, mine); e.Personal == nil {
		t.Fatalf("%+v", e)
	}
	var r query.SubjectRequest
	h.post("handler", "/v1/requests", request("restriction", alice), http.StatusCreated, &r)
	if r = h.settle(t, r.ID, erasure.Completed); r.Outcome != "restricted" {
		t.Errorf("%+v", r)
	}
	if got := h.call(h.token("handler", "acme"), "GET", "/v1/requests/"+r.ID+"/receipt", nil).want(t, http.StatusNotFound).problem(t); got.Title != "no receipt" {
		t.Errorf("%+v", got)
	}
	if e := h.opened(t, mine); e.Personal != nil || e.Sealed != "restricted" {
		t.Errorf("%+v %s", e.Personal, e.Sealed)
	}
	claims := map[string]any{"subject_ref": ref, "exception": "legal_claims"}
	if e := h.opened(t, claims); e.Personal == nil {
		t.Errorf("under an exception: %s", e.Sealed)
	}
	accessed := h.search(map[string]any{"tenant": "acme", "type": "audit.accessed"}, 3)
	if !slices.ContainsFunc(accessed.Events, func(e query.AuditEvent) bool { return e.Attributes["exception"] == "legal_claims" }) {
		t.Error("the exception is not on the log")
	}
	h.post("officer", "/v1/audit/search", map[string]any{"tenant": "acme", "open": true, "purpose": "prove it", "exception": "curiosity"}, http.StatusUnprocessableEntity, nil)
	path := "/v1/requests/" + r.ID
	h.post("approver", path+"/lift", map[string]any{"reason": "settled"}, http.StatusUnprocessableEntity, nil)
	h.post("approver", path+"/lift", map[string]any{"reason": "settled", "told": time.Now().UTC().Format(time.DateOnly)}, http.StatusOK, &r)
	if r.Outcome != "lifted" || r.History[len(r.History)-1].What != erasure.StepLifted {
		t.Errorf("%+v", r)
	}
	if e := h.opened(t, mine); e.Personal == nil {
		t.Errorf("after it was lifted: %s", e.Sealed)
	}
}

// wantReceipt gets the receipt of alice's erasure in each of its forms, and
// verifies it with the keys that anybody gets.
func (h *house) wantReceipt(t *testing.T, id, salt, outcome string) {
	t.Helper()
	keys, err := receipt.ParseKeys(h.call("", "GET", "/v1/keys/receipts", nil).want(t, http.StatusOK).body)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := receipt.ParseSalt(salt)
	if err != nil {
		t.Fatal(err)
	}
	for accept, media := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/jose": "application/jose", "text/html, application/jose;q=0.8": "application/jose",
		"application/jose;q=0.1, application/json": "application/json", "application/jose;q=0": "application/json", "text/html": "application/json",
	} {
		got := h.call(h.token("handler", "acme"), "GET", "/v1/requests/"+id+"/receipt", nil, "Accept", accept).want(t, http.StatusOK)
		if named, _, _ := strings.Cut(got.header.Get("Content-Type"), ";"); named != media {
			t.Errorf("Accept %q is answered with %s", accept, named)
		}
		r, _, err := receipt.Verify(got.body, keys)
		if err != nil {
			t.Fatalf("%s: %v\n%s", accept, err, got.body)
		}
		if r.Outcome != outcome || r.Request != id || !r.IsOf(secret, "https://id.acme", alice) || bytes.Contains(got.body, []byte(alice)) {
			t.Errorf("%+v", r)
		}
	}
}

// TestHoldsOverHTTP: what a hold keeps is found and opened after the erasure,
// says which hold keeps it, and goes when that is released by somebody else.
// Then the person may be known again.
func TestHoldsOverHTTP(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	ref := h.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1).Events[0].SubjectRef
	in := map[string]any{"tenant": "acme", "iss": "https://id.acme", "subject": alice, "types": []string{"token.issued"},
		"article": "GDPR 17(3)(e)", "owner": "legal", "review": "2099-12-31", "reason": "lawsuit"}
	var held query.Hold
	h.post("officer", "/v1/holds", in, http.StatusCreated, &held)
	if !held.Active || held.SubjectRef != ref || held.PlacedBy != "officer-1" || !slices.Equal(held.By, []string{"subject", "type"}) {
		t.Errorf("%+v", held)
	}
	everything := map[string]any{"tenant": "acme", "article": "x", "owner": "legal", "review": "2099-12-31", "reason": "lawsuit"}
	h.post("officer", "/v1/holds", everything, http.StatusUnprocessableEntity, nil)
	h.post("handler", "/v1/holds", in, http.StatusForbidden, nil)

	var r query.SubjectRequest
	h.post("handler", "/v1/requests", request("erasure", alice), http.StatusCreated, &r)
	salt := r.Salt
	if got := h.call(h.token("handler", "acme"), "GET", "/v1/requests/"+r.ID+"/receipt", nil).want(t, http.StatusConflict).problem(t); !strings.Contains(got.Detail, "received") {
		t.Errorf("%+v", got)
	}
	if r = h.settle(t, r.ID, erasure.Partial); r.Salt != "" {
		t.Errorf("the salt is shown to whoever sees the request: %q", r.Salt)
	}
	if !slices.Equal(r.Missing, []string{held.ID}) || r.DaysLeft != nil {
		t.Errorf("%+v", r)
	}
	mine := map[string]any{"subject_ref": ref}
	h.wantReceipt(t, r.ID, salt, receipt.Partial)
	if e := h.opened(t, mine); e.Personal == nil || e.Personal.Subject != alice || e.HeldBy != held.ID {
		t.Errorf("%+v %s", e, e.Sealed)
	}
	if e := h.opened(t, map[string]any{"subject_ref": ref, "type": "request.received"}); e.Personal != nil || e.Sealed != "erased" {
		t.Errorf("what is not held: %+v %s", e.Personal, e.Sealed)
	}
	renewal := map[string]any{"tenant": "acme", "subject": map[string]string{"iss": "https://id.acme", "sub": alice}, "basis": "contract", "reason": "signed up again"}

	path := "/v1/holds/" + held.ID
	h.post("officer", path+"/release", map[string]any{"reason": "over"}, http.StatusForbidden, nil)
	h.post("approver", path+"/release", map[string]any{}, http.StatusUnprocessableEntity, nil)
	h.call(h.token("approver", "globex"), "POST", path+"/release", map[string]any{"reason": "over"}).want(t, http.StatusNotFound)
	h.post("approver", path+"/release", map[string]any{"reason": "over"}, http.StatusOK, &held)
	h.post("approver", path+"/release", map[string]any{"reason": "over"}, http.StatusConflict, nil)
	if r = h.reaches(t, "/v1/requests/"+r.ID, erasure.Completed); r.Outcome != "erased" {
		t.Errorf("%+v", r)
	}
	h.wantReceipt(t, r.ID, salt, receipt.Erased)
	h.call(h.token("handler", "globex"), "GET", "/v1/requests/"+r.ID+"/receipt", nil).want(t, http.StatusNotFound)
	h.call(h.token("verifier", "acme"), "GET", "/v1/requests/"+r.ID+"/receipt", nil).want(t, http.StatusForbidden)
	if e := h.opened(t, mine); e.Personal != nil || e.Sealed != "erased" || e.HeldBy != "" {
		t.Errorf("after the release: %+v %s", e.Personal, e.Sealed)
	}
	var holds query.Holds
	h.call(h.token("officer", "acme"), "GET", "/v1/holds?active=true", nil).want(t, http.StatusOK).into(t, &holds)
	if len(holds.Holds) != 0 {
		t.Errorf("%+v", holds)
	}
	h.post("officer", "/v1/holds", in, http.StatusUnprocessableEntity, nil)

	var renewed query.Renewed
	h.post("handler", "/v1/subjects/renew", renewal, http.StatusForbidden, nil)
	h.post("approver", "/v1/subjects/renew", renewal, http.StatusOK, &renewed)
	if renewed.Generation != 2 {
		t.Errorf("%+v", renewed)
	}
	h.post("approver", "/v1/subjects/renew", renewal, http.StatusConflict, nil)
}
