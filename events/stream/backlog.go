package stream

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// Backlog is what was published and is neither on the log nor in quarantine yet.
type Backlog struct{ js jetstream.JetStream }

// NewBacklog is the backlog of the intake behind js.
func NewBacklog(js jetstream.JetStream) *Backlog { return &Backlog{js} }

// State is where the intake begins and ends now.
func (b *Backlog) State(ctx context.Context) (IntakeState, error) { return ReadIntakeState(ctx, b.js) }

// Passed reports whether all that was published of a tenant of a shard, up to a
// state that was read before, is on the log or in quarantine. Whoever had taken
// it and slept cannot log it any more: another one did, and has gone on.
func (b *Backlog) Passed(ctx context.Context, shard uint16, tenant string, then IntakeState) (bool, error) {
	now, err := b.State(ctx)
	if err != nil {
		return false, err
	}
	if now.First > then.Last || !now.Created.Equal(then.Created) {
		return true, nil
	}
	left, err := b.of(ctx, shard, tenant)
	return err == nil && left == 0, err
}

// of is how many messages of a tenant there are.
func (b *Backlog) of(ctx context.Context, shard uint16, tenant string) (n uint64, err error) {
	s, err := b.js.Stream(ctx, IntakeStream)
	if err != nil {
		return 0, fmt.Errorf("backlog: %w", err)
	}
	prefix := eventPrefix
	if s.CachedInfo().Config.SubjectTransform != nil {
		prefix = shardPrefix + strconv.Itoa(int(shard)) + "."
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(prefix+tenant+".>"))
	if err != nil {
		return 0, fmt.Errorf("backlog: %w", err)
	}
	for _, held := range info.State.Subjects {
		n += held
	}
	return n, nil
}
