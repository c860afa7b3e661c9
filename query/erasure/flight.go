package erasure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events/stream"
)

// Intake is what was published and is not on the log yet: *stream.Backlog.
type Intake interface {
	// State is where it begins and ends now.
	State(ctx context.Context) (stream.IntakeState, error)
	// Passed reports whether all that was in it of a tenant of a shard, up to a
	// state of before, is on the log or was refused.
	Passed(ctx context.Context, shard uint16, tenant string, then stream.IntakeState) (bool, error)
}

// errInFlight says that something of a person may have been sealed and not be on
// the log yet.
var errInFlight = errors.New("the intake has still to log what it took before the fence")

// lookAgain is how often it is asked whether the intake has passed.
const lookAgain = 50 * time.Millisecond

// landFor is how long one erasure waits for the intake: behind it wait others that
// no hold concerns.
const landFor = 10 * time.Second

// landed returns once all is on the log that an intake sealed of r's subject
// before the fence. Where that takes too long it fails and, called again, waits
// for the same.
func (w *Workflow) landed(ctx context.Context, r *Request) error {
	then, err := w.behindFence(ctx, r)
	if err != nil {
		return fmt.Errorf("what is in flight: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, landFor)
	defer cancel()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		passed, err := w.cfg.Intake.Passed(ctx, r.Shard, r.Tenant, then)
		if err != nil {
			return fmt.Errorf("what is in flight: %w", err)
		}
		if passed {
			w.fenced.Store(r.name(), stream.IntakeState{}) // and it stays so: nothing was in it
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(errInFlight, ctx.Err())
		case <-tick.C:
		}
	}
}

// behindFence is where the intake ended when it was first asked, behind the fence.
func (w *Workflow) behindFence(ctx context.Context, r *Request) (stream.IntakeState, error) {
	if then, marked := w.fenced.Load(r.name()); marked {
		return then.(stream.IntakeState), nil
	}
	then, err := w.cfg.Intake.State(ctx)
	if err == nil {
		w.fenced.Store(r.name(), then)
	}
	return then, err
}
