package events

import (
	"hash/maphash"
	"sync/atomic"
)

// interned is the texts that came by lately, so that the issuer of a million
// events is one string. A place holds one text of at most maxInterned bytes:
// 256 KiB in all, whatever comes. Which text has a place changes nothing but
// how much is allocated.
var interned [2048]atomic.Pointer[string]

const maxInterned = 128

var internSeed = maphash.MakeSeed()

// intern is b as a string, for texts that repeat from event to event. It keeps
// nothing of b.
func intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > maxInterned {
		return string(b)
	}
	place := &interned[maphash.Bytes(internSeed, b)%uint64(len(interned))]
	if s := place.Load(); s != nil && *s == string(b) {
		return *s
	}
	s := string(b)
	place.Store(&s)
	return s
}
