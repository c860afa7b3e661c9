package workload

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Config says which events to make.
type Config struct {
	// Seed makes runs differ. Zero is a seed like any other.
	Seed uint64
	// Tenant and Environment of every event. Default "acme" and "dev".
	Tenant, Environment string
	// Subjects is how many people there are. Default 100,000, at least 2.
	Subjects uint64
	// Start is the time of the first event. Default: an hour ago.
	Start time.Time
	// Step is the time between two events. Default 1 ms.
	Step time.Duration
}

func (c Config) withDefaults() Config {
	if c.Tenant == "" {
		c.Tenant = "acme"
	}
	if c.Environment == "" {
		c.Environment = "dev"
	}
	if c.Subjects == 0 {
		c.Subjects = 100_000
	}
	if c.Start.IsZero() {
		c.Start = time.Now().Add(-time.Hour)
	}
	if c.Step == 0 {
		c.Step = time.Millisecond
	}
	return c
}

// Issuer is the iss of every event.
const Issuer = "https://id.example.com"

// lifetime of a token.
const lifetime = time.Hour

// Generator makes one event after another.
type Generator struct {
	cfg    Config
	rnd    *rand.Rand
	people *rand.Zipf
	agents *rand.Zipf
	known  []person // by rank; zero until the first event
	n      int64
}

// New makes a generator.
func New(cfg Config) *Generator {
	cfg = cfg.withDefaults()
	rnd := rand.New(rand.NewPCG(cfg.Seed, 0x7265736369_6e64))
	return &Generator{
		cfg: cfg, rnd: rnd, known: make([]person, cfg.Subjects),
		people: rand.NewZipf(rnd, 1.1, 8, cfg.Subjects-1),
		agents: rand.NewZipf(rnd, 1.2, 2, uint64(len(userAgents)-1)),
	}
}

// Next makes the next event.
func (g *Generator) Next() events.Event {
	g.n++
	at := g.cfg.Start.Add(time.Duration(g.n) * g.cfg.Step).UTC().Truncate(time.Microsecond)
	kind, rank := g.kind(), g.people.Uint64()
	p := g.person(rank, at)
	if kind == events.TokenVerified && at.Unix() >= p.expires() {
		kind = events.TokenRefreshed
	}
	g.happen(p, kind, at)
	ev := events.Event{
		ID: g.uuid(at).String(), Source: p.source(kind), Type: kind, Time: at,
		Tenant: g.cfg.Tenant, Environment: g.cfg.Environment,
	}
	ev.Data = g.data(p, kind)
	return ev
}

// Batch makes n events.
func (g *Generator) Batch(n int) []events.Event {
	out := make([]events.Event, n)
	for i := range out {
		out[i] = g.Next()
	}
	return out
}

func (g *Generator) kind() events.Type {
	switch p := g.rnd.IntN(100); {
	case p < 15:
		return events.TokenIssued
	case p < 20:
		return events.TokenRefreshed
	case p < 97:
		return events.TokenVerified
	default:
		return events.TokenRejected
	}
}

// data is what is said of p's token: all of it where it is issued, and what
// tells whose and which it was after that.
func (g *Generator) data(p *person, kind events.Type) events.Data {
	d := events.Data{
		Issuer: Issuer, Subject: p.name, TokenID: p.token.String(), SessionID: p.session.String(),
		ClientID: clients[p.client], IP: p.address(), UserAgent: userAgents[p.agent],
	}
	switch kind {
	case events.TokenIssued, events.TokenRefreshed:
		d.Audience, d.Scope = audience, scopes[p.client%len(scopes)]
		d.IssuedAt, d.Expires = events.Timestamp(p.issued*1000), events.Timestamp(p.expires()*1000)
		d.KeyID, d.Algorithm = "2026-11", "ES256"
		if kind == events.TokenIssued && p.rank%3 == 0 {
			d.Personal = map[string]any{"email": p.name + "@example.com", "locale": "en-GB"}
		}
	case events.TokenVerified:
		d.View = uint64(1 + g.n/1000)
	case events.TokenRejected:
		d.Outcome, d.Reason, d.View = "failure", reasons[g.rnd.IntN(len(reasons))], uint64(1+g.n/1000)
	}
	return d
}

// uuid is a UUIDv7 of that time.
type uuid [16]byte

func (g *Generator) uuid(at time.Time) (u uuid) {
	binary.BigEndian.PutUint64(u[:8], uint64(at.UnixMilli())<<16|g.rnd.Uint64()&0x0fff|0x7000)
	binary.BigEndian.PutUint64(u[8:], g.rnd.Uint64()&^(3<<62)|2<<62)
	return u
}

// String is u as RFC 9562 writes it.
func (u uuid) String() string {
	var b [36]byte
	hex.Encode(b[:8], u[:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:], u[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}
