package config

import "strings"

// Root says where the keys are that wrap the keyring's. It never holds one.
type Root string

// The kinds of root.
const rootDir = "dir:"

func (r Root) valid() bool {
	_, path := r.Dir()
	return path || r.Permanent() && Secret(r).valid()
}

// Permanent reports whether r is one key that can never be destroyed.
func (r Root) Permanent() bool {
	_, dir := r.Dir()
	return r != "" && !dir
}

// Dir is the folder that r names, if it names one.
func (r Root) Dir() (path string, ok bool) {
	path, ok = strings.CutPrefix(string(r), rootDir)
	return path, ok && path != ""
}

// Secret is the one key that r refers to.
func (r Root) Secret() Secret { return Secret(r) }
