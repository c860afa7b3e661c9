package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
)

const (
	keySize   = 32
	nonceSize = 24
	tagSize   = 16
)

// key is a 256-bit key that wraps, or that others are derived from.
type key [keySize]byte

func newKey() key {
	var k key
	rand.Read(k[:]) // never fails: crypto/rand ends the process instead
	return k
}

// xaes is XAES-256-GCM under one key, ready for use.
//
// AES-256-GCM alone bounds a key to 2^32 random nonces, which a busy
// key-encryption key could reach. XAES-256-GCM derives the AES-256-GCM key of
// each message from half of a nonce twice as long, and has no bound that
// matters.
type xaes struct {
	block cipher.Block
	k1    block // subkey of CMAC
}

func newXAES(k *key) *xaes {
	x := &xaes{block: mustBlock(k[:])}
	x.block.Encrypt(x.k1[:], x.k1[:])
	double(&x.k1)
	return x
}

// encrypt appends to dst a random nonce and the encryption of plain.
func (x *xaes) encrypt(dst, plain, aad []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, nonceSize)...)
	nonce := (*[nonceSize]byte)(dst[at:])
	rand.Read(nonce[:])
	return x.message(nonce).Seal(dst, nonce[nonceSize-12:], plain, aad)
}

// decrypt reads what encrypt appended.
func (x *xaes) decrypt(sealed, aad []byte) ([]byte, error) {
	if len(sealed) < nonceSize+tagSize {
		return nil, fmt.Errorf("%d bytes: %w", len(sealed), ErrSealed)
	}
	nonce := (*[nonceSize]byte)(sealed)
	plain, err := x.message(nonce).Open(nil, nonce[nonceSize-12:], sealed[nonceSize:], aad)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// message is AES-256-GCM under the key that XAES-256-GCM derives for nonce.
func (x *xaes) message(nonce *[nonceSize]byte) cipher.AEAD {
	var derived [keySize]byte
	for i := range 2 {
		m := (*block)(derived[i*aes.BlockSize:])
		*m = block{0, byte(i + 1), 'X', 0}
		copy(m[4:], nonce[:12])
		xor(m, &x.k1)
		x.block.Encrypt(m[:], m[:])
	}
	aead, err := cipher.NewGCM(mustBlock(derived[:]))
	if err != nil {
		panic(err) // AES always has the block size that GCM wants
	}
	return aead
}

// dataKey seals the personal parts of one person, or of what names nobody.
type dataKey [sivKeySize]byte

func newDataKey() dataKey {
	var k dataKey
	rand.Read(k[:])
	return k
}

func mustBlock(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the size of key is constant
	}
	return b
}
