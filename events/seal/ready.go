package seal

import "github.com/rescindhq/rescind/events"

// ready is the cipher of a person's key: of the one that had this reference and
// generation.
type ready struct {
	ref        events.Ref
	generation uint32
	cipher     *siv
}

func handles(seats []seat) []handle {
	out := make([]handle, len(seats))
	for i, at := range seats {
		out[i] = at.handle
	}
	return out
}

// makeReady gives each key its cipher, from those that were in use lately or
// new. A new one is kept only where nobody was evicted since read, as keys are.
func (k *Keyring) makeReady(seats []seat, keys []SubjectKey, read uint64) {
	k.ciphers.getAll(handles(seats), func(i int, r ready, _ bool) {
		if r.ref == keys[i].Ref && r.generation == keys[i].Generation {
			keys[i].ready = r.cipher
		}
	})
	mark := k.ciphers.mark()
	keep := k.subjects.mark() == read // after the other mark: an eviction since then is seen by put
	for i := range keys {
		if s := &keys[i]; s.ready == nil && !s.Erased {
			s.ready = newSIV(&s.key)
			if keep {
				k.ciphers.put(seats[i].handle, ready{s.Ref, s.Generation, s.ready}, mark)
			}
		}
	}
}
