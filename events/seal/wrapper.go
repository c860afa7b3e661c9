package seal

import (
	"encoding/binary"
	"fmt"
)

// wrapper wraps entries under the key of one epoch.
type wrapper struct {
	epoch uint32
	key   *xaes
	entry []byte // of the epoch, as it was when the key was unwrapped
}

const (
	wrapVersion = 2
	wrapHead    = 1 + 4 // version and epoch
)

// wrap is plain as it is stored under name: version, epoch, nonce, ciphertext.
func (w *wrapper) wrap(name string, plain []byte) []byte {
	dst := append(make([]byte, 0, wrapHead+nonceSize+len(plain)+tagSize), wrapVersion)
	return w.key.encrypt(binary.BigEndian.AppendUint32(dst, w.epoch), plain, entryAAD(name))
}

// unwrap reads what wrap wrote under the same name, in the same epoch.
func (w *wrapper) unwrap(name string, stored []byte) ([]byte, error) {
	return w.key.decrypt(stored[wrapHead:], entryAAD(name))
}

// epochOf is the epoch that an entry is wrapped in.
func epochOf(stored []byte) (uint32, error) {
	if len(stored) < wrapHead || stored[0] != wrapVersion {
		return 0, fmt.Errorf("not a keyring entry: %w", ErrSealed)
	}
	return binary.BigEndian.Uint32(stored[1:]), nil
}

// entryAAD binds an entry to its name, so that entries cannot be swapped.
func entryAAD(name string) []byte {
	return appendLengthPrefixed(append(make([]byte, 0, 128), "rescind keyring v1\x00"...), name)
}
