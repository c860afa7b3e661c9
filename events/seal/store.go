package seal

import (
	"context"
	"errors"
)

// Store keeps the entries of a keyring: small values under names of
// dot-separated tokens. Values arrive wrapped; a store never sees a key.
//
// Every method may be called from any goroutine. An error that wraps none of
// ErrNotFound and ErrExists says nothing about what is there: in particular, a
// store that cannot be reached never answers ErrNotFound, because "no key"
// would be taken for "forgotten" or "never seen".
type Store interface {
	// Get is the value under key, or an error that wraps ErrNotFound. It sees
	// every write that returned before it was called.
	Get(ctx context.Context, key string) ([]byte, error)

	// Create writes puts whose keys are not there yet, durably on return. Where
	// a key is there already the error wraps ErrExists, what was there is
	// unchanged, and of the other puts each is written whole or not at all: the
	// caller reads again. After any other error the same holds, sooner or
	// later.
	Create(ctx context.Context, puts ...Put) error

	// Erase removes key and overwrites its value on disk where the store can.
	// It is durable on return. Erasing what is not there is no error.
	Erase(ctx context.Context, key string) error

	// List is every key that begins with prefix, in no order. A prefix is empty
	// or ends with a dot.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Put is one entry to create.
type Put struct {
	Key   string
	Value []byte
}

var (
	// ErrNotFound says that there is no such entry, and that the store is sure.
	ErrNotFound = errors.New("no such entry in the keyring")

	// ErrExists says that an entry is there already.
	ErrExists = errors.New("an entry of that name is in the keyring already")

	// ErrDestroyed says that the key was destroyed: what it sealed cannot be
	// opened by anybody, and nothing more is sealed for that person.
	ErrDestroyed = errors.New("the data key was destroyed")

	// ErrSealed says that bytes do not open: they were changed, or belong to
	// another event, key or entry.
	ErrSealed = errors.New("sealed bytes do not open")

	// ErrKEK says that an entry is wrapped under another key-encryption key
	// than the configured one.
	ErrKEK = errors.New("the keyring is wrapped under another key-encryption key")
)
