package query_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// TestRevocationsOfOneID: an id is its source's. Whatever it looks like, and however many
// were made since, its source or its position finds the one that is meant.
func TestRevocationsOfOneID(t *testing.T) {
	t.Parallel()
	for name, remembered := range map[string]int{"recent": 100, "older": 1} {
		h := build(t, func(c *query.Config) { c.Revocations = remembered })
		made := uuid.Must(uuid.NewV7()).String()
		n := 0
		for _, id := range []string{"logout", made} {
			for _, source := range []string{"issuer-a", "issuer-b"} {
				n++
				h.post("issuer", "/v1/events", revokedBy(source, id, n), http.StatusAccepted, nil)
			}
		}
		h.post("issuer", "/v1/events", revokedBy("issuer-a", "the last one", 9), http.StatusAccepted, nil)
		at := map[string]uint64{}
		for _, e := range h.search(map[string]any{"tenant": "acme", "type": "token.revoked"}, n+1).Events {
			at[e.Source+" "+e.ID] = e.Index
		}
		get := func(id string, status int, pairs ...string) (out query.Revocation) {
			t.Helper()
			if got := h.ask("GET", "/v1/revocations/"+id, nil, pairs...).want(t, status); status == http.StatusOK {
				got.into(t, &out)
			}
			return out
		}
		for _, id := range []string{"logout", made} {
			for _, source := range []string{"issuer-a", "issuer-b"} {
				index := at[source+" "+id]
				for _, pairs := range [][]string{{"source", source}, {"position", fmt.Sprint(index)}, {"source", source, "position", fmt.Sprint(index)}} {
					if got := get(id, http.StatusOK, pairs...); got.Position != index || got.Source != source || got.State != "active" {
						t.Errorf("%s: %s %v: %+v", name, id, pairs, got)
					}
				}
			}
			get(id, http.StatusNotFound, "source", "issuer-c")
			get(id, http.StatusNotFound, "position", fmt.Sprint(at["issuer-a the last one"]))
			get(id, http.StatusNotFound, "source", "issuer-a", "position", fmt.Sprint(at["issuer-b "+id]))
		}
		get(made, http.StatusConflict)
		get("logout", map[string]int{"recent": http.StatusConflict, "older": http.StatusNotFound}[name])
		h.ask("POST", "/v1/revocations/"+made+"/lift", map[string]any{"reason": "mistake"}).want(t, http.StatusConflict)
		h.ask("POST", "/v1/revocations/logout/lift", map[string]any{"reason": "mistake"}, "source", "issuer-b").want(t, http.StatusAccepted)
		h.search(map[string]any{"tenant": "acme", "type": "revocation.lifted"}, 1)
		if a, b := get("logout", http.StatusOK, "source", "issuer-a"), get("logout", http.StatusOK, "source", "issuer-b"); a.State != "active" || b.State != "lifted" {
			t.Errorf("%s: a is %s, b %s", name, a.State, b.State)
		}
		h.ask("GET", "/v1/revocations/logout/leaks", nil, "position", fmt.Sprint(at["issuer-a logout"])).want(t, http.StatusOK)
	}
}

// ask is a call by who may everything in acme, with query parameters.
func (h *house) ask(method, path string, body any, pairs ...string) answer {
	h.t.Helper()
	q := url.Values{"tenant": {"acme"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return h.call(h.token("admin", query.AllTenants), method, path+"?"+q.Encode(), body)
}

func revokedBy(source, id string, n int) map[string]any {
	return event("id", id, "source", source, "type", "dev.rescind.token.revoked.v1", "rescindenv", lanetest.Environment,
		".iss", "https://id.acme", ".jti", fmt.Sprint("jti-", n), ".reason", "logout")
}

// TestRevocationOfASourceBehindOthers: that more sources than a search answers used the
// id before hides none of them.
func TestRevocationOfASourceBehindOthers(t *testing.T) {
	t.Parallel()
	h := build(t, func(c *query.Config) { c.Revocations = 1 })
	var made []events.Event
	for n := range query.MaxLimit + 1 {
		made = append(made, events.Event{
			ID: "logout", Source: fmt.Sprint("issuer-", n), Type: events.TokenRevoked, Tenant: "acme", Time: time.Now(), Environment: lanetest.Environment,
			Data: events.Data{Issuer: "https://id.acme", TokenID: fmt.Sprint("jti-", n), Reason: "logout"},
		})
	}
	h.kit.Publish(made...)
	h.post("issuer", "/v1/events", revokedBy("issuer-a", "the last one", 9), http.StatusAccepted, nil)
	var last []query.AuditEvent
	lanetest.Eventually(t, "all are recorded", func() error {
		last = h.search(map[string]any{"tenant": "acme", "type": "token.revoked", "order": "desc", "limit": 2}, 1).Events
		if last[0].Source != "issuer-a" {
			return fmt.Errorf("the last is of %s", last[0].Source)
		}
		return nil
	})
	var got query.Revocation
	h.ask("GET", "/v1/revocations/logout", nil, "source", last[1].Source).want(t, http.StatusOK).into(t, &got)
	if got.Position != last[1].Index || got.Source != last[1].Source {
		t.Errorf("%+v, want that at %d", got, last[1].Index)
	}
}
