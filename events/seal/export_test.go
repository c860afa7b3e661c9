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
