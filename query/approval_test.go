package query_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/history"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/query/proposal"
	"github.com/rescindhq/rescind/revocation"
)

// TestWideRevocationsNeedASecondPerson: only wide scopes, only above the limit,
// only where there is one; and one that cannot be counted is made, and says so.
func TestWideRevocationsNeedASecondPerson(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{
		"client": `"scope":"client","iss":"i","client_id":"c"`, "key": `"scope":"key","iss":"i","kid":"k"`, "issuer": `"scope":"issuer","iss":"i"`, "tenant": `"scope":"tenant"`,
		"token": `"scope":"token","iss":"i","jti":"j"`, "session": `"scope":"session","iss":"i","sid":"s"`, "subject": `"scope":"subject","iss":"i","sub":"u"`, "grant": `"scope":"grant","iss":"i","grant_id":"g"`,
	}
	for scope, body := range bodies {
		isWide := scope == "client" || scope == "key" || scope == "issuer" || scope == "tenant"
		for _, c := range []struct {
			limit, reach uint64
			err          error
			refused      bool
			says         string // attribute reach
		}{
			{1000, 1001, nil, true, ""}, {1000, 1000, nil, false, "1000"}, {0, 1 << 40, nil, false, ""},
			{1000, 0, errors.New("the store is away"), false, "unknown"},
		} {
			p := &parts{position: 3, hits: query.Hits{Reach: c.reach}, hitsErr: c.err}
			cfg := p.config()
			cfg.ApprovalAbove = c.limit
			a := serve(t, cfg)
			got := a.call(a.token("issuer", "acme"), "POST", "/v1/revocations", `{"reason":"r",`+body+`}`)
			if c.refused && isWide {
				if got.want(t, http.StatusConflict).problem(t).Type != "urn:rescind:problem:approval-required" || len(p.published) != 0 {
					t.Errorf("%s %+v: %s", scope, c, got.body)
				}
				continue
			}
			got.want(t, http.StatusAccepted)
			says := c.says
			if !isWide {
				says = ""
			}
			if len(p.published) != 1 || p.published[0].Data.Attributes["reach"] != says {
				t.Errorf("%s %+v: %+v", scope, c, p.published)
			}
		}
	}
}

// TestEventsAreNoWayAroundTheSecondPerson: who is refused at POST /v1/revocations
// is refused at POST /v1/events, and who is not, is not.
func TestEventsAreNoWayAroundTheSecondPerson(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind      string
		limit     uint64
		err       error
		n, refuse int
	}{
		{"tenant", 1000, nil, 1, 1}, {"client", 1000, nil, 2, 2}, {"token", 1000, nil, 1, 0}, {"tenant", 5000, nil, 5, 0}, {"tenant", 5000, nil, 6, 1},
		{"key", 5000, nil, 1, 1}, {"tenant", 0, nil, 6, 0}, {"tenant", 1000, errors.New("the store is away"), 1, 0},
	} {
		p := &parts{position: 3, hits: query.Hits{Reach: 1001}, hitsErr: c.err}
		cfg := p.config()
		cfg.ApprovalAbove = c.limit
		a := serve(t, cfg)
		var batch []map[string]any
		for i := range c.n {
			ev := issued(fmt.Sprint(c.kind, i))
			ev["type"] = "dev.rescind." + c.kind + ".revoked.v1"
			data := map[string]any{"reason": "r"}
			switch c.kind {
			case "client":
				data["iss"], data["client_id"] = "i", "web"
			case "token":
				data["iss"], data["jti"] = "i", "j"
			case "key": // before that there are few, and all would be revoked
				data["iss"], data["kid"], data["issued_before"] = "i", "k", 1
			}
			ev["data"] = data
			batch = append(batch, ev)
		}
		var out query.EventsAccepted
		a.call(a.token("admin", "acme"), "POST", "/v1/events", batch, "Content-Type", events.ContentTypeBatch).want(t, http.StatusAccepted).into(t, &out)
		if len(out.Refused) != c.refuse || len(p.published) != c.n-c.refuse {
			t.Errorf("%+v: %+v", c, out)
		}
	}
}

// TestRevokingDoesNotWaitToCount: a store that does not answer delays a wide
// revocation by the time for counting and no more.
func TestRevokingDoesNotWaitToCount(t *testing.T) {
	t.Parallel()
	p := &parts{position: 3}
	cfg := p.config()
	cfg.ApprovalAbove, cfg.Reach, cfg.CountFor = 1, silent{p}, 50*time.Millisecond
	a := serve(t, cfg)
	began := time.Now()
	a.call(a.token("issuer", "acme"), "POST", "/v1/revocations", `{"reason":"r","scope":"tenant"}`).want(t, http.StatusAccepted)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	if len(p.published) != 1 || p.published[0].Data.Attributes["reach"] != "unknown" {
		t.Errorf("%+v", p.published)
	}
}

// TestPreviewSaysWhatIsRefusedAlready: of the real thing, before and after one of
// the tokens is revoked; and a store that cannot count that in time takes nothing
// else from the answer.
func TestPreviewSaysWhatIsRefusedAlready(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.threePeople()
	h.post("issuer", "/v1/revocations", map[string]any{"tenant": "acme", "scope": "token", "iss": "https://id.acme", "jti": "j-bob", "reason": "logout"}, http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme", "type": "token.revoked"}, 1)
	var out query.RevocationPreview
	h.post("issuer", "/v1/revocations/preview", map[string]any{"tenant": "acme", "scope": "client", "iss": "https://id.acme", "client_id": "web", "reason": "r"}, http.StatusOK, &out)
	if out.Tokens != 3 || out.AlreadyRevoked == nil || *out.AlreadyRevoked != 1 {
		t.Errorf("%+v", out)
	}

	p := &parts{hits: query.Hits{Tokens: 7}, refusedErr: context.DeadlineExceeded}
	a := serve(t, p.config())
	out = query.RevocationPreview{}
	a.call(a.token("issuer", "acme"), "POST", "/v1/revocations/preview", `{"reason":"r","scope":"tenant"}`).want(t, http.StatusOK).into(t, &out)
	if out.Tokens != 7 || out.AlreadyRevoked != nil {
		t.Errorf("%+v", out)
	}
}

// silent is a store that answers nothing.
type silent struct{ *parts }

func (silent) Reach(ctx context.Context, _ query.HitSearch, _ uint64) (uint64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// as is a token of role for another subject than the role's usual one.
func (a *api) as(subject, role string) string {
	a.t.Helper()
	raw, err := query.Mint(query.MintConfig{Key: a.key, KeyID: testKeyID, Issuer: testIssuer, Audience: testAudience, Subject: subject, Role: role, Tenants: []string{"acme"}, TTL: time.Minute})
	if err != nil {
		a.t.Fatal(err)
	}
	return raw
}

// rotation is a wide revocation that says all that one can say.
func rotation() map[string]any {
	starts := time.Now().Add(time.Hour).Unix()
	return map[string]any{
		"tenant": "acme", "scope": "client", "iss": "https://id.acme", "client_id": "web", "reason": "key_compromise", "ticket": "SEC-7",
		"note": "seen at bob's", "issued_before": starts - 60, "starts": starts, "not_after": starts + 3600, "exp": starts + 7200,
	}
}

// otherThan are the bodies that differ from body in one member each, by it: in
// every member that a body can have.
func otherThan(t *testing.T, body map[string]any) map[string]map[string]any {
	t.Helper()
	starts := body["starts"].(int64)
	changes := map[string]map[string]any{
		"tenant": {"tenant": "globex"}, "scope": {"scope": "issuer", "client_id": nil}, "iss": {"iss": "https://id.example"}, "client_id": {"client_id": "other"},
		"kid": {"scope": "key", "client_id": nil, "kid": "k", "issued_before": nil}, "jti": {"jti": "j"}, "sid": {"sid": "s"}, "sub": {"sub": "bob"}, "grant_id": {"grant_id": "g"},
		"exp": {"exp": nil}, "issued_before": {"issued_before": nil}, "starts": {"starts": starts + 1}, "not_after": {"not_after": nil},
		"reason": {"reason": "logout"}, "ticket": {"ticket": nil}, "note": {"note": "another"},
	}
	members := reflect.TypeFor[query.RevocationRequest]()
	for i := range members.NumField() {
		name, _, _ := strings.Cut(members.Field(i).Tag.Get("json"), ",")
		if changes[name] == nil && name != "approval" {
			t.Errorf("nothing tries that an approval binds %s", name)
		}
	}
	out := map[string]map[string]any{}
	for name, change := range changes {
		other := maps.Clone(body)
		maps.Copy(other, change)
		maps.DeleteFunc(other, func(_ string, v any) bool { return v == nil })
		out[name] = other
	}
	return out
}

// TestApproval is the whole way: refused, previewed, proposed, approved by
// somebody else, made once with exactly that body, seen on the log; and back.
func TestApproval(t *testing.T) {
	t.Parallel()
	h := build(t, func(c *query.Config) { c.ApprovalAbove, c.CountFor = 2, patience })
	h.threePeople()
	body := rotation()
	var preview query.RevocationPreview
	h.post("issuer", "/v1/revocations/preview", body, http.StatusOK, &preview)
	if preview.AlreadyRevoked == nil || *preview.AlreadyRevoked != 0 {
		t.Errorf("already revoked: %v", preview.AlreadyRevoked)
	}
	if preview.Tokens != 3 || preview.Subjects != 3 || preview.Sessions != 1 || preview.Clients != 1 || preview.Reach != 3 || !preview.ApprovalRequired || preview.Limit != 2 || preview.Position == 0 {
		t.Fatalf("%+v", preview)
	}
	h.post("issuer", "/v1/revocations", body, http.StatusConflict, nil)

	var p query.ProposalView
	h.post("issuer", "/v1/revocations/proposals", body, http.StatusCreated, &p)
	if p.State != "proposed" || p.ProposedBy != "issuer-1" || *p.Reach != 3 {
		t.Fatalf("%+v", p)
	}
	path := "/v1/revocations/proposals/" + p.ID
	body["approval"] = p.ID
	h.post("issuer", "/v1/revocations", body, http.StatusConflict, nil) // not approved
	if got := h.call(h.as("Issuer-1", "approver"), "POST", path+"/approve", nil); got.want(t, http.StatusForbidden).problem(t).Type != "urn:rescind:problem:four-eyes" {
		t.Errorf("%s", got.body)
	}
	h.call(h.token("approver", "globex"), "POST", path+"/approve", nil).want(t, http.StatusNotFound)
	h.post("approver", path+"/approve", map[string]any{"body": strings.Repeat("0", 32)}, http.StatusConflict, nil)
	h.post("approver", path+"/approve", map[string]any{"reason": "checked", "body": p.Body}, http.StatusOK, &p)
	h.post("approver", path+"/approve", nil, http.StatusConflict, nil)
	if p.State != "approved" || p.DecidedBy != "approver-1" || p.Expires.IsZero() {
		t.Fatalf("%+v", p)
	}
	for member, other := range otherThan(t, body) {
		got := h.call(h.token("issuer", query.AllTenants), "POST", "/v1/revocations", other)
		if got.status != http.StatusConflict && got.status != http.StatusUnprocessableEntity || !strings.Contains(got.problem(t).Detail+got.problem(t).Member, member) && member != "tenant" {
			t.Errorf("approved with another %s: %d %s", member, got.status, got.body)
		}
	}
	var made query.Accepted
	h.post("issuer", "/v1/revocations", body, http.StatusAccepted, &made)
	if made.ID != p.ID || made.Position == nil {
		t.Fatalf("%+v", made)
	}
	h.post("issuer", "/v1/revocations", body, http.StatusConflict, nil)
	h.call(h.token("officer", "acme"), "GET", path, nil).want(t, http.StatusOK).into(t, &p)
	if p.State != "used" {
		t.Errorf("%+v", p)
	}
	h.isMade(body, made.ID)
	h.liftedByTwo(made.ID)
}

// liftedByTwo checks that one of those who decided about a revocation cannot take
// it back alone: it is proposed, approved by somebody else, and lifted once with
// exactly that.
func (h *house) liftedByTwo(id string) {
	h.t.Helper()
	path := "/v1/revocations/" + id + "/lift"
	lift := func(change map[string]any) map[string]any {
		body := map[string]any{"reason": "false alarm", "note": "carol's"}
		maps.Copy(body, change)
		return body
	}
	if got := h.call(h.token("issuer", query.AllTenants), "POST", path, lift(nil)); got.want(h.t, http.StatusConflict).problem(h.t).Type != "urn:rescind:problem:approval-required" {
		h.t.Errorf("%s", got.body)
	}
	var p query.ProposalView
	h.post("issuer", path, lift(map[string]any{"propose": true}), http.StatusCreated, &p)
	if p.Lifts != id || p.Scope != events.ScopeClient || p.ClientID != "web" || p.State != "proposed" {
		h.t.Errorf("%+v", p)
	}
	approval := lift(map[string]any{"approval": p.ID})
	h.post("issuer", path, approval, http.StatusConflict, nil)
	approve := "/v1/revocations/proposals/" + p.ID + "/approve"
	h.call(h.as("Issuer-1", "approver"), "POST", approve, nil).want(h.t, http.StatusForbidden)
	h.post("approver", approve, map[string]any{"body": p.Body}, http.StatusOK, nil)
	for member, change := range map[string]map[string]any{"reason": {"reason": "other"}, "ticket": {"ticket": "SEC-8"}, "note": {"note": "dave's"}} {
		got := h.call(h.token("issuer", query.AllTenants), "POST", path, lift(map[string]any{"approval": p.ID, member: change[member]})).want(h.t, http.StatusConflict)
		if !strings.Contains(got.problem(h.t).Detail, member) {
			h.t.Errorf("approved with another %s: %s", member, got.body)
		}
	}
	h.post("issuer", "/v1/revocations", map[string]any{"tenant": "acme", "scope": "client", "iss": "https://id.acme", "client_id": "web", "reason": "false alarm", "note": "carol's", "approval": p.ID}, http.StatusConflict, nil)
	h.post("issuer", path, approval, http.StatusAccepted, nil)
	h.post("issuer", path, approval, http.StatusConflict, nil)
	h.call(h.token("officer", "acme"), "GET", "/v1/revocations/proposals/"+p.ID, nil).want(h.t, http.StatusOK).into(h.t, &p)
	if p.State != "used" {
		h.t.Errorf("%+v", p)
	}
	var one query.Accepted
	h.post("issuer", "/v1/revocations", map[string]any{"tenant": "acme", "scope": "token", "iss": "https://id.acme", "jti": "j-alice", "reason": "logout"}, http.StatusAccepted, &one)
	h.post("issuer", "/v1/revocations/"+one.ID+"/lift", lift(map[string]any{"propose": true}), http.StatusUnprocessableEntity, nil)
	h.post("issuer", "/v1/revocations/"+one.ID+"/lift", lift(nil), http.StatusAccepted, nil)
}

// threePeople has three of acme have a token of the client web.
func (h *house) threePeople() {
	h.t.Helper()
	for _, sub := range []string{"alice", "bob", "carol"} {
		ev := issued("j-" + sub)
		data := ev["data"].(map[string]any)
		data["sub"], data["client_id"] = sub, "web"
		h.post("issuer", "/v1/events", ev, http.StatusAccepted, nil)
	}
	h.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 3)
}

// isMade checks that the log has the revocation with exactly what body says.
func (h *house) isMade(body map[string]any, id string) {
	h.t.Helper()
	trail := h.search(map[string]any{"tenant": "acme", "type": []string{"revocation.proposed", "revocation.approved", "client.revoked"}, "open": true, "purpose": "test"}, 3)
	if len(trail.Events) != 3 || trail.Events[2].Attributes["approved_by"] != "approver-1" {
		h.t.Fatalf("%+v", trail.Events)
	}
	e := trail.Events[2]
	got := map[string]any{
		"tenant": e.Tenant, "scope": string(e.Revocation.Scope), "iss": e.Iss, "client_id": e.ClientID, "reason": e.Reason, "ticket": e.Ticket, "note": e.Personal.Note,
		"issued_before": int64(e.Revocation.IssuedBefore / 1000), "starts": int64(e.Revocation.Starts / 1000), "not_after": int64(e.Revocation.NotAfter / 1000),
		"exp": int64(e.Exp / 1000), "approval": e.ID,
	}
	if d := cmp.Diff(body, got); d != "" || e.ID != id {
		h.t.Error(d)
	}
}

// TestWhoApprovesSeesAllOfIt: every member of the body, the note only after
// that was recorded, and only where they may decide.
func TestWhoApprovesSeesAllOfIt(t *testing.T) {
	t.Parallel()
	h := build(t, func(c *query.Config) { c.ApprovalAbove, c.CountFor = 2, patience })
	h.threePeople()
	body := rotation()
	var p query.ProposalView
	h.post("issuer", "/v1/revocations/proposals", body, http.StatusCreated, &p)
	path := "/v1/revocations/proposals/" + p.ID
	for role, note := range map[string]string{"officer": "", "issuer": "", "admin": "", "approver": "seen at bob's"} {
		var raw map[string]any
		h.call(h.token(role, "acme"), "GET", path, nil).want(t, http.StatusOK).into(t, &raw)
		want := maps.Clone(body)
		if want["note"] = note; note == "" {
			delete(want, "note")
			want["note_missing"] = "not_opened"
		}
		for name, v := range want {
			if fmt.Sprint(v) != fmt.Sprint(number(raw[name])) {
				t.Errorf("%s sees %s as %v, not %v", role, name, raw[name], v)
			}
		}
		if note == "" && raw["note"] != nil {
			t.Errorf("%s sees the note", role)
		}
	}
	seen := h.search(map[string]any{"tenant": "acme", "type": "audit.accessed"}, 1).Events
	if len(seen) != 1 || seen[0].Actor != "approver-1" || seen[0].Attributes["proposal"] != p.ID {
		t.Errorf("%+v", seen)
	}
	var list query.Proposals
	h.call(h.token("approver", "acme"), "GET", "/v1/revocations/proposals", nil).want(t, http.StatusOK).into(t, &list)
	if got := list.Proposals[0]; got.Note != "" || got.NoteMissing != "not_opened" || got.NotAfter == 0 || got.Starts == 0 {
		t.Errorf("%+v", got)
	}
}

// appears waits until something is there.
func (h *house) appears(path string) {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for h.call(h.token("officer", "acme"), "GET", path, nil).status != http.StatusOK {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s is not there", path)
		}
		<-tick.C
	}
}

// number is v, of JSON, as the whole number that it is, if it is one.
func number(v any) any {
	if f, ok := v.(float64); ok {
		return int64(f)
	}
	return v
}

// TestWhatIsShownIsWhatIsApproved: a proposal whose digest is of anything else
// than what it shows, its note too, cannot be approved, only denied.
func TestWhatIsShownIsWhatIsApproved(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.threePeople()
	var p query.ProposalView
	h.post("issuer", "/v1/revocations/proposals", rotation(), http.StatusCreated, &p)
	for _, note := range []string{"seen at bob's", "another"} {
		ev := events.Event{ID: "forged " + note, Source: proposal.Source, Type: events.RevocationProposed, Time: time.Now(), Tenant: "acme", Environment: lanetest.Environment,
			Data: events.Data{Actor: "eve", Note: note, Attributes: map[string]string{proposal.AttrProposal: "forged " + note, proposal.AttrBody: p.Body}}}
		terms := proposal.Terms{Scope: p.Scope, Issuer: p.Iss, Client: p.ClientID, Expires: p.Exp, Cutoff: p.IssuedBefore, Starts: p.Starts, NotAfter: p.NotAfter, Reason: p.Reason, Ticket: p.Ticket}
		if note == "seen at bob's" {
			terms.NotAfter = 0
		}
		terms.Describe(&ev.Data)
		if err := h.kit.Publisher.Publish(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
		path := "/v1/revocations/proposals/" + url.PathEscape(ev.ID)
		h.appears(path)
		h.post("approver", path+"/approve", nil, http.StatusConflict, nil)
		h.post("approver", path+"/deny", map[string]any{"reason": "forged"}, http.StatusOK, nil)
	}
}

// TestDenialIsOnTheLog: who denies, and why; and what was denied cannot be used.
func TestDenialIsOnTheLog(t *testing.T) {
	t.Parallel()
	h := build(t, func(c *query.Config) { c.ApprovalAbove, c.CountFor = 1, patience })
	h.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1)
	body := map[string]any{"tenant": "acme", "scope": "tenant", "reason": "key_compromise"}
	var p query.ProposalView
	h.post("issuer", "/v1/revocations/proposals", body, http.StatusCreated, &p)
	path := "/v1/revocations/proposals/" + p.ID
	h.post("approver", path+"/deny", nil, http.StatusUnprocessableEntity, nil)
	h.post("approver", path+"/deny", map[string]any{"reason": "too wide"}, http.StatusOK, &p)
	h.post("approver", path+"/approve", nil, http.StatusConflict, nil)
	body["approval"] = p.ID
	h.post("issuer", "/v1/revocations", body, http.StatusConflict, nil)
	e := h.search(map[string]any{"tenant": "acme", "type": "revocation.denied"}, 1).Events[0]
	if e.Actor != "approver-1" || e.Reason != "too wide" || p.State != "denied" {
		t.Errorf("%+v %+v", e, p)
	}
	var list query.Proposals
	h.call(h.token("approver", "acme"), "GET", "/v1/revocations/proposals", nil).want(t, http.StatusOK).into(t, &list)
	if len(list.Proposals) != 1 || list.Proposals[0].ID != p.ID {
		t.Errorf("%+v", list)
	}
	h.post("issuer", "/v1/revocations/proposals", map[string]any{"tenant": "acme", "scope": "token", "iss": "i", "jti": "j", "reason": "r"}, http.StatusUnprocessableEntity, nil)
	h.post("issuer", "/v1/revocations/proposals", map[string]any{"tenant": "never-seen", "scope": "tenant", "reason": "r"}, http.StatusUnprocessableEntity, nil)
}

// TestCheckAsOf: which moment is asked for, and what cannot be one.
func TestCheckAsOf(t *testing.T) {
	t.Parallel()
	p := &parts{decision: revocation.Decision{State: revocation.Revoked, Scope: events.ScopeToken, Position: 7}}
	a := serve(t, p.config())
	check := func(more string, status int) answer {
		return a.call(a.token("verifier", "acme"), "POST", "/v1/check", `{"claims":{"iss":"i","jti":"j"}`+more+`}`).want(t, status)
	}
	var d query.Decision
	check(`,"as_of_position":7`, http.StatusOK).into(t, &d)
	if *p.moment.Position != 7 || d.AsOf.IsZero() || d.Decision != "revoked" || d.Position != 7 || p.asked.Tenant != "acme" {
		t.Errorf("%+v %+v", p.moment, d)
	}
	check(`,"as_of_position":0`, http.StatusOK)
	check(`,"as_of":"2026-01-02T03:04:05Z"`, http.StatusOK)
	if d := cmp.Diff(history.Moment{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, p.moment); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{`,"as_of":"2026-01-02T03:04:05Z","as_of_position":7`, `,"as_of":"2096-01-02T03:04:05Z"`, `,"as_of":"1960-01-02T03:04:05Z"`} {
		check(bad, http.StatusUnprocessableEntity)
	}
	p.pastErr = history.ErrFuture
	check(`,"as_of_position":7`, http.StatusUnprocessableEntity)
}

// TestThePastIsAsked of the real thing: active before, revoked after, whatever
// is so now.
func TestThePastIsAsked(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.post("issuer", "/v1/events", event("id", "first", "rescindenv", lanetest.Environment), http.StatusAccepted, nil)
	h.search(map[string]any{"tenant": "acme"}, 1)
	var made, lifted query.Accepted
	h.post("issuer", "/v1/revocations", map[string]any{"tenant": "acme", "scope": "session", "iss": "https://id.acme", "sid": "s-1", "reason": "logout"}, http.StatusAccepted, &made)
	h.post("issuer", "/v1/revocations/"+made.ID+"/lift", map[string]any{"reason": "back"}, http.StatusAccepted, &lifted)
	for at, want := range map[uint64]string{*made.Position - 1: "active", *made.Position: "revoked", *lifted.Position: "active"} {
		var d query.Decision
		h.post("verifier", "/v1/check", map[string]any{"tenant": "acme", "claims": aliceClaims("j"), "as_of_position": at}, http.StatusOK, &d)
		if d.Decision != want || d.Position != at {
			t.Errorf("at %d: %+v, want %s", at, d, want)
		}
	}
}
