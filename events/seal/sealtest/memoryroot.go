package sealtest

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events/seal"
)

// MemoryRoot is a seal.Root in memory, of whose keys each can be destroyed. The
// zero MemoryRoot is ready.
type MemoryRoot struct {
	// Judge, where it is not nil, makes calls fail as that of a Fault does. The key
	// it is given is the root's.
	Judge func(method, key string) Verdict

	mu   sync.Mutex
	made int
	keys map[string]seal.KEK
}

// Wrap implements seal.Root.
func (r *MemoryRoot) Wrap(ctx context.Context, secret []byte) (w seal.Wrapped, err error) {
	err = r.judged(ctx, "wrap", "", func() error {
		kek := seal.GenerateKEK()
		r.made++
		w = seal.Wrapped{Key: fmt.Sprint("key-", r.made), Secret: kek.Encrypt(secret)}
		if r.keys == nil {
			r.keys = map[string]seal.KEK{}
		}
		r.keys[w.Key] = kek
		return nil
	})
	return w, err
}

// Unwrap implements seal.Root.
func (r *MemoryRoot) Unwrap(ctx context.Context, w seal.Wrapped) (secret []byte, err error) {
	err = r.judged(ctx, "unwrap", w.Key, func() (err error) {
		kek, there := r.keys[w.Key]
		if !there {
			return seal.ErrRootKey
		}
		secret, err = kek.Decrypt(w.Secret)
		return err
	})
	if err != nil {
		return nil, err
	}
	return secret, nil
}

// Destroy implements seal.Root.
func (r *MemoryRoot) Destroy(ctx context.Context, key string) (gone time.Time, err error) {
	err = r.judged(ctx, "destroy", key, func() error { delete(r.keys, key); return nil })
	return time.Now(), err
}

// Delay implements seal.Root.
func (r *MemoryRoot) Delay() (time.Duration, error) { return 0, nil }

// Keys is how many keys the root has.
func (r *MemoryRoot) Keys() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.keys)
}

// Copy is the root as somebody has it who copied it now.
func (r *MemoryRoot) Copy() *MemoryRoot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &MemoryRoot{made: r.made, keys: maps.Clone(r.keys)}
}

func (r *MemoryRoot) judged(ctx context.Context, method, key string, call func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v := Pass
	if r.Judge != nil {
		v = r.Judge(method, key)
	}
	if v == Fail || v == PartlyThenFail {
		return ErrFault
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err := call()
	if v == ApplyThenFail {
		return ErrFault
	}
	return err
}
