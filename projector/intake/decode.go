package intake

import (
	"context"
	"errors"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/controls"
)

// candidate is one event on its way through the steps.
type candidate struct {
	in      *Intake
	from    *arrival
	event   *events.Event
	raw     []byte
	refusal *events.Refusal // why it is not accepted
	whole   bool            // nothing of it is missing in event
	over    bool            // nothing more is done with it: a duplicate, held, or in quarantine

	tenant *tenantKeys
	person int // place of the person's key among those of the chunk; -1 where it names none
	ref    events.Ref
	digest digest
	record events.Record
	item   events.Item
	leaf   events.Hash
}

// live reports whether c may still become a record.
func (c *candidate) live() bool { return c.refusal == nil && !c.over }

// now is the time that c is judged by, given that of our clock: where that is
// behind it must not make what was stored already one of the future.
func (c *candidate) now(ours time.Time) time.Time { return latest(ours, c.from.Received) }

// drop ends c as a duplicate.
func (c *candidate) drop() {
	c.over = true
	c.from.waiting--
}

// hold ends c for now: its message is not acknowledged and comes again.
func (c *candidate) hold() {
	c.over, c.from.held = true, true
}

// refuse ends c for good, unnamed where our code fails on naming it.
func (c *candidate) refuse(reason events.Reason, detail string) {
	c.refusal = &events.Refusal{Reason: reason, Detail: detail}
	_ = c.in.guard("name", func() error { // counted and logged there
		c.refusal = c.event.Refuse(reason, detail)
		return nil
	})
}

func (c *candidate) defect() { c.refuse(events.ReasonDefect, "our code failed on this event") }

// open decodes the messages of c, and judges and identifies each event for
// itself.
func (l *lane) open(ctx context.Context, c *chunk) {
	l.unseal(ctx, c)
	each := make([][]events.Decoded, len(c.arrivals))
	l.in.each("open", len(c.arrivals), 1, func(i int) {
		each[i] = l.parse(&c.arrivals[i])
	}, func(i int) { // parse guards what may fail on an event: this is for what nobody foresaw
		each[i] = refused(&c.arrivals[i].Message, unreadable())
	})
	c.enlist(l.in, each)
	l.step("validate", c, func(k *candidate) { l.validate(k, k.now(c.received)) })
	l.unlock(ctx, c)
	l.step("identify", c, identify)
}

// step does one step on every event that is still live, several at once.
func (l *lane) step(name string, c *chunk, do func(k *candidate)) {
	l.in.each(name, len(c.candidates), smallShare, func(i int) {
		if k := &c.candidates[i]; k.live() {
			do(k)
		}
	}, func(i int) { c.candidates[i].defect() })
}

// enlist makes the candidates of c, given the events of each message.
func (c *chunk) enlist(in *Intake, each [][]events.Decoded) {
	n := 0
	for _, decoded := range each {
		n += len(decoded)
	}
	c.candidates = make([]candidate, n)
	left := c.candidates
	for i, decoded := range each {
		a := &c.arrivals[i]
		a.waiting = len(decoded)
		for i := range decoded {
			k, d := &left[i], &decoded[i]
			k.in, k.from, k.event, k.raw, k.refusal, k.person, k.over = in, a, &d.Event, d.Raw, d.Refusal, -1, a.held
			k.whole = d.Refusal == nil
		}
		left = left[len(decoded):]
	}
}

// parse is the events of one message. One that is held stands for its own.
func (l *lane) parse(a *arrival) []events.Decoded {
	if a.held || a.refusal != nil {
		return refused(&a.Message, a.refusal)
	}
	decoded, refusal := l.parts(&a.inner)
	if refusal != nil {
		return refused(&a.inner, refusal)
	}
	return decoded
}

// refused stands for the events of a message that is refused as a whole.
func refused(m *events.Message, why *events.Refusal) []events.Decoded {
	return []events.Decoded{{Raw: m.Body, Refusal: why}}
}

func (l *lane) validate(k *candidate, now time.Time) {
	if l.cfg.exposed(k) {
		k.refuse(events.ReasonPlaintext, "personal data has to be encrypted to the intake: see docs/publishing.md")
		return
	}
	k.refusal = l.cfg.Policy.Validate(l.judged(k), now)
	if k.refusal == nil && ownSource(k) {
		k.refuse(events.ReasonReserved, events.DetailOwnSource)
	}
}

// judged is the event of k as it is judged: without a cut-off that its scope does
// not have. That has no effect, and what revokes must not wait in quarantine for it:
// earlier publishers did not refuse it.
func (l *lane) judged(k *candidate) *events.Event {
	if !k.event.StrayCutoff() {
		return k.event
	}
	l.cfg.Logger.Warn("cut-off without effect", "stream", stream.IntakeStream, "seq", k.from.Seq, "type", string(k.event.Type))
	without := *k.event
	without.Data.IssuedBefore = 0
	return &without
}

// exposed reports whether k holds personal data that was on the disk of the
// intake as it is, where that is not permitted; or may hold some, as not all of
// it could be read.
func (c *Config) exposed(k *candidate) bool {
	if c.Plaintext || k.from.sealed || k.from.envelope != nil {
		return false
	}
	_, personal := k.event.Data.PersonalPart()
	return personal || !k.whole
}

// ownSource reports whether k has a source of our own that whoever published it
// may not use: the subject says whether a service of ours did. The source of
// findings is the intake's alone.
func ownSource(k *candidate) bool {
	return k.event.Source == controls.Source || events.OwnSource(k.event.Source) && !k.from.Service
}

// identify gives k its identity, and the digest that tells it from another of
// the same.
func identify(k *candidate) {
	w := scratches.Get().(*scratch)
	defer scratches.Put(w)
	var err error
	if w.plain, err = k.event.AppendCanonical(w.plain[:0]); err != nil {
		k.defect()
		return
	}
	k.ref = events.EventRef(k.event.Tenant, k.event.Source, k.event.ID)
	k.digest = k.tenant.Digest(w.plain)
}

func unreadable() *events.Refusal {
	return &events.Refusal{Reason: events.ReasonDefect, Detail: "our code could not decode this message"}
}

// parts decodes a message, or refuses it as a whole.
func (l *lane) parts(m *events.Message) (out []events.Decoded, refusal *events.Refusal) {
	if m.Tenant == "" || m.Type == "" {
		return nil, &events.Refusal{Reason: events.ReasonMismatch, Detail: "the subject names no tenant and type"}
	}
	err := l.in.guard("decode", func() (err error) { out, err = l.in.decode(*m); return err })
	if errors.Is(err, errDefect) {
		return l.partsApart(m), nil
	}
	if err != nil && !errors.As(err, &refusal) {
		refusal = unreadable()
	}
	return out, refusal
}

// partsApart decodes a message on which decoding panicked: where it is a
// batch, each event by itself, so that only the one is a defect.
func (l *lane) partsApart(m *events.Message) []events.Decoded {
	parts := events.Split(*m)
	out := make([]events.Decoded, len(parts))
	for i, part := range parts {
		out[i] = l.partApart(part)
	}
	return out
}

func (l *lane) partApart(m events.Message) events.Decoded {
	out := events.Decoded{Raw: m.Body, Refusal: &events.Refusal{Reason: events.ReasonDefect, Detail: "our code failed on this event"}}
	_ = l.in.guard("decode", func() error { // where it is a defect, out says so
		one, err := l.in.decode(m)
		if err == nil && len(one) == 1 {
			out = one[0]
		}
		return err
	})
	return out
}
