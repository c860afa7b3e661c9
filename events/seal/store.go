package seal

import (
	"context"
	"errors"
)

// Store keeps the entries of a keyring: small values under names of
// dot-separated tokens. Values arrive wrapped; a store never sees a key.
//
// Every method may be called from any goroutine. An error that does not wrap
// ErrExists says nothing about what is there.
type Store interface {
	// Get is the values under those of keys that are there. A key is missing in
	// the map only where the store is sure that there is no such entry: "no
	// key" is taken for "forgotten" or "never seen", so a store that cannot be
	// reached, or has read only some of them, answers with an error. Get sees
	// every write that returned before it was called. It need not read all at
	// one instant: of what is written meanwhile it may see any part, in any
	// order. A key that is named twice is read once or twice.
	Get(ctx context.Context, keys ...string) (map[string][]byte, error)

	// Create writes puts, durably on return, where none of their keys is there
	// yet. What it has written at any time, and whatever comes of it, is a
	// beginning of puts: an entry is there, whole, only if all before it are.
	// Where a key is there already the error wraps ErrExists, what was there is
	// unchanged, and nothing after it is written: the caller reads again. After
	// any other error the same holds, sooner or later.
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
	// ErrNotFound says that there is no such entry, and that the store was sure.
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
