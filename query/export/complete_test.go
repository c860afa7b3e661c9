package export_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/store"
)

// crowd makes up what happens to some people of some tenants.
type crowd struct {
	*rand.Rand
	people []seal.Person
	n      int
}

func newCrowd(seed uint64) *crowd {
	c := &crowd{Rand: rand.New(rand.NewPCG(seed, 1))}
	for _, tenant := range []string{"acme", "globex"} {
		for _, subject := range []string{"alice@example.com", "bob@example.com", "carol@example.com"} {
			c.people = append(c.people, person(tenant, subject))
		}
	}
	return c
}

// events is n events of anybody, or of nobody.
func (c *crowd) events(n int) []events.Event {
	out := make([]events.Event, n)
	for i := range out {
		out[i] = c.event()
	}
	return out
}

// event is one of somebody or, of a session or token that may be theirs, one
// that does not say so.
func (c *crowd) event() events.Event {
	c.n++
	p := c.people[c.IntN(len(c.people))]
	kinds := []events.Type{
		events.TokenIssued, events.TokenRefreshed, events.TokenVerified, events.TokenRejected, events.TokenRevoked, events.SessionRevoked,
		events.GrantRevoked, events.SubjectRevoked, events.ConsentGranted, events.ConsentWithdrawn, events.ClientRevoked,
	}
	ev := events.Event{ID: fmt.Sprint("e", c.n), Type: kinds[c.IntN(len(kinds))], Tenant: p.Tenant, Data: events.Data{
		Issuer: p.Issuer, Subject: p.Subject, TokenID: fmt.Sprintf("jti-%s-%d", p.Subject, c.IntN(9)), SessionID: fmt.Sprintf("sid-%s-%d", p.Subject, c.IntN(3)),
		GrantID: fmt.Sprintf("grant-%s-%d", p.Subject, c.IntN(2)), ClientID: fmt.Sprint("client-", c.IntN(3)), Algorithm: "ES256", KeyID: "k",
		IP: fmt.Sprint("192.0.2.", c.IntN(200)), UserAgent: "Browser/1.0", Audience: []string{fmt.Sprint("https://api-", c.IntN(2))},
		Personal: map[string]any{"email": p.Subject, "n": c.Int64N(1 << 40), "list": []any{true, nil, 1.5, "x"}},
	}}
	if c.IntN(8) == 0 {
		ev.Data.SessionID = "sid-of-several" // what names another is theirs alone
	}
	switch ev.Type {
	case events.ConsentGranted, events.ConsentWithdrawn:
		ev.Data.Consent = &events.Consent{ID: fmt.Sprint("consent-", c.IntN(3)), Purposes: []string{"newsletter"}}
	case events.SubjectRevoked:
		ev.Data.Actor, ev.Data.Note = "admin@example.com", "they lost their phone"
	case events.ClientRevoked:
		ev.Data.Subject, ev.Data.TokenID, ev.Data.SessionID, ev.Data.GrantID = "", "", "", ""
	case events.TokenRevoked, events.SessionRevoked, events.GrantRevoked, events.TokenRejected:
		if c.IntN(2) == 0 {
			ev.Data.Subject = ""
		}
	}
	return ev
}

// readings is what officers opened: of one person, or of several without asking
// for them.
func (c *crowd) readings(h *house) (out []events.Event) {
	for i := range 12 {
		p := c.people[c.IntN(len(c.people))]
		ev := events.Event{ID: fmt.Sprint("read", c.n, "-", i), Source: "rescind:api", Type: events.AuditAccessed, Tenant: p.Tenant, Data: events.Data{
			Actor: "officer@example.com", Attributes: map[string]string{"purpose": "case 7", "route": "audit/search"},
		}}
		if c.IntN(2) == 0 {
			ev.Data.Issuer, ev.Data.Subject = p.Issuer, p.Subject
		} else {
			export.People(ev.Data.Attributes, c.some(h, p.Tenant))
		}
		out = append(out, ev)
	}
	return out
}

func (c *crowd) some(h *house, tenant string) (out []events.Ref) {
	for _, p := range c.people {
		if p.Tenant == tenant && c.IntN(2) == 0 {
			out = append(out, h.refOf(p))
		}
	}
	return out
}

// TestExportIsEverything: an export is what somebody finds who reads the whole
// log and holds every key: with several people, tenants and generations of the
// same person, and events that name a person only by their token.
func TestExportIsEverything(t *testing.T) {
	t.Parallel()
	h := build(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c, n := newCrowd(seed), 0
	publish := func(evs []events.Event) {
		h.kit.Publish(evs...)
		n += len(evs)
		h.logged(published(n))
	}
	for range 2 {
		publish(c.events(150))
		publish(c.readings(h))
		again := c.people[c.IntN(len(c.people))]
		h.forget(again)
		h.renew(again)
	}
	for _, p := range c.people {
		publish(plenty(p, 2)) // everybody is known
	}
	for i, p := range c.people {
		for _, kind := range []string{export.Access, export.Portability}[:1+i%3/2] { // what is asked for of the rest differs in nothing
			made := h.make(h.order(kind, p))
			log := h.logged(func(all []logged) bool { return uint64(len(all)) >= made.Position })
			want, got := h.scan(log[:made.Position], p, kind), h.read(made.Place)
			if d := cmp.Diff(want, got.facts(t)); d != "" {
				t.Errorf("%s of %v: (-the log +the export)\n%s", kind, p, d)
			}
			if made.Events != len(want) || len(want) < 2 || got.document.Position != made.Position {
				t.Errorf("%+v with %d events", made, len(want))
			}
		}
	}
}

// fact is what an export has to say of an event.
type fact struct {
	Relation, Type, ID, Client, Actor string
	At                                time.Time
	Personal                          string // as JSON
}

// scan finds what is to be in an export of a person by looking at every record.
func (h *house) scan(log []logged, p seal.Person, kind string) map[uint64]fact {
	h.t.Helper()
	person, out := h.refOf(p), map[uint64]fact{}
	named := map[events.Ref]bool{}
	for _, l := range log {
		if l.record.SubjectRef == person && l.record.Tenant == p.Tenant {
			named[l.record.TokenRef], named[l.record.SessionRef], named[l.record.GrantRef] = true, true, true
		}
	}
	delete(named, events.Ref{})
	for _, l := range log {
		if relation := relationOf(l.record, p.Tenant, person, named, kind); relation != "" {
			out[l.index] = h.fact(l, relation, kind)
		}
	}
	return out
}

func relationOf(r *events.Record, tenant string, person events.Ref, named map[events.Ref]bool, kind string) string {
	provided := []events.Type{events.TokenIssued, events.TokenRefreshed, events.TokenVerified, events.TokenRejected, events.ConsentGranted, events.ConsentWithdrawn}
	people := map[string]string{}
	export.People(people, []events.Ref{person})
	switch {
	case r.Tenant != tenant:
		return ""
	case kind == export.Portability:
		if r.SubjectRef == person && slices.Contains(provided, r.Type) {
			return "you"
		}
	case r.SubjectRef == person:
		return "you"
	case !r.SubjectRef.IsZero():
		return ""
	case named[r.TokenRef] || named[r.SessionRef] || named[r.GrantRef]:
		return "token"
	case r.Type == events.AuditAccessed && containsWord(r.Attributes["people"], people["people"]):
		return "reading"
	}
	return ""
}

func (h *house) fact(l logged, relation, kind string) fact {
	h.t.Helper()
	r := l.record
	f := fact{Relation: relation, Type: r.Type.Name(), ID: r.ID, Client: r.Client, At: time.UnixMicro(r.Time).UTC(), Personal: "{}"}
	if r.Actor != "" && kind == export.Access {
		f.Actor = "staff or issuer"
		if strings.HasPrefix(r.Actor, "rescind:") {
			f.Actor = "service"
		}
	}
	if len(l.sealed) == 0 || relation == "reading" {
		return f
	}
	plain, err := h.kit.Keys.Open(h.t.Context(), seal.OpenRequest{
		Tenant: r.Tenant, Source: r.Source, ID: r.ID, Ref: r.SubjectRef, Generation: r.DataKey, Sealed: l.sealed, Hash: r.PayloadHash,
	})
	h.check(err)
	personal, err := events.UnmarshalPersonal(plain)
	h.check(err)
	b, err := json.Marshal(personal)
	h.check(err)
	f.Personal = canonical(h.t, b)
	return f
}

// canonical is JSON as maps write it.
func canonical(t testing.TB, b []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// facts is what an export says.
func (u unpacked) facts(t testing.TB) map[uint64]fact {
	t.Helper()
	out := map[uint64]fact{}
	for index, it := range u.items {
		at, err := time.Parse(time.RFC3339, it.text("time"))
		if err != nil {
			t.Fatal(err)
		}
		f := fact{Relation: it.text("relation"), Type: it.text("type"), ID: it.text("id"), Client: it.text("client_id"), Actor: it.text("actor"), At: at}
		personal := map[string]any{}
		for _, name := range []string{"sub", "jti", "sid", "grant_id", "ip", "user_agent", "note", "personal"} {
			if v, there := it[name]; there {
				personal[name] = v
			}
		}
		b, err := json.Marshal(personal)
		if err != nil {
			t.Fatal(err)
		}
		f.Personal = string(b)
		out[index] = f
	}
	return out
}

// TestArchiveThatStandsStill delays its own exports, and ends with an error that says
// so: behind them wait others.
func TestArchiveThatStandsStill(t *testing.T) {
	t.Parallel()
	h := build(t)
	alice := person("acme", "alice@example.com")
	h.meet(alice, 1)
	h.standStill()
	h.kit.Publish(plenty(alice, 2)[1:]...)
	h.logged(published(2))
	h.cfg.Archive.(*store.Archive).Patience = 100 * time.Millisecond
	office, err := export.New(h.cfg)
	h.check(err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := office.Make(ctx, h.order(export.Access, alice)); ctx.Err() != nil || !errors.Is(err, export.ErrBehind) || !strings.Contains(err.Error(), "shard=0") {
		t.Errorf("gave up by itself: %t; %v", ctx.Err() == nil, err)
	}
}
