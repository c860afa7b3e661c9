//go:build amd64 || arm64

package revocation

import "unsafe"

// prefetch asks for the memory at p, that of a tag, and that around a row, each
// at a distance from p. It never faults, wherever that is.
//
//go:noescape
func prefetch(p unsafe.Pointer, tag, row int)

// prefetchLine asks for the memory at p. It never faults.
//
//go:noescape
func prefetchLine(p unsafe.Pointer)
