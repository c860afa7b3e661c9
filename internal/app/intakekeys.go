package app

import (
	"context"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/projector/intakekey"
)

// keeper looks after the keys that publishers encrypt to.
func (a *app) keeper(b *bus, keys *seal.Keyring) (run func(context.Context) error, err error) {
	k, err := intakekey.New(intakekey.Config{
		Conn: b.nc, Keyring: keys, Logger: a.log.With("role", config.RoleIntake),
		Intake: b.intakeState,
	})
	if err != nil {
		return nil, err
	}
	a.ready = append(a.ready, k.Ready())
	a.watchIntakeKeys(k)
	return k.Run, nil
}

func (b *bus) intakeState(ctx context.Context) (stream.IntakeState, error) {
	return stream.ReadIntakeState(ctx, b.js)
}
