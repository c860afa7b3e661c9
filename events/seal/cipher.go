package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
)

const (
	keySize   = 32
	nonceSize = 24
	tagSize   = 16
)

// key is a 256-bit key of any kind.
type key [keySize]byte

func newKey() key {
	var k key
	rand.Read(k[:]) // never fails: crypto/rand ends the process instead
	return k
}

// encrypt appends to dst a random nonce and the XAES-256-GCM encryption of
// plain under k.
//
// AES-256-GCM alone bounds a key to 2^32 random nonces, which a busy tenant's
// own key or the key-encryption key could reach. XAES-256-GCM derives the
// AES-256-GCM key of each message from half of a nonce twice as long, and has
// no bound that matters.
func (k *key) encrypt(dst, plain, aad []byte) []byte {
	var nonce [nonceSize]byte
	rand.Read(nonce[:])
	dst = append(dst, nonce[:]...)
	return k.message(&nonce).Seal(dst, nonce[nonceSize-12:], plain, aad)
}

// decrypt reads what encrypt appended.
func (k *key) decrypt(sealed, aad []byte) ([]byte, error) {
	if len(sealed) < nonceSize+tagSize {
		return nil, fmt.Errorf("%d bytes: %w", len(sealed), ErrSealed)
	}
	nonce := [nonceSize]byte(sealed)
	plain, err := k.message(&nonce).Open(nil, nonce[nonceSize-12:], sealed[nonceSize:], aad)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// message is AES-256-GCM under the key that XAES-256-GCM derives for nonce.
func (k *key) message(nonce *[nonceSize]byte) cipher.AEAD {
	block := mustBlock(k[:])
	var sub [aes.BlockSize]byte // the CMAC subkey K1
	block.Encrypt(sub[:], sub[:])
	hi, lo := binary.BigEndian.Uint64(sub[:8]), binary.BigEndian.Uint64(sub[8:])
	carry := hi >> 63
	binary.BigEndian.PutUint64(sub[:8], hi<<1|lo>>63)
	binary.BigEndian.PutUint64(sub[8:], lo<<1^carry*0x87)

	var derived [keySize]byte
	for i := range 2 {
		m := derived[i*aes.BlockSize:][:aes.BlockSize]
		copy(m, []byte{0, byte(i + 1), 'X', 0})
		copy(m[4:], nonce[:12])
		for j := range m {
			m[j] ^= sub[j]
		}
		block.Encrypt(m, m)
	}
	aead, err := cipher.NewGCM(mustBlock(derived[:]))
	if err != nil {
		panic(err) // AES always has the block size that GCM wants
	}
	return aead
}

func mustBlock(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the size of key is constant
	}
	return b
}

// lengthPrefixed joins parts so that no two lists of parts join to the same
// bytes.
func lengthPrefixed(label string, parts ...string) []byte {
	b := append(make([]byte, 0, 128), label...)
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}
