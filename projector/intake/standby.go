package intake

import (
	"context"
	"errors"
	"fmt"
)

// elected waits to be elected, and folds what others append meanwhile: to take
// over costs no more than to catch up.
func (in *Intake) elected(ctx context.Context) (term context.Context, resign func(), err error) {
	if in.cfg.Elect == nil {
		return context.WithoutCancel(ctx), func() {}, nil
	}
	electing, giveUp := context.WithCancel(ctx)
	defer giveUp()
	following, stop := context.WithCancel(ctx)
	defer stop()
	followed := make(chan error, 1)
	go func() {
		defer giveUp() // who cannot follow cannot take over
		followed <- in.follow(following)
	}()
	term, resign, err = in.cfg.Elect(electing)
	stop()
	broke := in.forget(<-followed)
	switch {
	case !errors.Is(broke, context.Canceled):
		if err == nil {
			resign()
		}
		return nil, nil, fmt.Errorf("stand by: %w", broke)
	case err != nil:
		return nil, nil, fmt.Errorf("stand for election: %w", err)
	}
	return term, resign, nil
}

// follow folds what is appended until ctx ends.
func (in *Intake) follow(ctx context.Context) error {
	return in.at.readOn(ctx, ^uint64(0), func() { in.stats.at(in.at) })
}
