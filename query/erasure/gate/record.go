package gate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/erasure/ledger"
)

// Source is the source and actor of what the gate says.
const Source = "rescind:gate"

// The controls that its findings name.
const (
	ControlReturned = "erased-returned"
	ControlRestored = "log-restored"
)

const clauses = "GDPR 17(1), GDPR 32(1)(b), SOC 2 CC7.2"

// What request.reapplied says was done.
const (
	Destroyed = "destroyed"
	Fenced    = "fenced" // a legal hold may keep a part
	Stated    = "stated" // nothing: the key was gone, and a log alone had lost that
)

// say records what was found. It comes before anything is destroyed: who is
// stopped then finds it again.
func (g *gate) say(ctx context.Context, s *survey, p *past, lost, unsaid []ledger.Person) error {
	keys, exports := map[string]int{}, map[string]int{}
	for _, f := range s.back {
		if err := g.sayAgain(ctx, s, f.Person); err != nil {
			return err
		}
		keys[f.Tenant]++
	}
	for _, who := range unsaid {
		if err := g.sayAgain(ctx, s, who); err != nil {
			return err
		}
	}
	for r := range s.holds {
		keys[r.Tenant]++
	}
	for r, erased := range s.exports {
		if erased {
			exports[r.Tenant]++
		}
	}
	if err := g.sayReturned(ctx, keys, "keys", "Keys of people who were erased came back from a backup, and are destroyed again"); err != nil {
		return err
	}
	if err := g.sayReturned(ctx, exports, "exports", "Exports of people who were erased are there, as from a backup, and are removed again"); err != nil {
		return err
	}
	for _, who := range lost {
		if err := g.publish(ctx, g.revocation(who)); err != nil {
			return err
		}
	}
	g.report.Revoked, g.report.Stated, g.report.Restored = len(lost), len(unsaid), len(p.restored)
	return g.sayRestored(ctx, p)
}

// sayReturned opens a finding for each tenant, of how many people something is back.
func (g *gate) sayReturned(ctx context.Context, tenants map[string]int, what, title string) error {
	for tenant, n := range tenants {
		ev := g.finding(tenant, newID(), ControlReturned, title)
		ev.Data.Attributes[what] = strconv.Itoa(n)
		if err := g.publish(ctx, ev); err != nil {
			return err
		}
	}
	return nil
}

func (g *gate) sayRestored(ctx context.Context, p *past) error {
	for shard, until := range p.restored {
		id := ledger.DigestOf(fmt.Sprint(ControlRestored, " ", shard, " ", until)).String()
		if p.found[id] {
			continue
		}
		ev := g.finding(g.TenantOf(shard), id, ControlRestored, "The log ends before what the erasure ledger has seen of it: it was restored from a copy, and revocations since then are lost")
		ev.Data.Attributes["shard"], ev.Data.Attributes["until"] = strconv.Itoa(int(shard)), strconv.FormatUint(until, 10)
		if err := g.publish(ctx, ev); err != nil {
			return err
		}
	}
	return nil
}

func (g *gate) publish(ctx context.Context, ev events.Event) error {
	if err := g.Publish(ctx, ev); err != nil {
		return fmt.Errorf("record %s: %w", ev.Type.Name(), err)
	}
	return nil
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (g *gate) event(t events.Type, id, source, tenant string, d events.Data) events.Event {
	d.Actor = Source
	return events.Event{
		ID: id, Source: source, Type: t, Time: g.Now().UTC().Truncate(time.Microsecond), Tenant: tenant, Environment: g.Environment, Data: d,
	}
}

func (g *gate) finding(tenant, id, control, title string) events.Event {
	return g.event(events.FindingOpened, id, Source, tenant, events.Data{Attributes: map[string]string{
		"finding": id, "control": control, "severity": "critical", "title": title, "clauses": clauses,
	}})
}

// sayAgain records that an erasure was undone, and what mark the key will leave:
// once it is destroyed nobody can say it.
func (g *gate) sayAgain(ctx context.Context, s *survey, p ledger.Person) error {
	f, back := s.back[referenceOf(p)]
	if !back {
		return g.publish(ctx, g.reapplied(p, Stated, ""))
	}
	mark, err := g.Keyring.KeyMark(ctx, p.Tenant, p.Ref)
	if err != nil && !errors.Is(err, seal.ErrDestroyed) && !errors.Is(err, seal.ErrSealed) && !errors.Is(err, seal.ErrEpoch) {
		return err
	}
	if f.Held {
		return g.publish(ctx, g.reapplied(p, Fenced, mark))
	}
	return g.publish(ctx, g.reapplied(p, Destroyed, mark))
}

func (g *gate) reapplied(p ledger.Person, did, mark string) events.Event {
	attributes := map[string]string{"request": p.Request.String(), "erased": p.At.UTC().Format(time.RFC3339), "did": did}
	if mark != "" {
		attributes["key_mark"] = mark
	}
	return g.event(events.RequestReapplied, newID(), erasure.Source, p.Tenant, events.Data{Attributes: attributes})
}

// revocation is the one of an erasure. It is the same whoever finds that it is
// lost.
func (g *gate) revocation(p ledger.Person) events.Event {
	v := p.Refused
	id := ledger.DigestOf(fmt.Sprintf("restored %s %s %d", p.Tenant, v.Hash, v.IssuedBefore)).String()
	ev := g.event(events.RevocationRestored, id, erasure.Source, p.Tenant, events.Data{
		Reason: erasure.Erasure, IssuedBefore: v.IssuedBefore, Expires: v.Expires, Attributes: map[string]string{
			"request": p.Request.String(), "hash": v.Hash.String(), "feed_key": strconv.FormatUint(uint64(v.FeedKey), 10),
		},
	})
	ev.Time = p.At // so that it does not depend on when
	return ev
}

// destroy destroys what is back, and looks that it is gone.
func (g *gate) destroy(ctx context.Context, s *survey) error {
	if len(s.back)+len(s.holds) == 0 {
		return nil
	}
	var gone []seal.Reference
	for r, f := range s.back {
		if err := g.destroyOne(ctx, r, f.Held); err != nil {
			return fmt.Errorf("a key that came back cannot be destroyed: %w", err)
		}
		if !f.Held {
			gone = append(gone, r)
		}
	}
	for r := range s.holds {
		if err := g.Keyring.DestroyHold(ctx, r.Tenant, r.Ref); err != nil {
			return fmt.Errorf("a key of a released hold, of callbacks or of notices came back and cannot be destroyed: %w", err)
		}
	}
	g.report.Destroyed, g.report.Fenced, g.report.Holds = len(gone), len(s.back)-len(gone), len(s.holds)
	left, err := g.Keyring.Returned(ctx, gone)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%d keys that came back are still there", len(left))
	}
	return g.Drop(ctx)
}

func (g *gate) destroyOne(ctx context.Context, r seal.Reference, held bool) error {
	if held {
		return g.Keyring.Fence(ctx, r.Tenant, r.Ref)
	}
	return g.Keyring.DestroyAgain(ctx, r)
}

// dropExports removes what was exported of people who were erased. Their keys are
// gone by now: it opens no more.
func (g *gate) dropExports(ctx context.Context, s *survey) error {
	for r, erased := range s.exports {
		if !erased {
			continue
		}
		if err := g.Exports.DropAll(ctx, r.Tenant, r.Ref); err != nil {
			return fmt.Errorf("an export that came back: %w", err)
		}
		g.report.Exports++
	}
	return nil
}
