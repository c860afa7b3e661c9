package intake

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
)

// seal turns each event into its record and its sealed part.
func (l *lane) seal(ctx context.Context, c *chunk) {
	people := l.people(ctx, c)
	l.step("record", c, func(k *candidate) {
		if err := l.record(k, k.keyOf(people), c.received); err != nil {
			k.defect()
		}
	})
}

// record makes the record of k, or refuses k. An error is a fault of ours.
func (l *lane) record(k *candidate, key *seal.SubjectKey, received time.Time) error {
	d := &k.event.Data
	r := events.NewRecord(k.event, l.cfg.Policy.Environment, received)
	r.SubjectRef = key.Ref
	r.TokenRef = k.tenant.TokenRef(d.Issuer, d.TokenID)
	r.SessionRef = k.tenant.SessionRef(d.Issuer, d.SessionID)
	r.GrantRef = k.tenant.GrantRef(d.Issuer, d.GrantID)
	var refusal *events.Refusal
	if r.Revocation, refusal = l.revocation(k, received); refusal != nil {
		k.refuse(refusal.Reason, refusal.Detail)
		return nil
	}
	sealed, err := sealPersonal(k.event, key)
	if err != nil {
		return err
	}
	if sealed != nil {
		r.PayloadHash = sha256.Sum256(sealed)
		r.DataKey = key.Generation
	}
	encoded, err := encode(r)
	if err != nil {
		return err
	}
	k.record, k.leaf = r, events.LeafHash(encoded)
	k.item = events.Item{Record: encoded, Sealed: sealed, Digest: k.digest[:]}
	return nil
}

// sealPersonal is the personal part of ev, sealed; nil where there is none, and
// where the person was erased.
func sealPersonal(ev *events.Event, key *seal.SubjectKey) ([]byte, error) {
	p, some := ev.Data.PersonalPart()
	if !some || key.Erased {
		return nil, nil
	}
	plain, err := p.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode personal part: %w", err)
	}
	return key.Seal(ev.Tenant, ev.Source, ev.ID, plain)
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
