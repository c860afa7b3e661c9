package intake

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
)

// seal turns each event into its record and its sealed part.
func (w *writer) seal(ctx context.Context, candidates []*candidate, received time.Time) {
	w.people(ctx, candidates)
	parallel(len(candidates), smallShare, func(i int) {
		c := candidates[i]
		if !c.live() {
			return
		}
		var err error
		if !w.attempt("record", func() { err = w.record(c, received) }) || err != nil {
			c.defect()
		}
	})
}

// record makes the record of c, or refuses c. An error is a fault of ours.
func (w *writer) record(c *candidate, received time.Time) error {
	d := &c.event.Data
	r := events.NewRecord(&c.event, w.cfg.Policy.Environment, received)
	r.SubjectRef = c.key.Ref
	r.TokenRef = c.tenant.TokenRef(d.Issuer, d.TokenID)
	r.SessionRef = c.tenant.SessionRef(d.Issuer, d.SessionID)
	r.GrantRef = c.tenant.GrantRef(d.Issuer, d.GrantID)
	var refusal *events.Refusal
	if r.Revocation, refusal = w.revocation(c, received); refusal != nil {
		c.refuse(refusal.Reason, refusal.Detail)
		return nil
	}
	sealed, err := sealPersonal(c)
	if err != nil {
		return err
	}
	if sealed != nil {
		r.PayloadHash = sha256.Sum256(sealed)
		r.DataKey = c.key.Generation
	}
	encoded, err := encode(r)
	if err != nil {
		return err
	}
	c.record, c.leaf = r, events.LeafHash(encoded)
	c.item = events.Item{Record: encoded, Sealed: sealed, Digest: c.digest[:]}
	return nil
}

// sealPersonal is the personal part of c, sealed; nil where there is none, and
// where the person was erased.
func sealPersonal(c *candidate) ([]byte, error) {
	p, some := c.event.Data.PersonalPart()
	if !some || c.key.Erased {
		return nil, nil
	}
	plain, err := p.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode personal part: %w", err)
	}
	return c.key.Seal(c.event.Tenant, c.event.Source, c.event.ID, plain)
}

// encode is r in its one encoding. It is decoded again: a record that could
// not be read would stop everybody who reads the log, for ever.
func encode(r *events.Record) ([]byte, error) {
	b, err := r.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if _, err := events.UnmarshalRecord(b); err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return b, nil
}
