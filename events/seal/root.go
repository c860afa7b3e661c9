package seal

import (
	"context"
	"errors"
	"time"
)

// Root keeps, outside the keyring, the keys that the keys of epochs are wrapped
// under. What is wrapped under a key that it has destroyed opens for nobody,
// whoever kept a copy of the keyring.
//
// Every method may be called from any goroutine, and by several processes that
// share the root's keys.
type Root interface {
	// Wrap makes a new key, durably on return, and wraps secret, which is 32
	// bytes, under it. Each key wraps one secret. One whose maker was stopped
	// before it said where the key is remains, and opens nothing; where wrapping
	// fails, the key is destroyed if that can be.
	Wrap(ctx context.Context, secret []byte) (Wrapped, error)

	// Unwrap is the secret that Wrap was given. The error wraps ErrRootKey where
	// this root does not have the key: it was destroyed, or is another root's;
	// and ErrSealed where w was changed. Any other error says nothing of the key.
	Unwrap(ctx context.Context, w Wrapped) ([]byte, error)

	// Destroy destroys a key, durably on return, and says from when nobody can
	// have it back: where that is later, nothing is unwrapped under it until
	// then either. Destroying what is not there is no error. The error wraps
	// ErrPermanent where this root cannot.
	Destroy(ctx context.Context, key string) (gone time.Time, err error)

	// Delay is the longest time between a Destroy and when it says that the key is
	// gone. The error wraps ErrPermanent where this root cannot destroy.
	Delay() (time.Duration, error)
}

// Wrapped is a secret under one of a root's keys. It is no secret.
type Wrapped struct {
	Key    string `cbor:"1,keyasint"` // names the key to the root
	Secret []byte `cbor:"2,keyasint"`
}

var (
	// ErrRootKey says that a root does not have a key: it was destroyed, or it is
	// another root's.
	ErrRootKey = errors.New("the root does not have the key of the epoch")

	// ErrPermanent says that a root has one key for ever. What was wrapped under
	// it can be read by whoever has an old copy and that key.
	ErrPermanent = errors.New("the root has one key for ever and cannot destroy it")

	// ErrOverdue says that the key of an epoch is there although it was planned to be
	// gone: an entry that does not open keeps it, or nobody rotates.
	ErrOverdue = errors.New("the key of an epoch is there although it was planned to be gone")
)
