package seal

import (
	"context"
	"errors"
)

// Store keeps the entries of a keyring: small values under names of
// dot-separated tokens. Values arrive wrapped; a store never sees a key.
//
// Every method may be called from any goroutine. An error that wraps neither
// ErrExists nor ErrRetired says nothing about what is there.
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
	//
	// Where an entry named unless is there, the error wraps ErrRetired, and from
	// when that entry was written nothing of puts is, however long ago Create was
	// called: a process that slept over it writes nothing when it wakes. An empty
	// unless is never there.
	Create(ctx context.Context, unless string, puts ...Put) error

	// Erase removes key and overwrites its value on disk where the store can.
	// It is durable on return. Erasing what is not there is no error.
	Erase(ctx context.Context, key string) error

	// List is every key that begins with prefix, in no order. A prefix is empty
	// or ends with a dot.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Revisions is a store whose entries can be written anew, in the order in which
// they were written last.
type Revisions interface {
	// Before is some of the entries, at least one if there is any, that were
	// written before the entry named key was, and at from or later; in the order
	// of their revisions, and none left out. Next is where to go on, 0 at the
	// end. An entry that is written or erased meanwhile may be among them as it
	// was. The error wraps ErrNotFound where there is no entry named key.
	Before(ctx context.Context, key string, from uint64) (entries []Stored, next uint64, err error)

	// Replace writes entries in place of those of the same keys, durably on
	// return, all or none, where each is still there at the Revision given: else
	// the error wraps ErrChanged. Of unless the same is true as in Create. After
	// any other error all are written or none, sooner or later.
	Replace(ctx context.Context, unless string, entries ...Stored) error
}

// Put is one entry to create.
type Put struct {
	Key   string
	Value []byte
}

// Stored is one entry as it was written. Revisions grow, and no two writes have
// the same.
type Stored struct {
	Key      string
	Value    []byte
	Revision uint64
}

var (
	// ErrNotFound says that there is no such entry, and that the store was sure.
	ErrNotFound = errors.New("no such entry in the keyring")

	// ErrExists says that an entry is there already.
	ErrExists = errors.New("an entry of that name is in the keyring already")

	// ErrRetired says that an entry is there which a write had to come before.
	ErrRetired = errors.New("the epoch is over that the entries were wrapped in")

	// ErrChanged says that an entry is not as it was read any more, or gone.
	ErrChanged = errors.New("the entry in the keyring was changed or erased meanwhile")

	// ErrDestroyed says that the key was destroyed: what it sealed cannot be
	// opened by anybody, and nothing more is sealed for that person.
	ErrDestroyed = errors.New("the data key was destroyed")

	// ErrSealed says that bytes do not open: they were changed, or belong to
	// another event, key or entry.
	ErrSealed = errors.New("sealed bytes do not open")

	// ErrEpoch says that an entry is wrapped in an epoch whose key is not to be
	// had: it was destroyed, is under another root, or there never was one.
	ErrEpoch = errors.New("the keyring's entry is of an epoch whose key is not to be had")
)
