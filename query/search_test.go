package query_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
)

// trail is n rows of acme, each with a sealed part.
func trail(n int) *parts {
	p := &parts{sealed: map[uint64][]byte{}}
	for i := range uint64(n) {
		sealed := []byte(fmt.Sprintf("sealed %d", i))
		p.sealed[i] = sealed
		p.rows = append(p.rows, query.Row{Index: i, Record: events.Record{
			Version: 1, Source: "s", ID: fmt.Sprint(i), Tenant: "acme", Environment: "test", Type: events.TokenIssued,
			Time: 1, Received: 2, Issuer: "i", SubjectRef: events.Ref{1}, PayloadHash: sha256.Sum256(sealed), DataKey: 1,
			Attributes: map[string]string{"a": "b"}, IssuedAt: 1700000000500,
		}})
	}
	return p
}

// TestSearchLimit: what is not there is the default; 0 is not.
func TestSearchLimit(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	for body, want := range map[string]int{`{}`: 200, `{"limit":1}`: 200, `{"limit":1000}`: 200, `{"limit":0}`: 422, `{"limit":-1}`: 422, `{"limit":1001}`: 422} {
		got := a.call(a.token("officer", "acme"), "POST", "/v1/audit/search", body).want(t, want)
		if want != http.StatusOK && got.problem(t).Member != "limit" {
			t.Errorf("%s: %s", body, got.body)
		}
	}
	for _, s := range p.searches {
		if s.Limit != 1 && s.Limit != query.DefaultLimit && s.Limit != query.MaxLimit {
			t.Errorf("limit %d", s.Limit)
		}
	}
}

func TestSearchPages(t *testing.T) {
	t.Parallel()
	p := trail(7)
	a := serve(t, p.config())
	token := a.token("officer", "acme")
	var seen []uint64
	cursor := ""
	for range 10 {
		var out query.AuditEvents
		a.call(token, "POST", "/v1/audit/search", map[string]any{"limit": 3, "cursor": cursor, "count": true}).want(t, http.StatusOK).into(t, &out)
		for _, e := range out.Events {
			seen = append(seen, e.Index)
		}
		if *out.Total != 7 {
			t.Errorf("total %d", *out.Total)
		}
		if cursor = out.Next; cursor == "" {
			break
		}
	}
	if d := cmp.Diff([]uint64{0, 1, 2, 3, 4, 5, 6}, seen); d != "" {
		t.Error(d)
	}
	var first query.AuditEvents
	a.call(token, "POST", "/v1/audit/search", map[string]any{"limit": 3}).into(t, &first)
	for name, body := range map[string]any{
		"another query": map[string]any{"limit": 3, "cursor": first.Next, "kid": "k"},
		"garbage":       map[string]any{"cursor": "garbage"},
		"changed":       map[string]any{"cursor": "AQ" + first.Next[2:len(first.Next)-1] + "!"},
	} {
		if got := a.call(token, "POST", "/v1/audit/search", body); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got.status)
		}
	}
}

func TestSearchIsResolved(t *testing.T) {
	t.Parallel()
	p := trail(1)
	a := serve(t, p.config())
	token := a.token("officer", "acme")
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a.call(token, "POST", "/v1/audit/search", map[string]any{
		"issuer": "i", "subject": "known-subject", "client_id": "c", "kid": "k", "type": "token.issued", "outcome": "success",
		"from": from, "to": from.AddDate(0, 1, 0), "order": "desc",
	}).want(t, http.StatusOK)
	want := query.Search{
		Tenant: "acme", Issuer: "i", SubjectRef: events.Ref{1}, Client: "c", KeyID: "k", Types: []events.Type{events.TokenIssued},
		Outcome: "success", From: from, To: from.AddDate(0, 1, 0), Descending: true, Limit: query.DefaultLimit,
	}
	if d := cmp.Diff(want, p.searches[0]); d != "" {
		t.Error(d)
	}
	a.call(token, "POST", "/v1/audit/search", map[string]any{"type": []string{"dev.rescind.token.issued.v1", "key.revoked"}, "subject_ref": events.Ref{7}.String()}).want(t, http.StatusOK)
	if s := p.searches[1]; s.SubjectRef != (events.Ref{7}) || !slices.Equal(s.Types, []events.Type{events.TokenIssued, events.KeyRevoked}) {
		t.Errorf("%+v", s)
	}
}

// TestSearchForWhatIsNotThere: an unknown or forgotten subject, an unknown
// token and a contradiction match nothing, and nothing is searched.
func TestSearchForWhatIsNotThere(t *testing.T) {
	t.Parallel()
	p := trail(3)
	a := serve(t, p.config())
	for body, state := range map[string]string{
		`{"issuer":"i","subject":"nobody","count":true}`:                                                         "unknown",
		`{"issuer":"i","subject":"erased-subject","open":true,"purpose":"case 42"}`:                              "erased",
		`{"issuer":"i","subject":"known-subject","subject_ref":"07000000000000000000000000000000","count":true}`: "unknown",
		`{"issuer":"i","jti":"j"}`: "",
	} {
		var out query.AuditEvents
		a.call(a.token("officer", "acme"), "POST", "/v1/audit/search", body).want(t, http.StatusOK).into(t, &out)
		if len(out.Events) != 0 || out.SubjectState != state || out.Total != nil && *out.Total != 0 {
			t.Errorf("%s: %+v", body, out)
		}
	}
	if len(p.searches) != 0 {
		t.Errorf("searched %+v", p.searches)
	}
	for _, ev := range p.published {
		if ev.Data.Subject != "" {
			t.Error("looking for somebody made them known")
		}
	}
}

func TestSearchRefuses(t *testing.T) {
	t.Parallel()
	a := serve(t, trail(1).config())
	for body, status := range map[string]int{
		`{"type":"token.eaten"}`:      422,
		`{"outcome":"maybe"}`:         422,
		`{"order":"random"}`:          422,
		`{"limit":1001}`:              422,
		`{"limit":-1}`:                422,
		`{"subject_ref":"xyz"}`:       422,
		`{"open":true}`:               422,
		`{"open":true,"purpose":"x"}`: 422,
		`{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`:                    422,
		`{"open":true,"purpose":"see eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"}`:         422,
		`{"open":true,"issuer":"i","subject":"known-subject","purpose":"known-subject"}`: 422,
		`{"from":"yesterday"}`: 400,
	} {
		if got := a.call(a.token("officer", "acme"), "POST", "/v1/audit/search", body); got.status != status {
			t.Errorf("%s: %d %s, want %d", body, got.status, got.body, status)
		}
	}
	a.call(a.token("admin", "acme"), "POST", "/v1/audit/search", `{"open":true,"purpose":"case 42"}`).want(t, http.StatusForbidden)
}

// TestOpenIsRecordedFirst: the record of an access is durable before anything
// is opened, and without it nothing is.
func TestOpenIsRecordedFirst(t *testing.T) {
	t.Parallel()
	p := trail(3)
	p.sealed[1] = nil               // dropped
	p.sealed[2] = []byte("changed") // not what was sealed
	a := serve(t, p.config())
	body := map[string]any{"issuer": "i", "subject": "known-subject", "open": true, "purpose": "case 42"}

	p.publishErr = errors.New("no responders")
	got := a.call(a.token("officer", "acme"), "POST", "/v1/audit/search", body).want(t, http.StatusServiceUnavailable)
	if len(p.opened) != 0 || strings.Contains(string(got.body), "known-subject") || got.problem(t).Type != "urn:rescind:problem:audit-missing" {
		t.Fatalf("opened %d: %s", len(p.opened), got.body)
	}

	p.publishErr = nil
	var out query.AuditEvents
	a.call(a.token("officer", "acme"), "POST", "/v1/audit/search", body).want(t, http.StatusOK).into(t, &out)
	if out.Events[0].Personal == nil || out.Events[0].Personal.Subject != "known-subject" || out.Events[0].Sealed != "" {
		t.Errorf("%+v", out.Events[0])
	}
	if out.Events[1].Sealed != "dropped" || out.Events[2].Sealed != "unreadable" || len(p.opened) != 1 {
		t.Errorf("%q %q, opened %d", out.Events[1].Sealed, out.Events[2].Sealed, len(p.opened))
	}
	ev := p.published[0]
	want := map[string]string{"purpose": "case 42", "route": "audit/search", "events": "3", "first": "0", "last": "2"}
	if d := cmp.Diff(want, ev.Data.Attributes); d != "" || ev.Type != events.AuditAccessed || ev.Data.Actor != "officer-1" || ev.Data.Subject != "known-subject" {
		t.Errorf("%s %+v", d, ev)
	}
}

// TestSearchWithoutOpen opens and records nothing.
func TestSearchWithoutOpen(t *testing.T) {
	t.Parallel()
	p := trail(3)
	a := serve(t, p.config())
	got := a.call(a.token("officer", "acme"), "POST", "/v1/audit/search", map[string]any{}).want(t, http.StatusOK)
	if len(p.opened)+len(p.published) != 0 || strings.Contains(string(got.body), "personal") {
		t.Errorf("%s", got.body)
	}
	if !strings.Contains(string(got.body), `"iat":1700000000.5`) {
		t.Errorf("iat is no NumericDate: %s", got.body)
	}
}

func TestEvent(t *testing.T) {
	t.Parallel()
	a := serve(t, trail(3).config())
	var out query.AuditEvent
	a.call(a.token("officer", "globex", "acme"), "GET", "/v1/audit/events/2", nil).want(t, http.StatusOK).into(t, &out)
	if out.Index != 2 || out.Tenant != "acme" || out.Personal != nil {
		t.Errorf("%+v", out)
	}
	a.call(a.token("officer", query.AllTenants), "GET", "/v1/audit/events/0", nil).want(t, http.StatusOK)
	a.call(a.token("officer", "globex"), "GET", "/v1/audit/events/2", nil).want(t, http.StatusNotFound)
	a.call(a.token("officer", query.AllTenants), "GET", "/v1/audit/events/9", nil).want(t, http.StatusNotFound)
}
