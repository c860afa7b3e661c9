package query_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/revocation"
)

// event is a valid CloudEvent, changed by the pairs of member and value: a
// member of the envelope, or of data after a dot.
func event(pairs ...any) map[string]any {
	data := map[string]any{"iss": "https://id.acme", "jti": "j-1"}
	ev := map[string]any{
		"specversion": "1.0", "id": "e-1", "source": "test", "type": "dev.rescind.token.issued.v1",
		"time": time.Now().UTC().Format(time.RFC3339Nano), "rescindtenant": "acme", "data": data,
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, in := pairs[i].(string), ev
		if member, of := strings.CutPrefix(name, "."); of {
			name, in = member, data
		}
		if pairs[i+1] == nil {
			delete(in, name)
		} else {
			in[name] = pairs[i+1]
		}
	}
	return ev
}

const card = "4111 1111 1111 1111"

// TestPublish is one faulty event after the other, each beside a valid one
// that must get through.
func TestPublish(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		role   string
		ev     map[string]any
		reason events.Reason
	}{
		{"no id", "issuer", event("id", nil), events.ReasonMissing},
		{"no time", "issuer", event("time", nil), events.ReasonMissing},
		{"unknown type", "issuer", event("type", "dev.rescind.token.eaten.v1"), events.ReasonType},
		{"required member missing", "issuer", event(".jti", nil), events.ReasonMissing},
		{"wrong shape", "issuer", event(".iat", "yesterday"), events.ReasonSchema},
		{"a year ahead", "issuer", event("time", time.Now().AddDate(1, 0, 0).Format(time.RFC3339)), events.ReasonTime},
		{"foreign environment", "issuer", event("rescindenv", "prod"), events.ReasonEnvironment},
		{"raw token", "issuer", event(".note", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"), events.ReasonRawToken},
		{"card number", "issuer", event(".attributes", map[string]string{"a": card}), events.ReasonCardNumber},
		{"health claim", "issuer", event(".personal", map[string]any{"diagnosis": "x"}), events.ReasonHealth},
		{"reserved", "issuer", event("type", "dev.rescind.audit.accessed.v1", ".actor", "x", ".attributes", map[string]string{"purpose": "p"}), events.ReasonReserved},
		{"another tenant", "issuer", event("rescindtenant", "globex"), events.ReasonMismatch},
		{"two tenants", "issuer", event(".tenant", "globex"), events.ReasonMismatch},
		{"a verifier that issues", "verifier", event(), events.ReasonReserved},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := new(parts)
			a := serve(t, p.config())
			beside := event("id", "good", "type", "dev.rescind.token.verified.v1")
			got := a.call(a.token(c.role, "acme"), "POST", "/v1/events", []any{c.ev, beside}, "Content-Type", events.ContentTypeBatch).want(t, http.StatusAccepted)
			var out query.EventsAccepted
			got.into(t, &out)
			if out.Accepted != 1 || len(out.Refused) != 1 || out.Refused[0].Reason != c.reason {
				t.Fatalf("%s", got.body)
			}
			if len(p.published) != 1 || p.published[0].ID != "good" {
				t.Fatalf("published %v", p.published)
			}
			if len(p.quarantine) != 1 || p.quarantine[0].Reason != c.reason {
				t.Fatalf("quarantine %v", p.quarantine)
			}
			for _, secret := range []string{card, "eyJ"} {
				if strings.Contains(string(got.body), secret) {
					t.Errorf("the answer repeats %s", secret)
				}
			}
			if strings.Contains(fmt.Sprint(p.quarantine), "globex") {
				t.Error("kept under a tenant that the caller does not reach")
			}
		})
	}
}

func TestPublishModes(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	token := a.token("issuer", "acme")
	a.call(token, "POST", "/v1/events", event("id", "structured"), "Content-Type", events.ContentTypeEvent).want(t, http.StatusAccepted)
	a.call(token, "POST", "/v1/events", event("id", "plain json", "rescindtenant", nil)).want(t, http.StatusAccepted)
	a.call(token, "POST", "/v1/events", []any{event("id", "batch 1"), event("id", "batch 2")}, "Content-Type", events.ContentTypeBatch).want(t, http.StatusAccepted)
	a.call(token, "POST", "/v1/events", map[string]any{"iss": "i", "jti": "j"}, "ce-specversion", "1.0", "ce-id", "binary",
		"ce-source", "s", "ce-type", "dev.rescind.token.issued.v1", "ce-time", "2026-01-02T03:04:05Z").want(t, http.StatusAccepted)
	var ids []string
	for _, ev := range p.published {
		ids = append(ids, ev.ID)
		if ev.Tenant != "acme" || ev.Environment != "test" {
			t.Errorf("%s: tenant %q environment %q", ev.ID, ev.Tenant, ev.Environment)
		}
	}
	if d := cmp.Diff([]string{"structured", "plain json", "batch 1", "batch 2", "binary"}, ids); d != "" {
		t.Error(d)
	}
}

// TestPublishWhole is what is wrong with a message as a whole.
func TestPublishWhole(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	token := a.token("issuer", "acme")
	full := func(n int) string {
		const head, tail = `{"specversion":"1.0","pad":"`, `"}`
		return head + strings.Repeat("a", n-len(head)-len(tail)) + tail
	}
	if n := len(full(events.MaxMessageBytes)); n != events.MaxMessageBytes {
		t.Fatalf("%d bytes", n)
	}
	for _, c := range []struct {
		name, contentType, body, kind string
		status                        int
	}{
		{"not JSON", events.ContentTypeBatch, "nope", "body", 400},
		{"not JSON, one event", events.ContentTypeEvent, "nope", "body", 400},
		{"a batch that says it is one event", "application/json", "[{}]", "body", 400},
		{"empty", events.ContentTypeEvent, "", "body", 400},
		{"wrong content type", "text/plain", "{}", "content-type", 415},
		{"no content type", "", "{}", "content-type", 415},
		{"1 MiB", events.ContentTypeEvent, full(events.MaxMessageBytes), "", 202},
		{"1 MiB + 1", events.ContentTypeEvent, full(events.MaxMessageBytes + 1), "too-large", 413},
	} {
		got := a.call(token, "POST", "/v1/events", c.body, "Content-Type", c.contentType)
		if got.status != c.status || c.kind != "" && got.problem(t).Type != "urn:rescind:problem:"+c.kind {
			t.Errorf("%s: %d %.300s", c.name, got.status, got.body)
		}
	}
	many := strings.TrimSuffix(strings.Repeat("{},", 1001), ",")
	a.call(token, "POST", "/v1/events", "["+many+"]", "Content-Type", events.ContentTypeBatch).want(t, http.StatusUnprocessableEntity)
	if len(p.published) != 0 || len(p.quarantine) != 1 {
		t.Errorf("published %d, quarantined %d", len(p.published), len(p.quarantine))
	}
}

// TestBodyCutOff: what arrived of a body is not acted on, though it may parse.
func TestBodyCutOff(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"tenant":"acme","scope":"token","iss":"i","jti":"j","reason":"r"}`
	fmt.Fprintf(conn, "POST /v1/revocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		a.token("issuer", "acme"), len(body)+10, body)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
	if len(p.published) != 0 {
		t.Error("acted on half a body")
	}
}

// TestPublisherFails: nothing that is not durable is called accepted.
func TestPublisherFails(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"down":        errors.New("no responders at 10.0.0.7"),
		"unconfirmed": &stream.NotAccepted{Of: 1, Events: []stream.Failure{{Err: stream.ErrUnconfirmed}}},
	} {
		p := &parts{publishErr: err}
		a := serve(t, p.config())
		for path, body := range map[string]any{
			"/v1/events":      event(),
			"/v1/revocations": map[string]any{"tenant": "acme", "scope": "token", "iss": "i", "jti": "j", "reason": "r"},
		} {
			got := a.call(a.token("issuer", "acme"), "POST", path, body).want(t, http.StatusServiceUnavailable)
			if got.header.Get("Retry-After") == "" || strings.Contains(string(got.body), "10.0.0.7") {
				t.Errorf("%s %s: %v %s", name, path, got.header, got.body)
			}
		}
	}
	refused := &parts{publishErr: &stream.NotAccepted{Of: 1, Events: []stream.Failure{{Event: events.Event{ID: "e-1"}, Err: &events.Refusal{Reason: events.ReasonTooLarge, Detail: "d"}}}}}
	a := serve(t, refused.config())
	var out query.EventsAccepted
	a.call(a.token("issuer", "acme"), "POST", "/v1/events", event()).want(t, http.StatusAccepted).into(t, &out)
	if out.Accepted != 0 || len(out.Refused) != 1 || out.Refused[0].ID != "e-1" {
		t.Errorf("%+v", out)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body   string
		member string // that the problem names; "" where accepted
	}{
		{`"scope":"token","iss":"i","jti":"j"`, ""},
		{`"scope":"token","iss":"i","jti":"j","sid":"s","sub":"u","client_id":"c","exp":1893456000,"ticket":"T-1","note":"n"`, ""},
		{`"scope":"session","iss":"i","sid":"s","sub":"u"`, ""},
		{`"scope":"subject","iss":"i","sub":"u"`, ""},
		{`"scope":"client","iss":"i","client_id":"c","issued_before":1700000000.5`, ""},
		{`"scope":"key","iss":"i","kid":"k"`, ""},
		{`"scope":"issuer","iss":"i"`, ""},
		{`"scope":"tenant"`, ""},
		{`"scope":"grant","iss":"i","grant_id":"g"`, ""},
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
		`"scope":"subject","iss":"i","sub":"u"`:                   events.TimestampOf(now),
		`"scope":"tenant"`:                                        events.TimestampOf(now),
		`"scope":"subject","iss":"i","sub":"u","issued_before":5`: 5000,
		`"scope":"token","iss":"i","jti":"j"`:                     0,
		`"scope":"key","iss":"i","kid":"k"`:                       0,
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
	want := map[string]string{"revocation": r.Ref().String(), "hash": events.Ref{9}.String(), "scope": "token", "feed_key": "3"}
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
		if s.From.After(at) || s.To.Before(at) || len(s.Types) != 8 {
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
	for name, body := range map[string]any{
		"neither":           map[string]any{},
		"both":              map[string]any{"token": jws, "claims": map[string]any{"iss": "i"}},
		"not a JWT":         map[string]any{"token": "a.b"},
		"not base64":        map[string]any{"token": "*.*.*"},
		"without an issuer": map[string]any{"claims": map[string]any{"jti": "j"}},
	} {
		a.call(token, "POST", "/v1/check", body).want(t, http.StatusUnprocessableEntity)
		_ = name
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

// TestJSONBodies is what every route says of a body that cannot be read.
func TestJSONBodies(t *testing.T) {
	t.Parallel()
	a := serve(t, new(parts).config())
	token := a.token("issuer", "acme")
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		detail                  string
	}{
		{"empty", "application/json", "", 400, "empty"},
		{"not JSON", "application/json", "{nope", 400, "syntax error at byte 2"},
		{"not complete", "application/json", `{"a":`, 400, "not complete"},
		{"an array", "application/json", `[]`, 422, "want an object"},
		{"two values", "application/json", `{} {}`, 400, "follows"},
		{"wrong type", "application/json", `{"scope":"token","iss":"i","jti":["a"]}`, 422, "want a string"},
		{"NumericDate in words", "application/json", `{"scope":"token","iss":"i","jti":"j","exp":"soon"}`, 400, "wrong shape"},
		{"text", "text/plain", `{}`, 415, "application/json"},
		{"charset", "application/json; charset=utf-8", `{}`, 422, "scope"},
		{"too large", "application/json", `{"note":"` + strings.Repeat("a", events.MaxMessageBytes) + `"}`, 413, "1048576"},
	} {
		got := a.call(token, "POST", "/v1/revocations", c.body, "Content-Type", c.contentType)
		if got.status != c.status || !strings.Contains(string(got.body), c.detail) {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
	}
}

func TestRoutesThatAreNot(t *testing.T) {
	t.Parallel()
	a := serve(t, new(parts).config())
	for _, c := range []struct {
		method, path string
		status       int
		kind         string
	}{
		{"GET", "/v2/nothing", 404, "not-found"},
		{"DELETE", "/v1/events", 405, "method"},
		{"GET", "/v1/audit/events/minus", 400, "parameter"},
		{"GET", "/v1/findings?limit=x", 400, "parameter"},
		{"GET", "/v1/findings?limit=1001", 422, "invalid"},
		{"GET", "/v1/findings?state=eaten", 422, "invalid"},
		{"GET", "/v1/findings?cursor=AAAA", 400, "cursor"},
		{"GET", "/v1/findings?tenant=globex", 403, "tenant"},
		{"GET", "/v1/quarantine?tenant=globex", 403, "tenant"},
		{"GET", "/v1/requests?tenant=globex", 403, "tenant"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, a.url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+a.token("officer", "acme"))
		resp, err := a.web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != c.status || got != "application/problem+json" {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, resp.StatusCode, got, c.status)
		}
	}
}

// TestPanic: a fault of ours is a problem that shows nothing, and the next
// request is answered.
func TestPanic(t *testing.T) {
	t.Parallel()
	p := &parts{panics: true}
	a := serve(t, p.config())
	token := a.token("officer", "acme")
	got := a.call(token, "POST", "/v1/audit/search", map[string]any{}).want(t, http.StatusInternalServerError)
	if strings.Contains(string(got.body), "secret") || strings.Contains(a.logs.String(), "secret value") {
		t.Errorf("shows what it should not: %s", got.body)
	}
	if !strings.Contains(a.logs.String(), got.problem(t).Instance) {
		t.Error("the log does not know the request under its instance")
	}
	p.panics = false
	a.call(token, "POST", "/v1/audit/search", map[string]any{}).want(t, http.StatusOK)
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	ok := func(ok bool) func(context.Context) query.Condition {
		return func(context.Context) query.Condition { return query.Condition{OK: ok, Position: 5, Lag: 2} }
	}
	cfg := new(parts).config()
	cfg.Probes = []query.Probe{{Name: "nats", Required: true, Check: ok(true)}, {Name: "clickhouse", Check: ok(false)}}
	a := serve(t, cfg)
	var out query.Readiness
	a.call("", "GET", "/readyz", nil).want(t, http.StatusOK).into(t, &out)
	want := query.Readiness{Ready: true, Checks: []query.ReadinessCheck{
		{Name: "nats", Required: true, Ok: true, Position: 5, Lag: 2}, {Name: "clickhouse", Position: 5, Lag: 2},
	}}
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	a.call("", "GET", "/healthz", nil).want(t, http.StatusOK)
	a.call("", "GET", "/.well-known/jwks.json", nil).want(t, http.StatusOK)
	metrics := a.call("", "GET", "/metrics", nil).want(t, http.StatusOK)
	if !strings.Contains(string(metrics.body), `route="/readyz"`) {
		t.Errorf("%s", metrics.body)
	}

	cfg = new(parts).config()
	cfg.Probes = []query.Probe{{Name: "nats", Required: true, Check: ok(false)}}
	serve(t, cfg).call("", "GET", "/readyz", nil).want(t, http.StatusServiceUnavailable)
}

func TestLists(t *testing.T) {
	t.Parallel()
	p := new(parts)
	a := serve(t, p.config())
	var found query.Findings
	a.call(a.token("officer", query.AllTenants), "GET", "/v1/findings", nil).want(t, http.StatusOK).into(t, &found)
	if len(found.Findings) != 2 || found.Findings[0].Tenant != "globex" {
		t.Errorf("%+v", found)
	}
	a.call(a.token("officer", "acme"), "GET", "/v1/findings?limit=1", nil).want(t, http.StatusOK).into(t, &found)
	if len(found.Findings) != 1 || found.Findings[0].Tenant != "acme" || found.Next == "" {
		t.Errorf("%+v", found)
	}
	a.call(a.token("officer", "acme"), "GET", "/v1/findings?limit=1&cursor="+found.Next, nil).want(t, http.StatusOK)
	a.call(a.token("officer", "acme"), "GET", "/v1/findings?limit=1&state=open&cursor="+found.Next, nil).want(t, http.StatusBadRequest)

	for i := range 7 {
		tenant := []string{"acme", "globex", ""}[i%3]
		if err := p.Put(t.Context(), stream.Quarantined{Tenant: tenant, Reason: events.ReasonSchema, Detail: "d"}); err != nil {
			t.Fatal(err)
		}
	}
	for tenants, want := range map[string]int{"acme": 3, "globex": 2, query.AllTenants: 7} {
		var got query.Quarantine
		n, path := 0, "/v1/quarantine?limit=2"
		for pages := 0; pages < 10; pages++ {
			got = query.Quarantine{}
			a.call(a.token("officer", tenants), "GET", path, nil).want(t, http.StatusOK).into(t, &got)
			n += len(got.Quarantined)
			if got.Next == "" {
				break
			}
			path = "/v1/quarantine?limit=2&cursor=" + got.Next
		}
		if n != want {
			t.Errorf("%s: %d entries, want %d", tenants, n, want)
		}
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := query.New(query.Config{WaitFor: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"issuer and audience", "no key", "publisher", "lane", "events", "findings", "keyring", "decider", "requests", "quarantine", "environment", "wait_for"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("does not name %s: %v", name, err)
		}
	}
}
