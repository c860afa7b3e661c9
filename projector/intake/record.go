package intake

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
)

// seal turns each event into its record and its sealed part.
func (l *lane) seal(c *chunk, people []seal.SubjectKey) {
	l.step("record", c, func(k *candidate) {
		if err := l.record(k, k.keyOf(people), c.received); err != nil {
			k.defect()
		}
	})
}

// record makes the record of k, or refuses k. An error is a fault of ours.
func (l *lane) record(k *candidate, key *seal.SubjectKey, received time.Time) error {
	d, r := &k.event.Data, &k.record
	r.Set(k.event, l.cfg.Policy.Environment, received)
	r.SubjectRef = key.Ref
	r.TokenRef = k.tenant.TokenRef(d.Issuer, d.TokenID)
	r.SessionRef = k.tenant.SessionRef(d.Issuer, d.SessionID)
	r.GrantRef = k.tenant.GrantRef(d.Issuer, d.GrantID)
	var refusal *events.Refusal
	if r.Revocation, refusal = l.revocation(k, received); refusal != nil {
		k.refuse(refusal.Reason, refusal.Detail)
		return nil
	}
	w := scratches.Get().(*scratch)
	defer scratches.Put(w)
	sealed, err := w.sealPersonal(k.event, key)
	if err != nil {
		return err
	}
	if sealed != nil {
		r.PayloadHash = sha256.Sum256(sealed)
		r.DataKey = key.Generation
	}
	encoded, err := w.encode(r)
	if err != nil {
		return err
	}
	k.leaf = events.LeafHash(encoded)
	k.item = events.Item{Record: encoded, Sealed: sealed, Digest: k.digest[:]}
	return nil
}

// sealPersonal is the personal part of ev, sealed; nil where there is none, and
// where the person was erased.
func (w *scratch) sealPersonal(ev *events.Event, key *seal.SubjectKey) (_ []byte, err error) {
	p, some := ev.Data.PersonalPart()
	if !some || key.Erased {
		return nil, nil
	}
	if w.plain, err = p.AppendTo(w.plain[:0]); err != nil {
		return nil, fmt.Errorf("encode personal part: %w", err)
	}
	if w.coded, err = key.SealPersonalTo(w.coded[:0], ev.Tenant, ev.Source, ev.ID, w.plain); err != nil {
		return nil, err
	}
	return w.keep(w.coded), nil
}

// encode is r in its one encoding. It is read again: a record that could not be
// read would stop everybody who reads the log, for ever.
func (w *scratch) encode(r *events.Record) ([]byte, error) {
	w.coded = r.AppendTo(w.coded[:0])
	if err := events.CheckRecord(w.coded); err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return w.keep(w.coded), nil
}
