package query_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// park puts an event into the quarantine as the intake does, and returns where.
func (h *house) park(ev map[string]any, change func(*stream.Quarantined)) uint64 {
	h.t.Helper()
	payload, err := json.Marshal(ev)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.parkAs(payload, ev, change)
}

// parkAs is park of an event that arrived as payload.
func (h *house) parkAs(payload []byte, ev map[string]any, change func(*stream.Quarantined)) uint64 {
	h.t.Helper()
	q := stream.Quarantined{
		Time: time.Now().UTC(), Tenant: "acme", Source: ev["source"].(string), ID: ev["id"].(string), Type: ev["type"].(string),
		Reason: events.ReasonDefect, Detail: "d", SHA256: sha256.Sum256(payload), Subject: "rescind.events.acme." + events.Type(ev["type"].(string)).Name(),
	}
	key, err := h.kit.Keyring.TenantKey(h.t.Context(), "acme")
	if err != nil {
		h.t.Fatal(err)
	}
	if q.Sealed, err = key.Seal(q.Tenant, q.Source, q.ID, payload); err != nil {
		h.t.Fatal(err)
	}
	if change != nil {
		change(&q)
	}
	kept, err := stream.OpenQuarantine(h.t.Context(), h.kit.JS)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := kept.Put(h.t.Context(), q); err != nil {
		h.t.Fatal(err)
	}
	all, err := kept.List(h.t.Context(), 0, query.MaxLimit)
	if err != nil {
		h.t.Fatal(err)
	}
	return all[len(all)-1].Seq
}

// TestQuarantinedIsShown opens a payload for those who may, once it is
// recorded.
func TestQuarantinedIsShown(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme"}, 1)
	path := fmt.Sprintf("/v1/quarantine/%d", h.park(issued("q-1"), nil))
	var out query.QuarantinedDetail
	h.call(h.token("officer", "acme"), "GET", path, nil).want(t, http.StatusOK).into(t, &out)
	if out.Event.ID != "issued-q-1" || out.Payload != "" || out.Replay != nil {
		t.Errorf("%+v", out)
	}
	for _, c := range []struct {
		role, tenant, path, purpose string
		status                      int
	}{
		{"officer", "globex", path, "", http.StatusNotFound},
		{"officer", "acme", "/v1/quarantine/999", "", http.StatusNotFound},
		{"officer", "acme", "/v1/quarantine/x", "", http.StatusBadRequest},
		{"issuer", "acme", path, "", http.StatusForbidden},
		{"admin", "acme", path, "case 42", http.StatusForbidden},
		{"officer", "acme", path, "x", http.StatusUnprocessableEntity},
	} {
		header := []string{"Rescind-Purpose", c.purpose}
		if c.purpose == "" {
			header = nil
		}
		h.call(h.token(c.role, c.tenant), "GET", c.path, nil, header...).want(t, c.status)
	}
	h.call(h.token("officer", "acme"), "GET", path, nil, "Rescind-Purpose", "case 42").want(t, http.StatusOK).into(t, &out)
	if !strings.Contains(out.Payload, alice) {
		t.Errorf("payload %q, missing %q", out.Payload, out.PayloadMissing)
	}
	seen := h.search(map[string]any{"tenant": "acme", "type": "audit.accessed"}, 1)
	if a := seen.Events[0].Attributes; len(seen.Events) != 1 || a["purpose"] != "case 42" || a["route"] != "quarantine/show" {
		t.Errorf("recorded %+v", seen.Events)
	}
}

// TestQuarantinedIsReplayed publishes an entry again: it is logged once.
func TestQuarantinedIsReplayed(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme"}, 1)
	path := fmt.Sprintf("/v1/quarantine/%d", h.park(issued("q-1"), nil))
	h.call(h.token("officer", "acme"), "POST", path+"/replay", nil).want(t, http.StatusForbidden)
	h.call(h.token("admin", "globex"), "POST", path+"/replay", nil).want(t, http.StatusNotFound)
	replay := func(suffix string, count int) {
		t.Helper()
		var out query.QuarantineReplay
		h.call(h.token("admin", "acme"), "POST", path+"/replay"+suffix, nil).want(t, http.StatusOK).into(t, &out)
		if want := events.EventRef("acme", "test", "issued-q-1").String(); out.Count != count || out.EventRef != want || out.Actor == "" {
			t.Errorf("%+v, want count %d and event %s", out, count, want)
		}
	}
	replay("", 1)
	h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": "q-1"}, 1)
	replay("", 1)
	replay("?again=true", 2)
	h.post("issuer", "/v1/events", issued("j-3"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": "j-3"}, 1)
	if out := h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": "q-1"}, 1); len(out.Events) != 1 {
		t.Errorf("%d events", len(out.Events))
	}
	var shown query.QuarantinedDetail
	h.call(h.token("officer", "acme"), "GET", path, nil).want(t, http.StatusOK).into(t, &shown)
	if shown.Replay == nil || shown.Replay.Count != 2 {
		t.Errorf("%+v", shown)
	}
	if seen := h.search(map[string]any{"tenant": "acme", "type": "audit.accessed"}, 2); seen.Events[0].Attributes["route"] != "quarantine/replay" {
		t.Errorf("recorded %+v", seen.Events)
	}
	var list query.Quarantine
	h.call(h.token("officer", "acme"), "GET", "/v1/quarantine?count=true", nil).want(t, http.StatusOK).into(t, &list)
	if len(list.Quarantined) != 1 || list.Counts[string(events.ReasonDefect)] != 1 {
		t.Errorf("a note of a replay is no entry: %+v", list)
	}
}

// TestTypeThatIsKnownLaterIsReplayed: an intake that was not upgraded yet shows
// neither the type nor the subject of what it did not know.
func TestTypeThatIsKnownLaterIsReplayed(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme"}, 1)
	path := fmt.Sprintf("/v1/quarantine/%d", h.park(issued("q-1"), func(q *stream.Quarantined) {
		q.Type, q.Subject, q.Reason = "[withheld]", "[withheld]", events.ReasonType
	}))
	h.call(h.token("admin", "acme"), "POST", path+"/replay", nil).want(t, http.StatusOK)
	h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": "q-1"}, 1)
	own := issued("own-1")
	own["source"] = "rescind:api"
	path = fmt.Sprintf("/v1/quarantine/%d", h.park(own, func(q *stream.Quarantined) {
		q.Type, q.Subject, q.Reason = "[withheld]", stream.ShownSubject(stream.ServiceSubject("acme", events.TypeNamed("token.eaten"))), events.ReasonType
	}))
	h.call(h.token("admin", "acme"), "POST", path+"/replay", nil).want(t, http.StatusOK)
	h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": "own-1"}, 1)
}

// TestOwnEventIsReplayed: what a service of ours published in its own name, and
// the intake could not take, is published again in that name.
func TestOwnEventIsReplayed(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme"}, 1)
	own := issued("own-1")
	own["source"] = "rescind:api"
	path := fmt.Sprintf("/v1/quarantine/%d", h.park(own, func(q *stream.Quarantined) {
		q.Subject = stream.ServiceSubject("acme", events.Type(q.Type))
	}))
	h.call(h.token("admin", "acme"), "POST", path+"/replay", nil).want(t, http.StatusOK)
	h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": "own-1"}, 1)
}

// TestQuarantinedInProtobuf: what publishers send is shown as JSON and replayed
// as it came.
func TestQuarantinedInProtobuf(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme"}, 1)
	body, err := json.Marshal(issued("q-1"))
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := events.Decode(events.Message{Body: body, Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := events.MarshalProtobuf(&decoded[0].Event)
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/v1/quarantine/%d", h.parkAs(payload, issued("q-1"), nil))
	var out query.QuarantinedDetail
	h.call(h.token("officer", "acme"), "GET", path, nil, "Rescind-Purpose", "case 42").want(t, http.StatusOK).into(t, &out)
	shown, err := events.Decode(events.Message{Body: []byte(out.Payload), Tenant: "acme"})
	if err != nil || len(shown) != 1 || shown[0].Refusal != nil || shown[0].Event.Data.Subject != alice || shown[0].Event.ID != "issued-q-1" {
		t.Errorf("shown %q: %v", out.Payload, err)
	}
	h.call(h.token("admin", "acme"), "POST", path+"/replay", nil).want(t, http.StatusOK)
	h.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": "q-1"}, 1)
}

// TestUnreadableQuarantined: what is no event is shown byte for byte.
func TestUnreadableQuarantined(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme"}, 1)
	for i, payload := range []string{"{\"id\":\"\xff\"}", "\x0a\x03e-1\x0a\x03e-2"} { // not UTF-8; protobuf with two ids
		path := fmt.Sprintf("/v1/quarantine/%d", h.parkAs([]byte(payload), issued(fmt.Sprint(i)), nil))
		var out query.QuarantinedDetail
		h.call(h.token("officer", "acme"), "GET", path, nil, "Rescind-Purpose", "case 42").want(t, http.StatusOK).into(t, &out)
		var shown struct {
			Data []byte `json:"data_base64"`
		}
		if err := json.Unmarshal([]byte(out.Payload), &shown); err != nil || string(shown.Data) != payload {
			t.Errorf("%q is shown as %q: %v", payload, out.Payload, err)
		}
	}
}

// TestQuarantinedIsNotReplayed: no way around what the doors refuse.
func TestQuarantinedIsNotReplayed(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme"}, 1)
	own := issued("q-4")
	own["source"] = "rescind:api"
	reserved := event("id", "q-5", "type", string(events.RequestApproved), "rescindenv", lanetest.Environment, ".reason", "x")
	foreign := issued("q-6")
	foreign["rescindenv"] = "prod"
	withheld := func(q *stream.Quarantined) { q.Type, q.Subject = "[withheld]", "[withheld]" }
	for name, c := range map[string]struct {
		event  map[string]any
		change func(*stream.Quarantined)
		detail string
	}{
		"payload dropped":     {issued("q-1"), func(q *stream.Quarantined) { q.Sealed = nil }, "not kept"},
		"payload changed":     {issued("q-2"), func(q *stream.Quarantined) { q.Sealed[30] ^= 1 }, "unreadable"},
		"payload of another":  {issued("q-9"), func(q *stream.Quarantined) { q.SHA256[0] ^= 1 }, "unreadable"},
		"a type unknown yet":  {event("id", "q-3", "type", "dev.rescind.token.lost.v1", "rescindenv", lanetest.Environment), withheld, "refused again"},
		"another's subject":   {issued("q-7"), func(q *stream.Quarantined) { q.Subject = "rescind.events.globex.token.issued" }, "subject"},
		"source of our own":   {own, nil, "refused again"},
		"a type of our own":   {reserved, nil, "refused again"},
		"another environment": {foreign, nil, "refused again"},
	} {
		path := fmt.Sprintf("/v1/quarantine/%d", h.park(c.event, c.change))
		got := h.call(h.token("admin", "acme"), "POST", path+"/replay", nil).want(t, http.StatusConflict)
		if !strings.Contains(string(got.body), c.detail) {
			t.Errorf("%s: %s", name, got.body)
		}
		var shown query.QuarantinedDetail
		h.call(h.token("officer", "acme"), "GET", path, nil).want(t, http.StatusOK).into(t, &shown)
		if shown.Replay != nil {
			t.Errorf("%s: replayed", name)
		}
	}
}

// TestStrayCutoffIsReplayed: what an earlier intake refused for a cut-off without effect
// revokes, and is counted as though it had none. What the API refused is refused.
func TestStrayCutoffIsReplayed(t *testing.T) {
	t.Parallel()
	h := build(t, func(c *query.Config) { c.ApprovalAbove, c.CountFor = 2, patience })
	for i, sub := range []string{alice, "bob", "carol"} {
		ev := issued(fmt.Sprint("j-", i))
		ev["data"].(map[string]any)["sub"] = sub
		h.post("issuer", "/v1/events", ev, http.StatusAccepted, nil)
	}
	h.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 3)
	revoke := func(scope events.Scope, id string) map[string]any {
		return event("id", "stray-"+id, "type", string(scope.RevokedType()), "rescindenv", lanetest.Environment, ".jti", nil, "."+id, map[string]string{"jti": "j-1", "kid": "k-1"}[id],
			".reason", "key_compromise", ".issued_before", 1_000_000_000)
	}
	token, key := revoke(events.ScopeToken, "jti"), revoke(events.ScopeKey, "kid")
	for name, c := range map[string]struct {
		event  map[string]any
		change func(*stream.Quarantined)
		status int
		detail string
	}{
		"one token":                   {token, nil, http.StatusOK, ""},
		"a key of three":              {key, nil, http.StatusConflict, "second person"},
		"what was refused by the API": {token, func(q *stream.Quarantined) { q.Subject = "" }, http.StatusConflict, "cut-off"},
	} {
		got := h.call(h.token("admin", "acme"), "POST", fmt.Sprintf("/v1/quarantine/%d/replay", h.park(c.event, c.change)), nil)
		if got.status != c.status || !strings.Contains(string(got.body), c.detail) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	h.search(map[string]any{"tenant": "acme", "type": "token.revoked"}, 1)
}

// TestQuarantineFailsClosed: what cannot be recorded is not opened, and not
// replayed.
func TestQuarantineFailsClosed(t *testing.T) {
	t.Parallel()
	p := &parts{publishErr: errors.New("no responders")}
	a := serve(t, p.config())
	if err := p.Put(t.Context(), stream.Quarantined{Tenant: "acme", Reason: events.ReasonDefect, Sealed: []byte("x"), Subject: "rescind.events.acme.token.issued"}); err != nil {
		t.Fatal(err)
	}
	a.call(a.token("officer", "acme"), "GET", "/v1/quarantine/1", nil, "Rescind-Purpose", "case 42").want(t, http.StatusServiceUnavailable)
	a.call(a.token("admin", "acme"), "POST", "/v1/quarantine/1/replay", nil).want(t, http.StatusServiceUnavailable)
	if len(p.opened) != 0 {
		t.Error("it was opened, and that is not recorded")
	}
}
