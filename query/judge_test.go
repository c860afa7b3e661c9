package query_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/query/leak"
	"github.com/rescindhq/rescind/query/store"
)

const testBound = 10 * time.Millisecond

// verified is an event of a verifier that accepted a token of alice.
func verified(id, jti string, at time.Time, view uint64) map[string]any {
	ev := event("id", id, "type", string(events.TokenVerified), "source", "gateway", "rescindenv", lanetest.Environment, "time", at.UTC().Format(time.RFC3339Nano),
		".iss", "https://id.acme", ".sub", alice, ".jti", jti, ".outcome", "success", ".iat", at.Add(-time.Minute).Unix())
	if view > 0 {
		ev["data"].(map[string]any)["view"] = view
	}
	return ev
}

// worker runs a worker from the beginning of the log.
func (h *house) worker(t *testing.T, s *store.Store, name string) {
	t.Helper()
	w, err := leak.New(leak.Config{Store: s, Marks: stream.NewMarks(h.kit.JS, name), Publisher: h.kit.Publisher, Environment: lanetest.Environment,
		Bound: testBound, Every: 10 * time.Millisecond, Width: 3, PerVerifier: 4})
	if err != nil {
		t.Fatal(err)
	}
	h.kit.Run(w.Run)
}

// findings waits until so many findings of leaks are there, by control.
func (h *house) findings(t *testing.T, want map[string]int) (found []query.FindingItem) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got := map[string]int{}
		found = nil
		for control := range want {
			var out query.Findings
			h.call(h.token("officer", "acme"), "GET", "/v1/findings?control="+control, nil).want(t, http.StatusOK).into(t, &out)
			got[control] = len(out.Findings)
			found = append(found, out.Findings...)
		}
		if cmp.Equal(want, got) {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v, want %v", got, want)
		}
		<-tick.C
	}
}

// TestLeaksAreShownAndFound: what was accepted after the revocation is listed
// with who, when, how late and from which position, a finding is opened for
// each that counts, and once, whoever looks again. What comes late is found.
func TestLeaksAreShownAndFound(t *testing.T) {
	t.Parallel()
	h := build(t, func(c *query.Config) { c.LeakBound = testBound })
	h.worker(t, h.store, "leaks")
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1)
	before := time.Now().Add(-time.Second)
	var made query.Accepted
	h.post("issuer", "/v1/revocations", map[string]any{"tenant": "acme", "scope": "subject", "iss": "https://id.acme", "sub": alice, "reason": "token_leaked"}, http.StatusAccepted, &made)
	time.Sleep(2 * testBound) // what is accepted sooner is within the bound
	for _, ev := range []map[string]any{
		verified("in-time", "j-1", before, *made.Position-1),
		verified("another", "j-1", before, 0),
		verified("ignored", "j-1", before, *made.Position),                 // clock behind: its position tells
		verified("late", "j-1", before.Add(time.Minute), *made.Position-1), // issued in time, whichever second it is
	} {
		if ev["id"] == "another" {
			ev["data"].(map[string]any)["sub"] = "somebody else"
		}
		h.post("verifier", "/v1/events", ev, http.StatusAccepted, nil)
	}
	found := h.findings(t, map[string]int{leak.ControlIgnored: 1, leak.ControlLeak: 1})
	for _, f := range found {
		if f.Attributes["verifier"] != "gateway" || f.Attributes["revocation"] != made.ID || f.Severity == "" || f.Tenant != "acme" || f.Shard != 0 {
			t.Errorf("%+v", f)
		}
	}
	h.leaksOf(t, made.ID, 1, 1)
	h.worker(t, h.store, "other") // has another mark, so it begins at the beginning
	h.post("verifier", "/v1/events", verified("later", "j-1", time.Now(), *made.Position+5), http.StatusAccepted, nil)
	h.findings(t, map[string]int{leak.ControlIgnored: 2, leak.ControlLeak: 1})
	trail := h.search(map[string]any{"tenant": "acme", "type": "finding.opened"}, 0)
	opened := map[string]int{}
	for _, e := range trail.Events {
		if e.Source == leak.Source {
			opened[e.ID]++
		}
	}
	for id, n := range opened {
		if n != 1 {
			t.Errorf("%s was opened %d times", id, n)
		}
	}
	h.call(h.token("officer", "globex"), "GET", "/v1/revocations/"+made.ID+"/leaks", nil).want(t, http.StatusNotFound)
}

func (h *house) leaksOf(t *testing.T, id string, ignored, late uint64) {
	t.Helper()
	var all, page query.Leaks
	path := "/v1/revocations/" + id + "/leaks"
	h.call(h.token("officer", "acme"), "GET", path, nil).want(t, http.StatusOK).into(t, &all)
	if all.Ignored != ignored || all.Late != late || len(all.Leaks) != int(ignored+late+all.Within) || all.BoundMs != testBound.Milliseconds() {
		t.Fatalf("%+v", all)
	}
	for cursor := ""; ; cursor = page.Next {
		page = query.Leaks{}
		h.call(h.token("officer", "acme"), "GET", path+"?limit=1&cursor="+cursor, nil).want(t, http.StatusOK).into(t, &page)
		if len(page.Leaks) == 0 {
			break
		}
		if d := cmp.Diff(all.Leaks[:1], page.Leaks); d != "" {
			t.Fatal(d)
		}
		all.Leaks = all.Leaks[1:]
		if page.Next == "" {
			break
		}
	}
	if len(all.Leaks) != 0 {
		t.Errorf("not on any page: %+v", all.Leaks)
	}
}

// TestFloodOfLeaksIsBounded: of one revocation and verifier so many findings
// are opened, and one that says that there are more.
func TestFloodOfLeaksIsBounded(t *testing.T) {
	t.Parallel()
	h := build(t)
	var made query.Accepted
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1) // a position of 0 says nothing
	h.post("issuer", "/v1/revocations", map[string]any{"tenant": "acme", "scope": "issuer", "iss": "https://id.acme", "reason": "key_compromise"}, http.StatusAccepted, &made)
	for i := range 9 {
		h.post("verifier", "/v1/events", verified(fmt.Sprint("v", i), "j-1", time.Now(), *made.Position), http.StatusAccepted, nil)
	}
	h.search(map[string]any{"tenant": "acme", "type": "token.verified"}, 9)
	h.worker(t, h.store, "leaks")
	found := h.findings(t, map[string]int{leak.ControlIgnored: 5})
	more := 0
	for _, f := range found {
		if f.Title != "Verifier accepted a token although it had applied its revocation" {
			more++
		}
	}
	if more != 1 {
		t.Errorf("%d findings say that there are more", more)
	}
}

// TestTokensOfTheForgottenAreFound: who was erased has no reference any more,
// but their tokens have.
func TestTokensOfTheForgottenAreFound(t *testing.T) {
	t.Parallel()
	h := build(t, func(c *query.Config) { c.LeakBound = testBound })
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1)
	var r query.SubjectRequest
	h.post("handler", "/v1/requests", map[string]any{"type": "erasure", "regulation": "gdpr", "tenant": "acme", "subject": map[string]string{"iss": "https://id.acme", "sub": alice}}, http.StatusCreated, &r)
	h.post("handler", "/v1/requests/"+r.ID+"/verify", nil, http.StatusOK, nil)
	h.post("approver", "/v1/requests/"+r.ID+"/approve", nil, http.StatusOK, nil)
	h.completed(t, "/v1/requests/"+r.ID)
	revoked := h.search(map[string]any{"tenant": "acme", "type": "subject.revoked"}, 1).Events[0]
	h.post("verifier", "/v1/events", verified("after", "j-1", time.Now(), revoked.Index+1), http.StatusAccepted, nil)
	if e := h.search(map[string]any{"tenant": "acme", "type": "token.verified"}, 1).Events[0]; e.SubjectRef != "" {
		t.Fatalf("the forgotten has a reference: %+v", e)
	}
	h.leaksOf(t, revoked.ID, 1, 0)
	h.worker(t, h.store, "leaks")
	h.findings(t, map[string]int{leak.ControlIgnored: 1})
}
