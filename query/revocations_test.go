package query_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/revocation"
)

func TestRevoke(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) string { return fmt.Sprint(time.Now().Add(-d).Unix()) }
	for _, c := range []struct {
		body   string
		member string // that the problem names; "" where accepted
	}{
		{`"scope":"token","iss":"i","jti":"j"`, ""},
		{`"scope":"token","iss":"i","jti":"j","sid":"s","sub":"u","client_id":"c","exp":1893456000,"ticket":"T-1","note":"n"`, ""},
		{`"scope":"session","iss":"i","sid":"s","sub":"u"`, ""},
		{`"scope":"subject","iss":"i","sub":"u"`, ""},
		{`"scope":"client","iss":"i","client_id":"c","issued_before":` + ago(time.Hour) + `.5`, ""},
		{`"scope":"token","iss":"i","jti":"j","exp":` + ago(20*time.Second), ""}, // some verifier may still take it
		{`"scope":"token","iss":"i","jti":"j","exp":` + ago(70*time.Second), "exp"},
		{`"scope":"session","iss":"i","sid":"s","exp":` + ago(70*time.Second), "exp"},
		{`"scope":"grant","iss":"i","grant_id":"g","exp":` + ago(70*time.Second), "exp"},
		{`"scope":"subject","iss":"i","sub":"u","issued_before":` + ago(24*time.Hour), ""},
		{`"scope":"subject","iss":"i","sub":"u","issued_before":` + ago(24*time.Hour+70*time.Second), "issued_before"},
		{`"scope":"client","iss":"i","client_id":"c","issued_before":1`, "issued_before"},
		{`"scope":"issuer","iss":"i","issued_before":1`, "issued_before"},
		{`"scope":"tenant","issued_before":1`, "issued_before"},
		{`"scope":"key","iss":"i","kid":"k"`, ""},
		{`"scope":"key","iss":"i","kid":"k","issued_before":1`, "issued_before"}, // it has no cut-off: all would be revoked
		{`"scope":"token","iss":"i","jti":"j","issued_before":` + ago(time.Hour), "issued_before"},
		{`"scope":"session","iss":"i","sid":"s","issued_before":` + ago(time.Hour), "issued_before"},
		{`"scope":"grant","iss":"i","grant_id":"g","issued_before":` + ago(time.Hour), "issued_before"},
		{`"scope":"subject","iss":"i","sub":"u","issued_before":` + ago(0) + `,"starts":` + ago(-24*time.Hour), ""},
		{`"scope":"subject","iss":"i","sub":"u","issued_before":` + ago(0) + `,"starts":` + ago(-48*time.Hour), "starts"}, // expired by then
		{`"scope":"issuer","iss":"i"`, ""},
		{`"scope":"tenant"`, ""},
		{`"scope":"grant","iss":"i","grant_id":"g"`, ""},
		{`"scope":"subject","iss":"i","sub":"u","starts":` + ago(-300*24*time.Hour) + `,"not_after":` + ago(-301*24*time.Hour), ""},
		{`"scope":"key","iss":"i","kid":"k","not_after":` + ago(-time.Minute), ""},
		{`"scope":"key","iss":"i","kid":"k","not_after":` + ago(time.Second), "not_after"},
		{`"scope":"key","iss":"i","kid":"k","starts":` + ago(-time.Hour) + `,"not_after":` + ago(-time.Hour), "not_after"},
		{`"scope":"tenant","starts":` + ago(-401*24*time.Hour), "starts"},
		{`"scope":"token","iss":"i","jti":"j","exp":` + ago(-time.Hour) + `,"starts":` + ago(-2*time.Hour), "starts"},
		{`"scope":"planet","iss":"i"`, "scope"},
		{`"scope":"token","iss":"i"`, "jti"},
		{`"scope":"token","jti":"j"`, "iss"},
		{`"scope":"tenant","iss":"i"`, "iss"},
		{`"scope":"subject","iss":"i","sub":"u","client_id":"c"`, "client_id"},
		{`"scope":"key","iss":"i","kid":"k","sub":"u"`, "sub"},
		{`"scope":"token","iss":"i","jti":"j","issued_befor":1`, "issued_befor"},
		{`"scope":"token","iss":"i","jti":7`, "jti"},
	} {
		p := &parts{position: 41}
		a := serve(t, p.config())
		got := a.call(a.token("issuer", "acme"), "POST", "/v1/revocations", `{"reason":"r",`+c.body+`}`)
		if c.member != "" {
			if got.status != http.StatusUnprocessableEntity || got.problem(t).Member != c.member || len(p.published) != 0 {
				t.Errorf("%s: %d %s", c.body, got.status, got.body)
			}
			continue
		}
		var out query.Accepted
		got.want(t, http.StatusAccepted).into(t, &out)
		if len(p.published) != 1 || out.Position == nil || *out.Position != 41 || out.ID != p.published[0].ID {
			t.Fatalf("%s: %s", c.body, got.body)
		}
		ev := p.published[0]
		if r := (events.Policy{Environment: "test"}).Validate(&ev, time.Now()); r != nil {
			t.Errorf("%s: published what the intake refuses: %v", c.body, r)
		}
		if ev.Type.RevokedScope() == "" || ev.Data.Actor != "issuer-1" || ev.Source != query.Source || ev.Tenant != "acme" {
			t.Errorf("%s: %+v", c.body, ev)
		}
	}
}

// TestCutoff: scopes that would reach tokens of the future revoke what was
// issued until now.
func TestCutoff(t *testing.T) {
	t.Parallel()
	now := time.Now().Add(-time.Minute).Truncate(time.Second) // the API's clock, not that of its tokens
	p := &parts{position: 1}
	cfg := p.config()
	cfg.Now = func() time.Time { return now }
	cfg.Auth.Now = time.Now
	a := serve(t, cfg)
	for body, want := range map[string]events.Timestamp{
		`"scope":"subject","iss":"i","sub":"u"`: events.TimestampOf(now),
		`"scope":"tenant"`:                      events.TimestampOf(now),
		`"scope":"subject","iss":"i","sub":"u","issued_before":` + fmt.Sprint(now.Unix()-5): events.TimestampOf(now) - 5000,
		`"scope":"token","iss":"i","jti":"j"`:                                               0,
		`"scope":"key","iss":"i","kid":"k"`:                                                 0,
		`"scope":"subject","iss":"i","sub":"u","starts":` + fmt.Sprint(now.Unix()+3600):     events.TimestampOf(now) + 3600_000,
	} {
		p.published = nil
		a.call(a.token("issuer", "acme"), "POST", "/v1/revocations", `{"reason":"r",`+body+`}`).want(t, http.StatusAccepted)
		if got := p.published[0].Data.IssuedBefore; got != want {
			t.Errorf("%s: cut-off %d, want %d", body, got, want)
		}
	}
}

// TestRevokeNotOnTheLogYet: durable is enough for an answer.
func TestRevokeNotOnTheLogYet(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	var out query.Accepted
	a.call(a.token("issuer", "acme"), "POST", "/v1/revocations", `{"scope":"token","iss":"i","jti":"j","reason":"r"}`, "Prefer", "wait=5").
		want(t, http.StatusAccepted).into(t, &out)
	if out.Position != nil || out.ID == "" {
		t.Errorf("%+v", out)
	}
}

// record is a revoking record as the lane has it.
func record(id, tenant string, at time.Time) *events.Record {
	return &events.Record{
		Version: 1, Source: "issuer", ID: id, Tenant: tenant, Environment: "test", Type: events.TokenRevoked,
		Time: at.UnixMicro(), Received: at.UnixMicro(), Issuer: "i", Reason: "r",
		Revocation: &events.Revocation{Scope: events.ScopeToken, Hash: events.Ref{9}, Expires: events.TimestampOf(at.Add(time.Hour)), FeedKey: 3},
	}
}

func (p *parts) log(index uint64, r *events.Record) {
	for _, fn := range p.handlers {
		fn(lane.Entry{Index: index, Record: r})
	}
}

func TestRevocationIsShownAndLifted(t *testing.T) {
	t.Parallel()
	p := &parts{position: 8}
	a := serve(t, p.config())
	now := time.Now()
	r := record("r-1", "acme", now)
	p.log(7, r)
	var got query.Revocation
	a.call(a.token("officer", "acme"), "GET", "/v1/revocations/r-1", nil).want(t, http.StatusOK).into(t, &got)
	if got.State != "active" || got.Position != 7 || got.Scope != events.ScopeToken || got.Tenant != "acme" {
		t.Errorf("%+v", got)
	}
	a.call(a.token("officer", "globex"), "GET", "/v1/revocations/r-1", nil).want(t, http.StatusNotFound)
	issuer := a.token("issuer", "acme")
	a.call(issuer, "POST", "/v1/revocations/r-1/lift", map[string]any{}).want(t, http.StatusUnprocessableEntity)
	a.call(issuer, "POST", "/v1/revocations/r-1/lift", map[string]any{"reason": "mistake"}).want(t, http.StatusAccepted)
	want := map[string]string{"revocation": r.Ref().String(), "hash": events.Ref{9}.String(), "position": "7", "scope": "token", "feed_key": "3"}
	if d := cmp.Diff(want, p.published[0].Data.Attributes); d != "" || p.published[0].Type != events.RevocationLifted {
		t.Error(d, p.published[0].Type)
	}
	if p.published[0].Data.Expires != r.Revocation.Expires {
		t.Error("the lift does not say until when it has to last")
	}
	p.log(8, &events.Record{Type: events.RevocationLifted, Tenant: "acme", ID: "l-1", Revocation: &events.Revocation{Scope: events.ScopeToken, Lifts: r.Ref()}})
	a.call(a.token("officer", "acme"), "GET", "/v1/revocations/r-1", nil).want(t, http.StatusOK).into(t, &got)
	if got.State != "lifted" || got.LiftedAt == nil || *got.LiftedAt != 8 {
		t.Errorf("%+v", got)
	}
	a.call(issuer, "POST", "/v1/revocations/r-1/lift", map[string]any{"reason": "again"}).want(t, http.StatusConflict)
}

// TestRevocationOfAnErasure cannot be lifted, whether it is found among the
// last ones or in the audit store.
func TestRevocationOfAnErasure(t *testing.T) {
	t.Parallel()
	const id = "01900000-0000-7000-8000-000000000000"
	r := record(id, "acme", time.UnixMilli(0x019000000000))
	r.Source, r.Type, r.Attributes = erasure.Source, events.SubjectRevoked, map[string]string{"request": "r"}
	r.Revocation.Scope, r.Revocation.Expires = events.ScopeSubject, events.TimestampOf(time.Now().Add(time.Hour))
	recent, older := new(parts), &parts{rows: []query.Row{{Index: 1, Record: *r}}}
	for name, p := range map[string]*parts{"recent": recent, "older": older} {
		a := serve(t, p.config())
		if p == recent {
			p.log(1, r)
		}
		got := a.call(a.token("issuer", "acme"), "POST", "/v1/revocations/"+id+"/lift", map[string]any{"reason": "mistake"})
		if got.status != http.StatusConflict || !strings.Contains(string(got.body), "erasure") || len(p.published) != 0 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// TestRevocationOfALargeJob is found in the audit store, and whether it was
// lifted, though a million others have its time.
func TestRevocationOfALargeJob(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(0x019000000000)
	p := &parts{position: 1}
	const many = 10_500
	for i := range uint64(many) {
		r := record(fmt.Sprintf("01900000-0000-7000-8000-%012x", i), "acme", at)
		r.Source, r.Revocation.Expires = query.BulkSource, events.TimestampOf(time.Now().Add(time.Hour))
		p.rows = append(p.rows, query.Row{Index: i, Record: *r})
	}
	for i := range uint64(many - 1) {
		p.rows = append(p.rows, query.Row{Index: many + i, Record: events.Record{Type: events.RevocationLifted, Tenant: "acme",
			Revocation: &events.Revocation{Scope: events.ScopeToken, Lifts: p.rows[i].Record.Ref()}}})
	}
	a := serve(t, p.config())
	issuer := a.token("issuer", "acme")
	for i, want := range map[int]string{many - 1: "active", many - 2: "lifted"} {
		var got query.Revocation
		a.call(issuer, "GET", "/v1/revocations/"+p.rows[i].Record.ID, nil).want(t, http.StatusOK).into(t, &got)
		if got.State != want || got.Position != uint64(i) {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	a.call(issuer, "POST", "/v1/revocations/"+p.rows[many-1].Record.ID+"/lift", map[string]any{"reason": "mistake"}).want(t, http.StatusAccepted)
}

// TestLimitsOfRevocationsAreConfigured: what can have an effect depends on how
// long tokens live.
func TestLimitsOfRevocationsAreConfigured(t *testing.T) {
	t.Parallel()
	cfg := (&parts{position: 1}).config()
	cfg.MaxLifetime, cfg.Skew = time.Hour, 10*time.Minute
	a := serve(t, cfg)
	for body, want := range map[string]int{
		`"scope":"tenant","issued_before":` + fmt.Sprint(time.Now().Add(-69*time.Minute).Unix()):         http.StatusAccepted,
		`"scope":"tenant","issued_before":` + fmt.Sprint(time.Now().Add(-71*time.Minute).Unix()):         http.StatusUnprocessableEntity,
		`"scope":"token","iss":"i","jti":"j","exp":` + fmt.Sprint(time.Now().Add(-9*time.Minute).Unix()): http.StatusAccepted,
	} {
		a.call(a.token("issuer", "acme"), "POST", "/v1/revocations", `{"reason":"r",`+body+`}`).want(t, want)
	}
}

func TestRevocationIDsOfTwoTenants(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	now := time.Now()
	p.log(1, record("same", "acme", now))
	p.log(2, record("same", "globex", now.Add(-2*time.Hour)))
	all := a.token("admin", query.AllTenants)
	a.call(all, "GET", "/v1/revocations/same", nil).want(t, http.StatusConflict)
	var got query.Revocation
	a.call(all, "GET", "/v1/revocations/same?tenant=globex", nil).want(t, http.StatusOK).into(t, &got)
	if got.Tenant != "globex" || got.State != "expired" {
		t.Errorf("%+v", got)
	}
	a.call(a.token("admin", "acme"), "GET", "/v1/revocations/same", nil).want(t, http.StatusOK)
}

// TestOlderRevocation: one that left memory is found in the audit store.
func TestOlderRevocation(t *testing.T) {
	t.Parallel()
	const id = "01900000-0000-7000-8000-000000000000"
	at := time.UnixMilli(0x019000000000)
	p := &parts{rows: []query.Row{{Index: 3, Record: *record("other", "acme", at)}, {Index: 5, Record: *record(id, "acme", at)}}}
	lift := *record("l", "acme", at)
	lift.Type, lift.Revocation = events.RevocationLifted, &events.Revocation{Lifts: p.rows[1].Record.Ref()}
	p.rows = append(p.rows, query.Row{Index: 9, Record: lift})
	a := serve(t, p.config())
	var got query.Revocation
	a.call(a.token("admin", query.AllTenants), "GET", "/v1/revocations/"+id, nil).want(t, http.StatusOK).into(t, &got)
	if got.Position != 5 || got.State != "lifted" || *got.LiftedAt != 9 {
		t.Errorf("%+v", got)
	}
	for _, s := range p.searches[:1] {
		if s.From.After(at) || s.To.Before(at) || len(s.Types) != 9 {
			t.Errorf("%+v", s)
		}
	}
	a.call(a.token("admin", "globex"), "GET", "/v1/revocations/"+id, nil).want(t, http.StatusNotFound)
	a.call(a.token("admin", "acme"), "GET", "/v1/revocations/not-a-uuid", nil).want(t, http.StatusNotFound)
}

// TestRecentRevocationsAreBounded: the oldest leave.
func TestRecentRevocationsAreBounded(t *testing.T) {
	t.Parallel()
	p := new(parts)
	cfg := p.config()
	cfg.Revocations = 3
	a := serve(t, cfg)
	for i := range 10 {
		p.log(uint64(i), record(fmt.Sprintf("r-%d", i), "acme", time.Now()))
	}
	token := a.token("officer", "acme")
	for i := range 10 {
		want := http.StatusNotFound
		if i >= 7 {
			want = http.StatusOK
		}
		a.call(token, "GET", fmt.Sprintf("/v1/revocations/r-%d", i), nil).want(t, want)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := &parts{decision: revocation.Decision{State: revocation.Revoked, Scope: events.ScopeSession, Reason: "logout", At: at, Age: 1500 * time.Millisecond, Position: 12}}
	a := serve(t, p.config())
	token := a.token("verifier", "acme")
	// {"alg":"ES256","kid":"k"} . {"iss":"i","sub":"u","jti":"j","sid":"s","iat":1700000000,"scope":"x"}
	jws := "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJpIiwic3ViIjoidSIsImp0aSI6ImoiLCJzaWQiOiJzIiwiaWF0IjoxNzAwMDAwMDAwLCJzY29wZSI6IngifQ.c2ln"
	want := revocation.Claims{Tenant: "acme", Issuer: "i", TokenID: "j", SessionID: "s", Subject: "u", KeyID: "k", IssuedAt: 1700000000000}
	for name, body := range map[string]any{
		"token":  map[string]any{"tenant": "acme", "token": jws},
		"claims": map[string]any{"claims": map[string]any{"iss": "i", "sub": "u", "jti": "j", "sid": "s", "kid": "k", "iat": 1700000000}},
	} {
		got := a.call(token, "POST", "/v1/check", body).want(t, http.StatusOK)
		if d := cmp.Diff(want, p.asked); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		wantBody := `{"age_ms":1500,"at":"2026-01-02T03:04:05Z","decision":"revoked","position":12,"reason":"logout","scope":"session"}`
		if d := cmp.Diff(wantBody, strings.TrimSpace(string(got.body))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	parts := func(claims string) map[string]any {
		encode := base64.RawURLEncoding.EncodeToString
		return map[string]any{"token": encode([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + encode([]byte(claims)) + ".c2ln"}
	}
	deep := strings.Repeat(`{"a":`, 30) + "1" + strings.Repeat("}", 30)
	for name, c := range map[string]struct {
		body any
		want revocation.Claims
	}{ // as the guard reads them
		"azp":                 {parts(`{"iss":"i","azp":"app"}`), revocation.Claims{Tenant: "acme", Issuer: "i", ClientID: "app", KeyID: "k"}},
		"azp, claims":         {map[string]any{"claims": map[string]any{"iss": "i", "azp": "app"}}, revocation.Claims{Tenant: "acme", Issuer: "i", ClientID: "app"}},
		"client_id and azp":   {parts(`{"iss":"i","client_id":"c","azp":"app"}`), revocation.Claims{Tenant: "acme", Issuer: "i", ClientID: "c", KeyID: "k"}},
		"names by their case": {parts(`{"iss":"i","sub":"u","SUB":"v","ſub":"w","x":` + deep + `}`), revocation.Claims{Tenant: "acme", Issuer: "i", Subject: "u", KeyID: "k"}},
	} {
		a.call(token, "POST", "/v1/check", c.body).want(t, http.StatusOK)
		if d := cmp.Diff(c.want, p.asked); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	for name, body := range map[string]any{
		"a claim twice":     parts(`{"iss":"i","sub":"u","sub":"v"}`),
		"neither":           map[string]any{},
		"both":              map[string]any{"token": jws, "claims": map[string]any{"iss": "i"}},
		"not a JWT":         map[string]any{"token": "a.b"},
		"not base64":        map[string]any{"token": "*.*.*"},
		"without an issuer": map[string]any{"claims": map[string]any{"jti": "j"}},
	} {
		if got := a.call(token, "POST", "/v1/check", body); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if strings.Contains(a.logs.String(), "eyJ") {
		t.Error("a token is in the log")
	}
	p.decision = revocation.Decision{State: revocation.Unknown, Cause: revocation.CauseStale}
	var out query.Decision
	a.call(token, "POST", "/v1/check", map[string]any{"token": jws}).want(t, http.StatusOK).into(t, &out)
	if d := cmp.Diff(query.Decision{Decision: "unknown", Cause: "stale"}, out, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}
