package seal

// Unwrap is the plain bytes of a stored entry, for tests that look at what is
// left.
func Unwrap(k KEK, name string, stored []byte) []byte {
	plain, err := newWrapper(k).unwrap(name, stored)
	if err != nil {
		panic(err)
	}
	return plain
}

// OpenUnderCountingKey opens r under a key whose bytes count from 0.
func OpenUnderCountingKey(r OpenRequest) ([]byte, error) {
	s := SubjectKey{Generation: 1}
	for i := range s.key {
		s.key[i] = byte(i)
	}
	return s.open(&r)
}
