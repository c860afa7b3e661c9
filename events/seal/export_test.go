package seal

import "context"

// Unwrap is the plain bytes of a stored entry, for tests that look at what is
// left.
func (k *Keyring) Unwrap(name string, stored []byte) []byte {
	if _, err := k.epochs.need(context.Background(), map[string][]byte{name: stored}); err != nil {
		panic(err)
	}
	plain, err := k.unwrap(name, stored)
	if err != nil {
		panic(err)
	}
	return plain
}

// OpenedEpochs is of how many epochs k has the key in memory.
func (k *Keyring) OpenedEpochs() int {
	k.epochs.mu.RLock()
	defer k.epochs.mu.RUnlock()
	return len(k.epochs.opened)
}

// CachedCiphers is of how many people k has a cipher in memory.
func (k *Keyring) CachedCiphers() int { return k.ciphers.len() }

// OfEpochs reports whether an entry is one of the epochs', which are not wrapped.
func OfEpochs(name string) bool { return ofEpochs(name) }

// OpenUnderCountingKey opens r under a key whose bytes count from 0.
func OpenUnderCountingKey(r OpenRequest) ([]byte, error) {
	s := SubjectKey{Generation: 1}
	for i := range s.key {
		s.key[i] = byte(i)
	}
	return s.open(&r)
}

// EpochOf is the epoch that a stored entry is wrapped in.
func EpochOf(stored []byte) (uint32, error) { return epochOf(stored) }
