package forgotten

import (
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
)

const (
	acme, globex = "acme", "globex"
	issuer       = "https://id.example.com"
	candidates   = 1_000_000
)

var (
	firstNames = []string{"ada", "ben", "cleo", "dov", "eva", "finn", "gwen", "hugo", "iris", "jon", "kim", "liv", "max", "nora", "olaf", "pia", "quin", "rosa", "sam", "tess"}
	lastNames  = []string{"adler", "bruun", "costa", "dorn", "evans", "fuchs", "grant", "holt", "ivens", "jansen", "kowal", "lund", "marsh", "novak", "olsen", "price", "quist", "rossi", "stone", "thorn"}
)

// candidate is an address as somebody guesses them: names, and a number.
func candidate(i int) string {
	n := i / len(firstNames) / len(lastNames)
	return fmt.Sprintf("%s.%s%d@mail.example", firstNames[i%len(firstNames)], lastNames[i/len(firstNames)%len(lastNames)], n)
}

// person is somebody who can be guessed.
type person struct{ tenant, subject, id, jti, sid string }

// people are n of a tenant, from all over the candidates.
func people(tenant string, n int) []person {
	out := make([]person, n)
	for i := range out {
		out[i] = person{tenant: tenant, subject: candidate((i + 1) * 7919 % candidates), id: fmt.Sprint(tenant, i)}
		out[i].jti, out[i].sid = "jti-"+out[i].id, "sid-"+out[i].id
	}
	return out
}

// events are what happens to p: a token is issued, and another for it.
func (p person) events() []events.Event {
	now := time.Now().UTC()
	about := events.Data{Issuer: issuer, Subject: p.subject, TokenID: p.jti, SessionID: p.sid, ClientID: "shop", IP: "192.0.2.10", UserAgent: "curl/8.9"}
	issued := about
	issued.Audience, issued.Scope, issued.KeyID, issued.Algorithm = events.Audience{"orders"}, "orders:read", "k-1", "ES256"
	issued.IssuedAt, issued.Expires = events.TimestampOf(now), events.TimestampOf(now.Add(time.Hour))
	issued.Personal = map[string]any{"email": p.subject}
	return []events.Event{
		{ID: "issued-" + p.id, Source: "//id.example.com", Type: events.TokenIssued, Time: now, Tenant: p.tenant, Environment: "dev", Data: issued},
		{ID: "refreshed-" + p.id, Source: "//id.example.com", Type: events.TokenRefreshed, Time: now, Tenant: p.tenant, Environment: "dev", Data: issued},
	}
}

// known is the one whom every value makes known. The values are what no other
// person has, and long enough not to be met by chance.
type known struct {
	person
	ip, agent, name, note string
}

func zebedee() known {
	return known{
		person: person{tenant: acme, subject: candidate(777_777), id: "known", jti: "7d1b5c0e-canary-jti-zq81", sid: "sid-canary-44f0c2ab91"},
		ip:     "2001:db8:7a6e:41c3::beef", agent: "Zebrowser/77.7 (canary; 9f81c)", name: "Zebedee Qüillfeather \"Zed\"", note: "canary & note <for> q77/81?",
	}
}

// values are all that may be found nowhere.
func (k known) values() []string {
	return []string{k.subject, k.jti, k.sid, k.ip, k.agent, k.name, k.note}
}

// events are what is said of k in one way in.
func (k known) events(way string) []events.Event {
	evs := k.person.events()
	for i := range evs {
		evs[i].ID += "-" + way
		d := &evs[i].Data
		d.IP, d.UserAgent, d.Note = k.ip, k.agent, k.note
		d.Personal = map[string]any{"email": k.subject, "name": k.name}
	}
	return evs
}
