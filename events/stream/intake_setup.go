package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrIntakeGap says that the intake took messages while one of its consumers
// was missing: those that only it wanted were dropped. Ensure has put the
// consumer back; whoever gets this error must record a gap before going on.
var ErrIntakeGap = errors.New("a consumer of the intake was missing: events published meanwhile may be lost")

// nowhere is the subject of an intake that is being set up: nobody may publish
// to it.
const nowhere = "rescind.setup.intake"

// ensureIntake opens the doors of the intake after its consumers are there: a
// stream with interest retention drops what nobody waits for.
func (t Topology) ensureIntake(ctx context.Context, js jetstream.JetStream) error {
	s, err := t.openOrCreateIntake(ctx, js)
	if err != nil {
		return err
	}
	open := !slices.Equal(s.CachedInfo().Config.Subjects, []string{nowhere})
	var gap error
	for _, cfg := range t.consumers() {
		missing, err := t.ensureConsumer(ctx, s, cfg)
		if err != nil {
			return err
		}
		if missing && open {
			t.Log.Error("intake consumer was missing: events may be lost", "stream", IntakeStream, "consumer", cfg.Durable, "last", s.CachedInfo().State.LastSeq)
			gap = fmt.Errorf("%s: %w", cfg.Durable, ErrIntakeGap)
		}
	}
	if _, err := js.UpdateStream(ctx, t.intake()); err != nil {
		return err
	}
	return gap
}

// openOrCreateIntake is the stream that is there, or a new one that nothing
// reaches yet.
func (t Topology) openOrCreateIntake(ctx context.Context, js jetstream.JetStream) (jetstream.Stream, error) {
	s, err := js.Stream(ctx, IntakeStream)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return s, err
	}
	closed := t.intake()
	closed.Subjects = []string{nowhere}
	s, err = js.CreateStream(ctx, closed)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another instance was faster
		return js.Stream(ctx, IntakeStream)
	}
	return s, err
}

func (t Topology) ensureConsumer(ctx context.Context, s jetstream.Stream, cfg jetstream.ConsumerConfig) (missing bool, err error) {
	_, err = s.Consumer(ctx, cfg.Durable)
	missing = errors.Is(err, jetstream.ErrConsumerNotFound)
	if err != nil && !missing {
		return false, fmt.Errorf("consumer %s: %w", cfg.Durable, err)
	}
	if _, err := s.CreateOrUpdateConsumer(ctx, cfg); err != nil {
		return missing, fmt.Errorf("ensure consumer %s: %w", cfg.Durable, err)
	}
	return missing, nil
}
