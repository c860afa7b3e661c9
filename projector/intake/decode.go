package intake

import (
	"context"
	"errors"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/projector/controls"
)

// candidate is one event on its way through the steps.
type candidate struct {
	from    *arrival
	event   events.Event
	raw     []byte
	refusal *events.Refusal // why it is not accepted
	over    bool            // a duplicate, or held: nothing more is done with it

	tenant *tenantKeys
	key    seal.SubjectKey // of the person that the event names, or the tenant's
	ref    events.Ref
	digest digest
	record *events.Record
	item   events.Item
	leaf   events.Hash
}

// live reports whether c may still become a record.
func (c *candidate) live() bool { return c.refusal == nil && !c.over }

// drop ends c as a duplicate.
func (c *candidate) drop() {
	c.over = true
	c.from.waiting--
}

// hold ends c for now: its message is not acknowledged and comes again.
func (c *candidate) hold() {
	c.over, c.from.held = true, true
}

// refuse ends c for good.
func (c *candidate) refuse(reason events.Reason, detail string) {
	c.refusal = &events.Refusal{ID: c.event.ID, Source: c.event.Source, Reason: reason, Detail: detail}
}

func (c *candidate) defect() { c.refuse(events.ReasonDefect, "our code failed on this event") }

// decode is every event of the messages, in order, judged each for itself.
func (w *writer) decode(arrivals []*arrival, now time.Time) []*candidate {
	each := make([][]candidate, len(arrivals))
	parallel(len(arrivals), 1, func(i int) { each[i] = w.open(arrivals[i], now) })
	var out []*candidate
	for i, a := range arrivals {
		a.waiting = len(each[i])
		for k := range each[i] {
			out = append(out, &each[i][k])
		}
	}
	return out
}

// open is the events of one message.
func (w *writer) open(a *arrival, now time.Time) []candidate {
	decoded, refusal := w.parts(&a.Message)
	if refusal != nil {
		return []candidate{{from: a, raw: a.Message.Body, refusal: refusal}}
	}
	out := make([]candidate, len(decoded))
	for i, d := range decoded {
		c := &out[i]
		*c = candidate{from: a, event: d.Event, raw: d.Raw, refusal: d.Refusal}
		if c.refusal == nil && !w.attempt("validate", func() { w.validate(c, now) }) {
			c.defect()
		}
	}
	return out
}

func (w *writer) validate(c *candidate, now time.Time) {
	c.refusal = w.cfg.Policy.Validate(&c.event, now)
	if c.refusal == nil && c.event.Source == controls.Source {
		c.refuse(events.ReasonReserved, "source "+controls.Source+" is our own")
	}
}

// parts decodes a message, or refuses it as a whole.
func (w *writer) parts(m *events.Message) (out []events.Decoded, refusal *events.Refusal) {
	if m.Tenant == "" || m.Type == "" {
		return nil, &events.Refusal{Reason: events.ReasonMismatch, Detail: "the subject names no tenant and type"}
	}
	var err error
	if !w.attempt("decode", func() { out, err = w.in.decode(*m) }) {
		return w.partsApart(m), nil
	}
	if err != nil && !errors.As(err, &refusal) {
		refusal = &events.Refusal{Reason: events.ReasonDefect, Detail: "our code could not decode this message"}
	}
	return out, refusal
}

// partsApart decodes a message on which decoding panicked: where it is a
// batch, each event by itself, so that only the one is a defect.
func (w *writer) partsApart(m *events.Message) []events.Decoded {
	parts := events.Split(*m)
	out := make([]events.Decoded, len(parts))
	for i, part := range parts {
		out[i] = w.partApart(part)
	}
	return out
}

func (w *writer) partApart(m events.Message) events.Decoded {
	out := events.Decoded{Raw: m.Body, Refusal: &events.Refusal{Reason: events.ReasonDefect, Detail: "our code failed on this event"}}
	w.attempt("decode", func() {
		if one, err := w.in.decode(m); err == nil && len(one) == 1 {
			out = one[0]
		}
	})
	return out
}

// identify gives each event its identity, and the digest that tells it from
// another of the same. Events of a tenant whose keys cannot be had are held.
func (w *writer) identify(ctx context.Context, candidates []*candidate) {
	tenants := w.tenants(ctx, candidates)
	parallel(len(candidates), smallShare, func(i int) {
		c := candidates[i]
		if !c.live() {
			return
		}
		if c.tenant = tenants[c.event.Tenant]; c.tenant == nil {
			return
		}
		var canonical []byte
		var err error
		if !w.attempt("canonical", func() { canonical, err = c.event.Canonical() }) || err != nil {
			c.defect()
			return
		}
		c.ref = events.EventRef(c.event.Tenant, c.event.Source, c.event.ID)
		c.digest = c.tenant.Digest(canonical)
	})
	for _, c := range candidates {
		if c.live() && c.tenant == nil {
			c.hold()
		}
	}
}

// compare finds the events that were logged before, or are here twice.
func (w *writer) compare(candidates []*candidate) {
	here := make(map[events.Ref]digest, len(candidates))
	for _, c := range candidates {
		if !c.live() {
			continue
		}
		first, found := w.window.find(c.ref)
		if !found {
			first, found = here[c.ref]
		}
		switch {
		case !found:
			here[c.ref] = c.digest
		case first == c.digest:
			c.drop()
			w.count(func(s *Stats) { s.Duplicates++ })
		default:
			c.refuse(events.ReasonConflict, "an event of this tenant, source and id was logged with other content")
		}
	}
}
