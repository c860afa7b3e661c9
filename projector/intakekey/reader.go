package intakekey

import (
	"context"

	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
)

// Reader is the keys for those who have the keyring and look after nothing: it
// needs no keeper to be there.
type Reader struct {
	*seal.Keyring
	Intake func(context.Context) (stream.IntakeState, error) // as in Config
}

// Published is the public halves of the keys that have not ended, by the clock
// of the NATS server.
func (r Reader) Published(ctx context.Context) (envelope.Set, error) {
	state, err := r.Intake(ctx)
	if err != nil {
		return envelope.Set{}, err
	}
	return published(ctx, r.Keyring, state.Now)
}
