package query

import (
	"context"
	"crypto/sha256"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
)

// Why a personal part that was asked for is not there.
const (
	sealedErased     = "erased"
	sealedRestricted = "restricted"
	sealedDropped    = "dropped"
	sealedUnreadable = "unreadable"
)

const opensAtATime = 16

// openPermitted is open, but for the people who had their data restricted:
// those only under an exception, which recordAccess has recorded.
func (s *Server) openPermitted(ctx context.Context, in *AuditSearch, rows []Row, out []AuditEvent) error {
	if in.Exception != "" || len(rows) == 0 {
		return s.open(ctx, rows, out)
	}
	restricted, err := s.cfg.Requests.Restrictions(ctx, in.Tenant, people(rows))
	if err != nil {
		return err
	}
	open := make([]Row, len(rows))
	for i, r := range rows {
		if _, is := restricted[r.Record.SubjectRef]; is && !r.Record.PayloadHash.IsZero() {
			out[i].Sealed = sealedRestricted
			r.Record.PayloadHash = events.Hash{}
		}
		open[i] = r
	}
	return s.open(ctx, open, out)
}

// people are the subjects of rows, as they come.
func people(rows []Row) (out []events.Ref) {
	for _, r := range rows {
		out = append(out, r.Record.SubjectRef)
	}
	return out
}

// open adds the personal parts of rows to out, which has them in the same
// order.
func (s *Server) open(ctx context.Context, rows []Row, out []AuditEvent) error {
	var indices []uint64
	var people []events.Ref
	for _, r := range rows {
		if !r.Record.PayloadHash.IsZero() {
			indices, people = append(indices, r.Index), append(people, r.Record.SubjectRef)
		}
	}
	if len(indices) == 0 {
		return nil
	}
	sealed, err := s.cfg.Events.Sealed(ctx, rows[0].Record.Tenant, rows[0].Shard, indices, people)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(opensAtATime)
	for i, r := range rows {
		if r.Record.PayloadHash.IsZero() {
			continue
		}
		g.Go(func() (err error) {
			out[i].Personal, out[i].Sealed, err = s.openOne(ctx, &r.Record, sealed[r.Index])
			if out[i].Sealed == sealedErased && err == nil {
				err = s.openHeld(ctx, &r, sealed[r.Index], &out[i])
			}
			return err
		})
	}
	return g.Wait()
}

func (s *Server) openOne(ctx context.Context, r *events.Record, sealed []byte) (*events.Personal, string, error) {
	if len(sealed) == 0 {
		return nil, sealedDropped, nil
	}
	if sha256.Sum256(sealed) != r.PayloadHash {
		return nil, sealedUnreadable, nil
	}
	plain, err := s.cfg.Keyring.Open(ctx, seal.OpenRequest{
		Tenant: r.Tenant, Source: r.Source, ID: r.ID, Ref: r.SubjectRef, Generation: r.DataKey, Sealed: sealed, Hash: r.PayloadHash,
	})
	if err != nil {
		missing, err := whyShut(err)
		return nil, missing, err
	}
	p, err := events.UnmarshalPersonal(plain)
	if err != nil {
		return nil, sealedUnreadable, nil
	}
	return &p, "", nil
}

// openHeld opens what a hold keeps of somebody who was forgotten, if one does.
func (s *Server) openHeld(ctx context.Context, r *Row, sealed []byte, out *AuditEvent) error {
	plain, by, err := s.cfg.Requests.OpenHeld(ctx, r.Shard, r.Index, &r.Record, sealed)
	switch {
	case errors.Is(err, seal.ErrDestroyed):
		return nil
	case errors.Is(err, seal.ErrSealed):
		out.Sealed = sealedUnreadable
		return nil
	case err != nil:
		return err
	}
	p, err := events.UnmarshalPersonal(plain)
	if err != nil {
		return err
	}
	out.Personal, out.Sealed, out.HeldBy = &p, "", by
	return nil
}

// whyShut is what is said of a sealed part that did not open; the error where that
// is not known.
func whyShut(err error) (missing string, _ error) {
	switch {
	case errors.Is(err, seal.ErrDestroyed):
		return sealedErased, nil
	case errors.Is(err, seal.ErrSealed):
		return sealedUnreadable, nil
	default:
		return "", err
	}
}
