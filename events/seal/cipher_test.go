package seal

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"errors"
	"testing"
	"time"
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
		k := key(bytes.Repeat([]byte{c.key}, keySize))
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
		k, nonce := key(next(keySize)), [nonceSize]byte(next(nonceSize))
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
	k := newKey()
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

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 100
	c := newCache[int, int](bound, time.Minute, time.Now)
	for i := range 20 * bound {
		c.put(i, i, c.mark())
		c.get(i / 2)
		if n := c.len(); n > bound+1 {
			t.Fatalf("%d entries after %d puts", n, i+1)
		}
	}
	if v, ok := c.get(20*bound - 1); !ok || v != 20*bound-1 {
		t.Fatal("the newest entry is gone")
	}
}

func TestCacheDropsWhatWasReadBeforeARemoval(t *testing.T) {
	t.Parallel()
	c := newCache[int, int](10, time.Minute, time.Now)
	mark := c.mark()
	c.remove(1)
	c.put(1, 1, mark)
	if _, ok := c.get(1); ok {
		t.Fatal("a value read before the removal was kept")
	}
	c.put(1, 1, c.mark())
	if _, ok := c.get(1); !ok {
		t.Fatal("a value read after the removal was not kept")
	}
}

func TestCacheEntriesExpire(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	c := newCache[int, int](10, time.Second, func() time.Time { return now })
	c.put(1, 1, c.mark())
	now = now.Add(time.Second - 1)
	if _, ok := c.get(1); !ok {
		t.Fatal("gone too early")
	}
	now = now.Add(1)
	if _, ok := c.get(1); ok {
		t.Fatal("still there")
	}
}

func BenchmarkSeal(b *testing.B) {
	s := SubjectKey{Generation: 1, key: newKey()}
	plain := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal("acme", "https://issuer.example", "0198b7f2-8d2a-7c3e-9b1a-111111111111", plain); err != nil {
			b.Fatal(err)
		}
	}
}
