package seal

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"errors"
	"testing"
)

// The vectors are those of C2SP XAES-256-GCM.
func TestCipherVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key       byte
		aad, want string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		k := newXAES((*key)(bytes.Repeat([]byte{c.key}, keySize)))
		nonce := [nonceSize]byte([]byte("ABCDEFGHIJKLMNOPQRSTUVWX"))
		got := k.message(&nonce).Seal(nil, nonce[12:], []byte("XAES-256-GCM"), []byte(c.aad))
		if hex.EncodeToString(got) != c.want {
			t.Errorf("key %d: %x, want %s", c.key, got, c.want)
		}
		plain, err := k.decrypt(append(nonce[:], got...), []byte(c.aad))
		if err != nil || string(plain) != "XAES-256-GCM" {
			t.Errorf("key %d: decrypt: %q, %v", c.key, plain, err)
		}
	}
}

func TestCipherAccumulated(t *testing.T) {
	t.Parallel()
	in, out := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	next := func(n int) []byte {
		b := make([]byte, n)
		in.Read(b)
		return b
	}
	for range 10_000 {
		k, nonce := newXAES((*key)(next(keySize))), [nonceSize]byte(next(nonceSize))
		plain := next(int(next(1)[0]))
		aad := next(int(next(1)[0]))
		out.Write(k.message(&nonce).Seal(nil, nonce[12:], plain, aad))
	}
	sum := make([]byte, 32)
	out.Read(sum)
	if got := hex.EncodeToString(sum); got != "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939" {
		t.Errorf("got %s", got)
	}
}

func TestCipherRefusesChangedBytes(t *testing.T) {
	t.Parallel()
	random := newKey()
	k := newXAES(&random)
	sealed := k.encrypt(nil, []byte("plain"), []byte("aad"))
	for bit := range 8 * len(sealed) {
		changed := bytes.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, err := k.decrypt(changed, []byte("aad")); !errors.Is(err, ErrSealed) {
			t.Fatalf("bit %d: %v, want ErrSealed", bit, err)
		}
	}
	for n := range sealed {
		if _, err := k.decrypt(sealed[:n], []byte("aad")); !errors.Is(err, ErrSealed) {
			t.Fatalf("%d bytes: %v, want ErrSealed", n, err)
		}
	}
}
