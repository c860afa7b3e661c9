package guard

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// report tells of one request, which was decided at that time or right after.
// The claims of a token are told only where its signature was good: others are
// whatever somebody wrote.
func (g *Guard) report(at time.Time, call Call, t *Token, refusal *Refusal) {
	switch {
	case g.cfg.Report == nil:
		return
	case t == nil:
		g.reportUnverified(at, call, refusal)
		return
	case refusal == nil && !g.sampled(t):
		g.skipped.Add(1)
		return
	}
	ev := g.event(at, call, t, refusal)
	if g.cfg.VerifiedOneIn > 1 && refusal == nil && t.Decision.State == revocation.Active {
		ev.Data.Attributes["one_in"] = strconv.Itoa(g.cfg.VerifiedOneIn)
	}
	g.cfg.Report.Report(ev)
}

// reportCut tells of a stream that was cut.
func (g *Guard) reportCut(at time.Time, t *Token, refusal *Refusal) {
	if g.cfg.Report == nil {
		return
	}
	told := *t
	told.Decision = refusal.Decision
	ev := g.event(at, t.call, &told, refusal)
	if ev.Data.Attributes == nil {
		ev.Data.Attributes = make(map[string]string)
	}
	ev.Data.Attributes["stream"] = "cut"
	g.cfg.Report.Report(ev)
}

func (g *Guard) event(at time.Time, call Call, t *Token, refusal *Refusal) events.Event {
	ev := events.Event{Type: events.TokenVerified, Time: at, Tenant: g.cfg.Tenant}
	ev.Data.Outcome = "success"
	if refusal != nil {
		ev.Type, ev.Data.Outcome, ev.Data.Reason = events.TokenRejected, "failure", string(refusal.Reason)
	}
	if t != nil {
		describe(&ev, t)
	}
	if g.cfg.ReportClient {
		ev.Data.IP, ev.Data.UserAgent = call.Address, call.UserAgent
	}
	return ev
}

// sampled reports whether that t passed is to be told. It is the same for every
// check of one token, by every verifier with the same share: what is told of a
// token is all of it.
func (g *Guard) sampled(t *Token) bool {
	n := uint64(g.cfg.VerifiedOneIn)
	if n == 1 || t.Decision.State != revocation.Active {
		return true
	}
	c := &t.Claims
	sum := sha256.Sum256([]byte(c.Issuer + "\x00" + cmp.Or(c.TokenID, c.Subject+"\x00"+c.ClientID)))
	return binary.BigEndian.Uint64(sum[:])%n == 0
}

// Skipped is how often a token passed that was not told of, because of
// VerifiedOneIn.
func (g *Guard) Skipped() uint64 { return g.skipped.Load() }

func describe(ev *events.Event, t *Token) {
	c := &t.Claims
	ev.Data.Issuer, ev.Data.Subject, ev.Data.TokenID, ev.Data.SessionID = c.Issuer, c.Subject, c.TokenID, c.SessionID
	ev.Data.ClientID, ev.Data.GrantID, ev.Data.Scope, ev.Data.Audience = c.ClientID, c.GrantID, c.Scope, c.Audience
	ev.Data.IssuedAt, ev.Data.Expires, ev.Data.NotBefore = c.IssuedAt, c.Expires, c.NotBefore
	ev.Data.KeyID, ev.Data.Algorithm = t.KeyID, t.Algorithm
	if t.Tenant != "" {
		ev.Tenant = t.Tenant
	}
	if t.Decision.State == "" {
		return
	}
	ev.Data.View = t.Decision.Position
	ev.Data.Attributes = map[string]string{"decision": string(t.Decision.State), "age_ms": strconv.FormatInt(t.Decision.Age.Milliseconds(), 10)}
	if t.Decision.State == revocation.Unknown {
		ev.Data.Attributes["cause"] = string(t.Decision.Cause)
	}
}
