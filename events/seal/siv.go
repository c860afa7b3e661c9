package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"sync"
)

// sivKeySize is the size of a data key: half for the tag, half for the
// ciphertext.
const sivKeySize = 2 * keySize

// siv is AES-SIV (RFC 5297) under one 512-bit key, ready for use: AES-256-CMAC
// makes the tag from the additional data and the plain text, and the tag is the
// initial counter of AES-256-CTR. There is no nonce. It does not change, and
// takes about 1.2 KiB.
type siv struct {
	mac, ctr cipher.Block
	k1, k2   block // subkeys of CMAC
	zero     block // the CMAC of sixteen zero bytes, doubled: where S2V begins
}

type block = [aes.BlockSize]byte

func newSIV(k *dataKey) *siv { return newSIVOf(mustBlock(k[:keySize]), mustBlock(k[keySize:])) }

func newSIVOf(mac, ctr cipher.Block) *siv {
	s := &siv{mac: mac, ctr: ctr}
	s.mac.Encrypt(s.k1[:], s.k1[:])
	double(&s.k1)
	s.k2 = s.k1
	double(&s.k2)
	s.mac.Encrypt(s.zero[:], s.k1[:])
	double(&s.zero)
	return s
}

// sivScratch is the blocks that a call works on. They reach the cipher through
// an interface, and so would be allocated by each call.
type sivScratch struct {
	tag, counter, stream block
	aad                  []byte
}

var sivScratches = sync.Pool{New: func() any { return &sivScratch{aad: make([]byte, 0, 256)} }}

// sealPacked appends to dst the tag and the ciphertext of plain, packed.
func (s *siv) sealPacked(dst, plain []byte, aad ...string) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, aes.BlockSize)...)
	dst = appendPacked(dst, plain)
	s.sealIn(dst[at:], aad)
	return dst
}

// sealIn puts into the first 16 bytes of b the tag of the rest, and encrypts
// the rest.
func (s *siv) sealIn(b []byte, aad []string) {
	w := sivScratches.Get().(*sivScratch)
	defer sivScratches.Put(w)
	w.aad = appendLengthPrefixed(w.aad[:0], aad...)
	s.authenticate(w, b[aes.BlockSize:])
	copy(b, w.tag[:])
	s.crypt(w, b[aes.BlockSize:])
}

// open is what sealIn encrypted.
func (s *siv) open(sealed []byte, aad ...string) ([]byte, error) {
	if len(sealed) < aes.BlockSize {
		return nil, ErrSealed
	}
	w := sivScratches.Get().(*sivScratch)
	defer sivScratches.Put(w)
	w.aad = appendLengthPrefixed(w.aad[:0], aad...)
	w.tag = block(sealed)
	plain := append([]byte{}, sealed[aes.BlockSize:]...)
	s.crypt(w, plain)
	s.authenticate(w, plain)
	if subtle.ConstantTimeCompare(w.tag[:], sealed[:aes.BlockSize]) != 1 {
		return nil, ErrSealed
	}
	return plain, nil
}

// authenticate puts into w.tag S2V of w.aad, as one string, and plain. It
// changes both, and plain back.
func (s *siv) authenticate(w *sivScratch, plain []byte) {
	s.cmac(w, w.aad)
	d := s.zero
	xor(&d, &w.tag)
	if len(plain) < aes.BlockSize {
		double(&d)
		last := padded(plain)
		xor(&last, &d)
		w.aad = append(w.aad[:0], last[:]...)
		s.cmac(w, w.aad)
		return
	}
	end := (*block)(plain[len(plain)-aes.BlockSize:])
	xor(end, &d)
	s.cmac(w, plain)
	xor(end, &d)
}

// cmac puts into w.tag the AES-CMAC (RFC 4493) of message.
func (s *siv) cmac(w *sivScratch, message []byte) {
	w.tag = block{}
	for ; len(message) > aes.BlockSize; message = message[aes.BlockSize:] {
		xor(&w.tag, (*block)(message))
		s.mac.Encrypt(w.tag[:], w.tag[:])
	}
	if len(message) == aes.BlockSize {
		xor(&w.tag, (*block)(message))
		xor(&w.tag, &s.k1)
	} else {
		last := padded(message)
		xor(&w.tag, &last)
		xor(&w.tag, &s.k2)
	}
	s.mac.Encrypt(w.tag[:], w.tag[:])
}

// crypt xors data with the key stream that begins at w.tag.
func (s *siv) crypt(w *sivScratch, data []byte) {
	w.counter = w.tag
	w.counter[8] &= 0x7f
	w.counter[12] &= 0x7f
	for len(data) > 0 {
		s.ctr.Encrypt(w.stream[:], w.counter[:])
		data = data[subtle.XORBytes(data, data, w.stream[:]):]
		binary.BigEndian.PutUint64(w.counter[8:], binary.BigEndian.Uint64(w.counter[8:])+1) // 63 bits: it cannot overflow
	}
}

// double multiplies b by x in GF(2^128).
func double(b *block) {
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	carry := hi >> 63
	binary.BigEndian.PutUint64(b[:8], hi<<1|lo>>63)
	binary.BigEndian.PutUint64(b[8:], lo<<1^carry*0x87)
}

func xor(a, b *block) {
	binary.NativeEndian.PutUint64(a[:8], binary.NativeEndian.Uint64(a[:8])^binary.NativeEndian.Uint64(b[:8]))
	binary.NativeEndian.PutUint64(a[8:], binary.NativeEndian.Uint64(a[8:])^binary.NativeEndian.Uint64(b[8:]))
}

// padded is what is shorter than a block, a one bit and zeros.
func padded(short []byte) (b block) {
	b[copy(b[:], short)] = 0x80
	return b
}
