//go:build nolibchdb

package engine

import "errors"

// libraryBuilt is false in a binary that must be static: to load a library at
// all, purego links against the system's C library, cgo or not.
const libraryBuilt = false

func runLibrary(string, []string) error {
	return errors.New("this binary was built with -tags nolibchdb and cannot run the library")
}
