package events

import (
	"encoding/binary"
	"math/bits"
)

// sip is the state of SipHash-2-4-128 behind bytes that others may follow, more
// than once: the library, which tests hold it to, begins anew for each hash.
type sip struct {
	v0, v1, v2, v3 uint64
	rest           uint64 // bytes that make no block of eight yet
	n              int    // bytes in all
}

// newSip is the state behind text.
func newSip(key *[16]byte, text []byte) sip {
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	s := sip{
		v0: k0 ^ 0x736f6d6570736575,
		v1: k1 ^ 0x646f72616e646f6d ^ 0xee, // 128 bits are wanted
		v2: k0 ^ 0x6c7967656e657261,
		v3: k1 ^ 0x7465646279746573,
		n:  len(text),
	}
	for ; len(text) >= 8; text = text[8:] {
		m := binary.LittleEndian.Uint64(text)
		s.v0, s.v1, s.v2, s.v3 = sipRound(s.v0, s.v1, s.v2, s.v3^m)
		s.v0, s.v1, s.v2, s.v3 = sipRound(s.v0, s.v1, s.v2, s.v3)
		s.v0 ^= m
	}
	s.rest = word(string(text))
	return s
}

// sum is the hash of what s is behind, and of text. It is one function, and its
// state four variables, so that all of it stays in registers.
func (s *sip) sum(text string) (r Ref) {
	v0, v1, v2, v3, n := s.v0, s.v1, s.v2, s.v3, s.n%8
	m, length := s.rest|word(text)<<(n*8), uint64(s.n+len(text))<<56
	last := n+len(text) < 8
	if last {
		m |= length
	}
	for at := 8 - n; ; at += 8 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3^m)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
		if last {
			break
		}
		if last = len(text)-at < 8; last {
			m = wordAt(text, at) | length
		} else {
			m = word(text[at:])
		}
	}
	v2 ^= 0xee
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	binary.LittleEndian.PutUint64(r[:8], v0^v1^v2^v3)
	v1 ^= 0xdd
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	binary.LittleEndian.PutUint64(r[8:], v0^v1^v2^v3)
	return r
}

func sipRound(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v1
	v0 += v3
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}

// wordAt is the last bytes of text, fewer than eight, from at on.
func wordAt(text string, at int) uint64 {
	if len(text) < 8 {
		return word(text[at:])
	}
	return word(text[len(text)-8:]) >> (64 - (len(text)-at)*8)
}

// word is the first eight bytes of text, or as many as there are.
func word(text string) (w uint64) {
	if len(text) >= 8 {
		return uint64(text[0]) | uint64(text[1])<<8 | uint64(text[2])<<16 | uint64(text[3])<<24 |
			uint64(text[4])<<32 | uint64(text[5])<<40 | uint64(text[6])<<48 | uint64(text[7])<<56
	}
	for i := range len(text) {
		w |= uint64(text[i]) << (8 * i)
	}
	return w
}
