package workload

import (
	"encoding/hex"
	"fmt"
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
	// Subjects is how many people there are. Default 100,000.
	Subjects uint64
	// Start is the time of the first event. Default: an hour ago.
	Start time.Time
}

// Issuer is the iss of every event.
const Issuer = "https://id.example.com"

// Generator makes one event after another.
type Generator struct {
	cfg  Config
	rnd  *rand.Rand
	zipf *rand.Zipf
	n    uint64
}

// New makes a generator.
func New(cfg Config) *Generator {
	if cfg.Tenant == "" {
		cfg.Tenant = "acme"
	}
	if cfg.Environment == "" {
		cfg.Environment = "dev"
	}
	if cfg.Subjects == 0 {
		cfg.Subjects = 100_000
	}
	if cfg.Start.IsZero() {
		cfg.Start = time.Now().Add(-time.Hour)
	}
	rnd := rand.New(rand.NewPCG(cfg.Seed, 0x7265736369_6e64))
	return &Generator{cfg: cfg, rnd: rnd, zipf: rand.NewZipf(rnd, 1.1, 8, cfg.Subjects-1)}
}

// Next makes the next event.
func (g *Generator) Next() events.Event {
	g.n++
	at := g.cfg.Start.Add(time.Duration(g.n) * time.Millisecond).UTC().Truncate(time.Microsecond)
	ev := events.Event{
		ID: g.token(), Source: "https://id.example.com/pool/" + g.cfg.Tenant, Type: g.kind(), Time: at,
		Tenant: g.cfg.Tenant, Environment: g.cfg.Environment,
	}
	ev.Data = g.data(at)
	if ev.Type == events.TokenRejected {
		ev.Data.Outcome, ev.Data.Reason = "failure", "expired"
	}
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

func (g *Generator) data(at time.Time) events.Data {
	subject := g.zipf.Uint64()
	return events.Data{
		Issuer: Issuer, Subject: fmt.Sprintf("user-%07d@example.com", subject), TokenID: g.token(), SessionID: g.token(),
		ClientID: fmt.Sprintf("app-%02d", subject%20), Audience: events.Audience{"https://api.example.com"},
		Scope: "openid profile orders:read", IssuedAt: events.TimestampOf(at), Expires: events.TimestampOf(at.Add(15 * time.Minute)),
		KeyID: "2026-11", Algorithm: "ES256", Outcome: "success",
		IP:        fmt.Sprintf("198.51.%d.%d", subject>>8&255, subject&255),
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
	}
}

// token is a random 128-bit identifier in hex.
func (g *Generator) token() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(g.rnd.Uint32())
	}
	return hex.EncodeToString(b[:])
}
