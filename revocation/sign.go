package revocation

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

var (
	// ErrSignature means that a message was not signed by the expected key for
	// the purpose it is used for, or was changed since.
	ErrSignature = errors.New("not signed by the feed's key")
	// ErrFormat means that a message cannot be read, though it may be signed.
	ErrFormat = errors.New("not in the expected format")
)

// purpose keeps a signature over one kind of message from being used for
// another.
type purpose string

const (
	purposeDelta        purpose = "rescind revocation delta v2\n"
	purposeAnnouncement purpose = "rescind revocation announcement v1\n"
	purposeSnapshot     purpose = "rescind revocation snapshot v2\n"
	purposeKeys         purpose = "rescind feed keys v1\n"
)

func (p purpose) digest(payload []byte) []byte {
	sum := sha256.Sum256(payload)
	return append([]byte(p), sum[:]...)
}

// sign is the signature followed by payload.
func (p purpose) sign(key ed25519.PrivateKey, payload []byte) []byte {
	out := make([]byte, 0, ed25519.SignatureSize+len(payload))
	out = append(out, ed25519.Sign(key, p.digest(payload))...)
	return append(out, payload...)
}

// open is the payload of what sign made.
func (p purpose) open(key ed25519.PublicKey, message []byte) ([]byte, error) {
	if len(key) != ed25519.PublicKeySize || len(message) < ed25519.SignatureSize {
		return nil, ErrSignature
	}
	payload := message[ed25519.SignatureSize:]
	if !ed25519.Verify(key, p.digest(payload), message[:ed25519.SignatureSize]) {
		return nil, ErrSignature
	}
	return payload, nil
}

var (
	encoder = func() cbor.EncMode {
		m, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // the options are constant
		}
		return m
	}()
	decoder = func() cbor.DecMode {
		m, err := cbor.DecOptions{
			DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
			MaxArrayElements: 1 << 24, MaxMapPairs: 64, MaxNestedLevels: 8, UTF8: cbor.UTF8RejectInvalid,
			ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, DefaultMapType: reflect.TypeFor[map[string]any](),
		}.DecMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
)

func decode(payload []byte, into any) error {
	if err := decoder.Unmarshal(payload, into); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}
