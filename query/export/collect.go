package export

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
)

// pageRows is how many records are in memory at a time.
const pageRows = 500

// collector finds all items of an order.
type collector struct {
	*Office
	order *Order
	end   uint64 // index behind the last record that counts
}

// each calls fn for every item, one relation after the other, each in the order
// of the log. The error wraps seal.ErrDestroyed where the person is forgotten
// meanwhile.
func (c *collector) each(ctx context.Context, fn func(*Item) error) error {
	relations := []Relation{OfPerson, OfToken, ReadingOf}
	if c.order.Kind == Portability {
		relations = relations[:1]
	}
	for _, relation := range relations {
		if err := c.eachOf(ctx, relation, fn); err != nil {
			return fmt.Errorf("collect relation=%s: %w", relation, err)
		}
	}
	return nil
}

func (c *collector) eachOf(ctx context.Context, relation Relation, fn func(*Item) error) error {
	s := Selection{Tenant: c.order.Tenant, Shard: c.order.Shard, Person: c.order.Ref, Relation: relation, End: c.end, Limit: pageRows}
	for {
		parts, err := c.cfg.Archive.Select(ctx, s)
		if err != nil {
			return err
		}
		for i := range parts {
			if !c.wants(parts[i].Record, relation) {
				continue
			}
			it, err := c.item(ctx, &parts[i], relation)
			if err != nil {
				return fmt.Errorf("index=%d: %w", parts[i].Index, err)
			}
			if err := fn(&it); err != nil {
				return err
			}
		}
		if len(parts) < s.Limit {
			return nil
		}
		s.From = parts[len(parts)-1].Index + 1
	}
}

func (c *collector) wants(r *events.Record, relation Relation) bool {
	if relation == ReadingOf {
		return reads(r) && r.SubjectRef.IsZero() && concerns(r, c.order.Ref)
	}
	return c.order.Kind != Portability || observed(r)
}

// item opens a part.
func (c *collector) item(ctx context.Context, p *Part, relation Relation) (Item, error) {
	out := item(p, relation)
	personal, why, err := c.open(ctx, p)
	if err != nil {
		return Item{}, err
	}
	out.Personal, out.Sealed = personal, why
	if why != "" {
		out.Claims = p.Record.Claims
	}
	if relation == ReadingOf {
		out.Personal = events.Personal{} // of whoever read: it may name others
	}
	if c.order.Kind == Portability {
		out.portable()
	}
	return out, nil
}

// open is the personal part, or why there is none although there was.
func (c *collector) open(ctx context.Context, p *Part) (_ events.Personal, why string, _ error) {
	r := p.Record
	switch {
	case r.PayloadHash.IsZero():
		return events.Personal{}, "", nil
	case len(p.Sealed) == 0:
		return events.Personal{}, Dropped, nil
	case sha256.Sum256(p.Sealed) != r.PayloadHash:
		return events.Personal{}, Unreadable, nil
	}
	plain, err := c.cfg.Keyring.Open(ctx, seal.OpenRequest{
		Tenant: r.Tenant, Source: r.Source, ID: r.ID, Ref: r.SubjectRef, Generation: r.DataKey, Sealed: p.Sealed, Hash: r.PayloadHash,
	})
	if err == nil {
		if personal, err := events.UnmarshalPersonal(plain); err == nil {
			return personal, "", nil
		}
		return events.Personal{}, Unreadable, nil
	}
	if errors.Is(err, seal.ErrSealed) {
		return events.Personal{}, Unreadable, nil
	}
	return events.Personal{}, "", err
}
