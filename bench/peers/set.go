package main

import (
	"context"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// ownSet is Rescind's revocation set, as a verifier holds it.
type ownSet struct {
	of  *tokens
	set *revocation.Set
}

func openSet(of *tokens) *ownSet {
	s := &ownSet{of: of, set: revocation.NewSet(1)}
	s.set.SetKeys([]events.FeedKey{of.key})
	return s
}

func (s *ownSet) revoke(_ context.Context, first, last int) error {
	s.set.Apply(s.of.entries(first, last)...)
	return nil
}

func (s *ownSet) check(_ context.Context, p *probe) (bool, error) {
	return s.set.Holds(p.hash, s.of.now), nil
}

func (s *ownSet) decide(_ context.Context, p *probe) (bool, error) {
	return s.set.Decide(&p.claims, s.of.now).State == revocation.Revoked, nil
}

func (s *ownSet) memory(context.Context) (float64, error) { return heap(), nil }

func (s *ownSet) close() {}
