package app

import (
	"context"
	"errors"
	"time"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
)

// KeyringStatus is how far back copies of the keyring can be read.
type KeyringStatus struct {
	Epochs  []EpochStatus `json:"epochs"`            // oldest first
	Residue *time.Time    `json:"residue,omitempty"` // from when a copy made now opens nothing, as planned; nil: never, or nobody can say
	Overdue bool          `json:"overdue,omitempty"` // the key of an epoch was planned to be gone and is not: nobody can say
}

// EpochStatus is one epoch of the keyring.
type EpochStatus struct {
	Number  uint32     `json:"epoch"`
	State   string     `json:"state"`
	Created time.Time  `json:"created"`
	Entries int        `json:"entries"`           // still wrapped in it; 0 for the current one, whose are not counted
	Planned *time.Time `json:"planned,omitempty"` // when its key is to be gone; nil: never
	Gone    *time.Time `json:"gone,omitempty"`    // from when nobody has its key
}

// The states of an epoch.
const (
	EpochCurrent   = "current"
	EpochOver      = "over"      // its entries are being wrapped anew
	EpochEmpty     = "empty"     // its key is kept for restoring backups
	EpochDestroyed = "destroyed" // its key is destroyed
)

// KeyringEpochs is the epochs of a deployment's keyring, read with the API's
// account.
func KeyringEpochs(ctx context.Context, cfg Config) (KeyringStatus, error) {
	a, err := open(cfg)
	if err != nil {
		return KeyringStatus{}, err
	}
	b, err := a.connect(natsd.API, a.cfg.NATS.APICreds, nil)
	if err != nil {
		return KeyringStatus{}, err
	}
	defer b.nc.Close()
	keyring, err := a.keyringConfig(ctx, b)
	if err != nil {
		return KeyringStatus{}, err
	}
	store, err := stream.OpenKeyStore(ctx, b.js)
	if err != nil {
		return KeyringStatus{}, err
	}
	keys, err := seal.NewKeyring(keyring)
	if err != nil {
		return KeyringStatus{}, err
	}
	return statusOf(ctx, keys, store)
}

func statusOf(ctx context.Context, keys *seal.Keyring, store seal.Revisions) (s KeyringStatus, err error) {
	all, err := keys.Epochs(ctx)
	if err != nil {
		return s, err
	}
	left, err := keys.Left(ctx, store)
	if err != nil {
		return s, err
	}
	for _, e := range all {
		s.Epochs = append(s.Epochs, EpochStatus{
			Number: e.Number, State: stateOf(e), Created: e.Created, Entries: left[e.Number], Planned: orNil(e.Planned), Gone: orNil(e.Gone),
		})
	}
	residue, err := keys.Residue(ctx)
	s.Overdue = errors.Is(err, seal.ErrOverdue)
	if s.Overdue || errors.Is(err, seal.ErrPermanent) {
		return s, nil
	}
	s.Residue = orNil(residue)
	return s, err
}

func stateOf(e seal.Epoch) string {
	switch {
	case e.Retired.IsZero():
		return EpochCurrent
	case e.Emptied.IsZero():
		return EpochOver
	case e.Destroyed.IsZero():
		return EpochEmpty
	}
	return EpochDestroyed
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
