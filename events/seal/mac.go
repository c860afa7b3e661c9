package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// mac is HMAC-SHA-256 under one key. Its key schedule is made once for each
// goroutine that uses it at the same time, and a sum allocates nothing.
type mac struct{ idle sync.Pool } // of *macState

// macState is the keyed hash with room for what goes in and comes out, which
// would otherwise be allocated for each sum.
type macState struct {
	keyed   hash.Hash
	message []byte
	sum     [sha256.Size]byte
}

func newMAC(k key) *mac {
	m := new(mac)
	m.idle.New = func() any {
		return &macState{keyed: hmac.New(sha256.New, k[:]), message: make([]byte, 0, 256)}
	}
	return m
}

// ofParts is the sum of parts under label, so that no two lists of parts have
// the same.
func (m *mac) ofParts(label string, parts ...string) [sha256.Size]byte {
	s := m.idle.Get().(*macState)
	defer m.idle.Put(s)
	s.message = append(s.message[:0], label...)
	s.message = appendLengthPrefixed(append(s.message, 0), parts...)
	return s.of(s.message)
}

// of is the sum of message.
func (m *mac) of(message []byte) [sha256.Size]byte {
	s := m.idle.Get().(*macState)
	defer m.idle.Put(s)
	return s.of(message)
}

func (s *macState) of(message []byte) [sha256.Size]byte {
	s.keyed.Reset()
	s.keyed.Write(message)
	s.keyed.Sum(s.sum[:0])
	return s.sum
}

// appendLengthPrefixed joins parts so that no two lists of parts join to the
// same bytes.
func appendLengthPrefixed(b []byte, parts ...string) []byte {
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}
