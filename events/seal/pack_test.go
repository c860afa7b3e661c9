package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/internal/workload"
)

func checkPacked(t interface {
	Helper()
	Fatalf(string, ...any)
}, plain []byte) {
	t.Helper()
	packed := appendPacked([]byte("before"), plain)[len("before"):]
	if len(packed) > maxSealed(len(plain))-17 {
		t.Fatalf("%d bytes of %d", len(packed), len(plain))
	}
	if got, err := unpack(packed); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("packed %x of %q came back as %q, %v", packed, plain, got, err)
	}
}

func TestPackingComesBack(t *testing.T) {
	t.Parallel()
	for n := range 300 {
		checkPacked(t, bytes.Repeat([]byte{'a'}, n))
		checkPacked(t, bytes.Repeat([]byte{'z'}, n))
		checkPacked(t, bytes.Repeat([]byte{0xff}, n))
	}
	pieces := append([]string{"", "a", "zz", "DEADBEEF", "0", strings.Repeat("0a", 70), "Mozilla/5.0", "\x00\xff"}, phrases[:]...)
	rapid.Check(t, func(rt *rapid.T) {
		checkPacked(rt, []byte(strings.Join(rapid.SliceOf(rapid.SampledFrom(pieces)).Draw(rt, "pieces"), "")))
	})
}

// TestPackingTakesTheFirstTokenThatFits: what is packed is, byte for byte, what
// looking at each place for itself makes of it, however it is looked up.
func TestPackingTakesTheFirstTokenThatFits(t *testing.T) {
	t.Parallel()
	piece := rapid.OneOf(
		rapid.SampledFrom(phrases[:]), rapid.StringMatching(`[0-9a-f]{1,12}`), rapid.StringMatching(`[0-9a-f]{120,140}`),
		rapid.StringMatching(`[a-gMC.h/ ]{1,4}`), rapid.StringMatching(`[0-9A-F@-]{1,20}`),
		rapid.Map(rapid.SampledFrom(phrases[:]), func(p string) string { return p[:len(p)-1] }), rapid.String(),
	)
	rapid.Check(t, func(rt *rapid.T) {
		plain := []byte(strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(rt, "pieces"), ""))
		if got, want := appendPacked(nil, plain), packedPlainly(plain); !bytes.Equal(got, want) {
			rt.Fatalf("%q is packed as %x, want %x", plain, got, want)
		}
	})
}

// packedPlainly asks at each place for every phrase in turn, then for digits.
func packedPlainly(plain []byte) (out []byte) {
	literal := 0
	for i := 0; i < len(plain); {
		token, n := firstToken(plain[i:])
		if n == 0 {
			i++
			continue
		}
		out = append(appendLiteral(out, plain[literal:i]), token)
		if token < phraseToken {
			out, _ = hex.AppendDecode(out, plain[i:i+n])
		}
		i += n
		literal = i
	}
	return appendLiteral(out, plain[literal:])
}

func firstToken(b []byte) (token byte, n int) {
	for i, p := range phrases {
		if bytes.HasPrefix(b, []byte(p)) {
			return phraseToken + byte(i), len(p)
		}
	}
	for n < len(b) && n < 2*maxHex && bytes.IndexByte([]byte("0123456789abcdef"), b[n]) >= 0 {
		n++
	}
	if n /= 2; n < minHex {
		return 0, 0
	}
	return byte(hexToken + n - minHex), 2 * n
}

// TestEveryPhraseIsReached: one behind a shorter one would never be used.
func TestEveryPhraseIsReached(t *testing.T) {
	t.Parallel()
	if len(phrases) > 64 {
		t.Fatalf("%d phrases, want at most 64", len(phrases))
	}
	for i, p := range phrases {
		if got := appendPacked(nil, []byte(p)); !bytes.Equal(got, []byte{phraseToken + byte(i)}) {
			t.Errorf("phrase %d %q is packed as %x", i, p, got)
		}
	}
}

// TestPhrasesDoNotChange: what was sealed would come back as something else.
// New ones need another sealVersion.
func TestPhrasesDoNotChange(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte(strings.Join(phrases[:], "\x00")))
	if got := hex.EncodeToString(sum[:8]); got != "97b786282d159de0" {
		t.Errorf("the phrases are %s", got)
	}
}

func TestUnpackIsBounded(t *testing.T) {
	t.Parallel()
	for i, p := range phrases {
		if len(p) > 60 {
			t.Errorf("phrase %d is %d bytes", i, len(p))
		}
	}
	for _, bad := range []string{"\x00", "\x05abc", "\x80abc", "\xbf" + strings.Repeat("x", 66), "\xff", string(rune(0)) + "a\xfe"} {
		if got, err := unpack([]byte(bad)); err == nil {
			t.Errorf("%x unpacked as %q", bad, got)
		}
	}
}

// TestPersonalPartsAreSmall: sealed, those with identifiers in hex are three quarters
// of what they were in the clear.
func TestPersonalPartsAreSmall(t *testing.T) {
	t.Parallel()
	g, s := workload.New(workload.Config{}), SubjectKey{Generation: 1, key: newDataKey()}
	plain, sealed := 0, 0
	const n = 1000
	for range n {
		ev := g.Next()
		p, _ := ev.Data.PersonalPart()
		p.TokenID, p.SessionID = "0123456789abcdeffedcba9876543210", "00112233445566778899aabbccddeeff"
		p.UserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Seal("acme", "src", "id", b)
		if err != nil {
			t.Fatal(err)
		}
		plain, sealed = plain+len(b), sealed+len(c)
	}
	t.Logf("%d bytes in the clear, %d sealed", plain/n, sealed/n)
	if 4*sealed > 3*plain {
		t.Errorf("%d bytes in the clear, %d sealed", plain/n, sealed/n)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\x02abc\x80\x01\x02\x03\x04\xc0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := unpack(b); err == nil && len(plain) > 60*len(b) {
			t.Fatalf("%d bytes of %d", len(plain), len(b))
		}
		checkPacked(t, b)
	})
}

func BenchmarkPack(b *testing.B) {
	ev := workload.New(workload.Config{}).Next()
	p, _ := ev.Data.PersonalPart()
	plain, err := p.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	packed := appendPacked(nil, plain)
	b.Run("pack", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 500)
		for b.Loop() {
			appendPacked(dst, plain)
		}
	})
	b.Run("unpack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := unpack(packed); err != nil {
				b.Fatal(err)
			}
		}
	})
}
