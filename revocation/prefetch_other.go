//go:build !amd64 && !arm64

package revocation

import "unsafe"

// prefetch and prefetchLine do nothing where the processor has no way to be
// asked: a lookup waits longer and finds the same.
func prefetch(unsafe.Pointer, int, int) {}

func prefetchLine(unsafe.Pointer) {}
