package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/crash/checker"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

// pace is the pause of a publisher after each call: what is wanted is not
// pressure but that something is under way at every moment.
const pace = 25 * time.Millisecond

// Load is publishers at work: an issuer and a verifier with the SDK, and an
// operator of the API who revokes. They note what was acknowledged, and send
// what was not again until it is, under the same id.
type Load struct {
	site     *Site
	stop     context.CancelFunc
	workers  sync.WaitGroup
	follower *feed.Feed // a verifier that is there all the time

	mu        sync.Mutex
	published map[checker.Identity]bool // whether it was acknowledged
	answers   int                       // acknowledgements
	revoked   []revocation.Claims       // acknowledged revocations
	active    []revocation.Claims       // some tokens that nobody revoked
	repeats   int                       // acknowledged events that were sent again on purpose
	unsure    int                       // calls that ended without an answer
	refused   []string                  // what should not have been
}

// StartLoad publishes until Stop.
func StartLoad(s *Site, seed uint64) *Load {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	l := &Load{site: s, stop: stop, follower: s.Follow(), published: map[checker.Identity]bool{}}
	issues := func(t events.Type) bool { return t == events.TokenIssued || t == events.TokenRefreshed }
	l.publish(ctx, seed, natsd.Issuer, issues)
	l.publish(ctx, seed+1, natsd.Verifier, func(t events.Type) bool { return !issues(t) })
	l.workers.Go(func() { l.revoke(ctx, seed) })
	s.t.Cleanup(func() { l.stop(); l.workers.Wait() })
	return l
}

// publish starts one publisher, of the types that its role may.
func (l *Load) publish(ctx context.Context, seed uint64, role natsd.Role, permitted func(events.Type) bool) {
	l.site.t.Helper()
	pub, err := stream.NewPublisher(stream.PublisherConfig{Conn: l.site.Connect(role), Environment: environment, RetryFor: 2 * time.Second})
	l.site.must(err)
	p := publisher{
		Load: l, pub: pub, role: role, permitted: permitted, rnd: rand.New(rand.NewPCG(seed, uint64(len(role)))),
		gen: workload.New(workload.Config{Seed: seed, Subjects: 500, Environment: environment}),
	}
	l.workers.Go(func() {
		p.run(ctx)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		_ = pub.Close(closing) // everything has its outcome
	})
}

// publisher is one client with the SDK.
type publisher struct {
	*Load
	pub       *stream.Publisher
	role      natsd.Role
	permitted func(events.Type) bool
	rnd       *rand.Rand
	gen       *workload.Generator
	sent      []events.Event // some of those that were acknowledged
}

func (p *publisher) run(ctx context.Context) {
	for tick := time.NewTicker(pace); ctx.Err() == nil; {
		p.deliver(ctx, p.round())
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
		}
	}
}

// round is what is published in one call: new events, now and then one that
// was acknowledged before, now and then a revocation.
func (p *publisher) round() []events.Event {
	var evs []events.Event
	for want := 1 + p.rnd.IntN(12); len(evs) < want; {
		if ev := p.gen.Next(); p.permitted(ev.Type) {
			evs = append(evs, ev)
		}
	}
	if len(p.sent) > 0 && p.rnd.IntN(20) == 0 {
		evs = append(evs, p.sent[p.rnd.IntN(len(p.sent))])
		p.note(func() { p.repeats++ })
	}
	if p.role == natsd.Issuer && p.rnd.IntN(4) == 0 {
		evs = append(evs, revocationOf(p.gen.Next()))
	}
	return evs
}

// revocationOf revokes a token that no other event is about, in place of ev.
func revocationOf(ev events.Event) events.Event {
	ev.Type = events.TokenRevoked
	ev.Data = events.Data{Issuer: ev.Data.Issuer, TokenID: "revoked-" + ev.ID, Expires: events.TimestampOf(time.Now().Add(time.Hour)), Reason: "logout"}
	return ev
}

func identity(ev *events.Event) checker.Identity {
	return checker.Identity{Tenant: ev.Tenant, Source: ev.Source, ID: ev.ID}
}

// deliver publishes evs until every one is acknowledged, also once ctx has
// ended: what was begun is brought to an end.
func (p *publisher) deliver(ctx context.Context, evs []events.Event) {
	p.note(func() {
		for i := range evs {
			if id := identity(&evs[i]); !p.published[id] {
				p.published[id] = false
			}
		}
	})
	working, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*patience)
	defer cancel()
	for rest := evs; len(rest) > 0 && working.Err() == nil; {
		rest = p.attempt(working, rest)
	}
	if len(p.sent) < 1000 {
		p.sent = append(p.sent, evs[0])
	}
}

// attempt publishes evs once and is those to try again.
func (p *publisher) attempt(ctx context.Context, evs []events.Event) (rest []events.Event) {
	err := p.pub.Publish(ctx, evs...)
	failed := map[checker.Identity]bool{}
	if out := (*stream.NotAccepted)(nil); errors.As(err, &out) {
		for _, f := range out.Events {
			failed[identity(&f.Event)] = true
			if !errors.Is(f.Err, stream.ErrUnconfirmed) {
				p.note(func() { p.refused = append(p.refused, fmt.Sprintf("%s id=%s: %v", f.Event.Type, f.Event.ID, f.Err)) })
				continue
			}
			rest = append(rest, f.Event)
		}
	}
	p.note(func() {
		p.unsure += min(1, len(rest))
		for i := range evs {
			if !failed[identity(&evs[i])] {
				p.acknowledged(&evs[i])
			}
		}
	})
	return rest
}

// acknowledged notes an event that the intake has; the mutex is held.
func (l *Load) acknowledged(ev *events.Event) {
	l.published[identity(ev)] = true
	l.answers++
	claims := revocation.Claims{Tenant: ev.Tenant, Issuer: ev.Data.Issuer, TokenID: ev.Data.TokenID}
	switch {
	case ev.Type == events.TokenRevoked:
		l.revoked = append(l.revoked, claims)
	case len(l.active) < 5000:
		l.active = append(l.active, claims)
	}
}

// revoke revokes through the API, and notes what that said was done.
func (l *Load) revoke(ctx context.Context, seed uint64) {
	admin := l.site.Client("admin")
	tick := time.NewTicker(10 * pace)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		claims := revocation.Claims{Tenant: tenant, Issuer: workload.Issuer, TokenID: fmt.Sprintf("api-%x-%d", seed, n)}
		in := map[string]string{"tenant": tenant, "scope": "token", "iss": claims.Issuer, "jti": claims.TokenID, "reason": "logout"}
		err := admin.Call(ctx, "POST", "/v1/revocations", in, nil)
		l.note(func() {
			if err == nil {
				l.revoked = append(l.revoked, claims)
			} else {
				l.unsure++
			}
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (l *Load) note(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// Stop makes nothing new and returns once what was under way is acknowledged.
func (l *Load) Stop() {
	l.stop()
	l.workers.Wait()
}

// Acked is every event that was acknowledged.
func (l *Load) Acked() (ids []checker.Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, acked := range l.published {
		if acked {
			ids = append(ids, id)
		}
	}
	return ids
}

// Count is how many events were acknowledged so far.
func (l *Load) Count() int { return len(l.Acked()) }

// progress grows with each event that is acknowledged.
func (l *Load) progress() (n int) {
	l.note(func() { n = l.answers })
	return n
}

// More is nil once n more events are acknowledged than when it was called.
func (l *Load) More(n int) func() error {
	from := l.Count()
	return func() error {
		if now := l.Count(); now < from+n {
			return fmt.Errorf("%d of %d more events are acknowledged", now-from, n)
		}
		return nil
	}
}

// Unsure is nil once n more calls ended without an answer than when it was
// called.
func (l *Load) Unsure(n int) func() error {
	count := func() (n int) { l.note(func() { n = l.unsure }); return n }
	from := count()
	return func() error {
		if now := count(); now < from+n {
			return fmt.Errorf("%d of %d more calls ended without an answer", now-from, n)
		}
		return nil
	}
}

// Revoked is the tokens whose revocation was acknowledged so far.
func (l *Load) Revoked() (claims []revocation.Claims) {
	l.note(func() { claims = slices.Clone(l.revoked) })
	return claims
}

// Heard is what a load was told up to some moment.
type Heard struct {
	published map[checker.Identity]bool // whether it was acknowledged
	revoked   []revocation.Claims
}

// Heard is what the load was told so far.
func (l *Load) Heard() (h Heard) {
	l.note(func() { h = Heard{maps.Clone(l.published), slices.Clone(l.revoked)} })
	return h
}

// Also adds what another load published, as if none of it were acknowledged.
func (h *Heard) Also(l *Load) {
	l.note(func() {
		for id := range l.published {
			if _, known := h.published[id]; !known {
				h.published[id] = false
			}
		}
	})
}

// Join takes over what another load has heard.
func (l *Load) Join(h Heard) {
	l.note(func() {
		for id, acked := range h.published {
			l.published[id] = l.published[id] || acked
		}
		l.revoked = append(l.revoked, h.revoked...)
	})
}

// Published reports whether an event was sent by the load, or comes from
// Rescind itself: the API's revocations, findings, and starts of the writer.
func (l *Load) Published(id checker.Identity) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.published[id]
	return ok || id.Tenant != tenant || events.OwnSource(id.Source)
}
