package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"
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
	pieces := append([]string{"", "a", "zz", "DEADBEEF", "0", strings.Repeat("0a", 70), "Mozilla/5.0", "\x00\xff"}, append(phrases[:], members...)...)
	rapid.Check(t, func(rt *rapid.T) {
		checkPacked(rt, []byte(strings.Join(rapid.SliceOf(rapid.SampledFrom(pieces)).Draw(rt, "pieces"), "")))
	})
}

// members are what has a token of its own, and what only looks so.
var members = []string{
	anID, "\x01\x78\x24" + anID, "\x02\x78\x24" + anID, "\x03\x78\x24" + anID, "\x04\x78\x24" + anID, "\x05\x78\x24" + anID,
	"\x00\x78\x24" + anID, strings.ToUpper(anID), anID[:35], "\x02\x78\x24" + anID[:35], strings.ReplaceAll(anID, "-", "0"), anID[:20] + "g" + anID[21:],
	strings.Repeat("-", 36), "\x02\x78\x25" + anID,
	"\x05\x67" + "1.2.3.4", "\x05\x6f" + "255.255.255.255", "\x05\x6a" + "192.168.00", "\x05\x68" + "01.2.3.4", "\x05\x68" + "1.2.3.4 ", "\x05\x66" + "1.2.3.4",
	"\x05\x78\x07" + "1.2.3.4", "\x05\x69" + "1.256.3.4", "\x05\x69" + "1.2.3.256", "\x05\x70" + "2001:DB8:1::1:22", "\x05\x74" + "fe80::1234:5678%eth0",
	"\x05\x62::", "\x05\x6b2001:db8::1", "\x05\x6b2001:DB8::1", "\x05\x6cfe80::1%eth0", "\x05\x6e::ffff:1.2.3.4", "\x05\x6b::1.2.3.4",
	"\x05\x78\x262001:db8:1111:2222:3333:4444:5555:6666", "\x05\x77" + "2001:db8:1111:2222:3::4", "\x05\x78\x18" + "2001:db8:1111:2222:33::4", "\x05", "\x05\x67", "\x05\x78", "\x01", "\x04\x78\x24",
}

const anID = "019a1b2c-3d4e-7f60-8a9b-acbdcedf0011"

// TestMembersTakeTheirBytes: a UUID takes 17 and an address 5 or 17, whatever
// is beside them.
func TestMembersTakeTheirBytes(t *testing.T) {
	t.Parallel()
	for plain, want := range map[string]int{
		"\x01\x78\x24" + anID: 17, "\x02\x78\x24" + anID: 17, "\x03\x78\x24" + anID: 17, "\x04\x78\x24" + anID: 17, anID: 17,
		"\x05\x67" + "1.2.3.4": 5, "\x05\x6f" + "255.255.255.255": 5, "\x05\x6b2001:db8::1": 14, "\x05\x70" + "2001:db8:1::1:22": 17, "\x05\x78\x262001:db8:1111:2222:3333:4444:5555:6666": 17,
	} {
		if got := appendPacked(nil, []byte(plain)); len(got) != want {
			t.Errorf("%q takes %d bytes, want %d: %x", plain, len(got), want, got)
		}
	}
}

// TestPackingTakesTheFirstTokenThatFits: what is packed is, byte for byte, what
// looking at each place for itself makes of it, however it is looked up.
func TestPackingTakesTheFirstTokenThatFits(t *testing.T) {
	t.Parallel()
	piece := rapid.OneOf(
		rapid.SampledFrom(phrases[:]), rapid.SampledFrom(members), rapid.StringMatching(`[0-9a-f]{1,12}`), rapid.StringMatching(`[0-9a-f]{120,140}`),
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
		out = append(append(appendLiteral(out, plain[literal:i]), token), bodyPlainly(token, string(plain[i:i+n]))...)
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
	if m := regexpMember.Find(b); m != nil {
		if _, err := uuid.Parse(string(m[len(m)-36:])); err == nil && len(m) == 39 {
			return idToken + m[0], 39
		}
		return idToken, 36
	}
	if len(b) > 2 && b[0] == 5 {
		var m map[int]string
		if rest, err := cbor.UnmarshalFirst(append([]byte{0xa1}, b...), &m); err == nil {
			whole := len(b) - len(rest)
			again, _ := cbor.Marshal(m)
			if addr, err := netip.ParseAddr(m[5]); err == nil && addr.Zone() == "" && addr.String() == m[5] && bytes.Equal(again[1:], b[:whole]) && (addr.Is4() || len(m[5]) >= 16) {
				return addressToken + byte(addr.BitLen()/128), whole
			}
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

var regexpMember = regexp.MustCompile(`^(?s:[\x01-\x04]x\x24)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// bodyPlainly is what belongs to a token that stands for text.
func bodyPlainly(token byte, text string) []byte {
	switch {
	case token < phraseToken || token < addressToken && token >= idToken:
		if token >= idToken {
			text = strings.ReplaceAll(text[len(text)-36:], "-", "")
		}
		b, _ := hex.DecodeString(text[:len(text)&^1])
		return b
	case token >= addressToken:
		var m map[int]string
		_ = cbor.Unmarshal([]byte("\xa1"+text), &m)
		return netip.MustParseAddr(m[5]).AsSlice()
	}
	return nil
}

// TestEveryPhraseIsReached: one behind a shorter one would never be used.
func TestEveryPhraseIsReached(t *testing.T) {
	t.Parallel()
	if len(phrases) > idToken-phraseToken {
		t.Fatalf("%d phrases, want at most %d", len(phrases), idToken-phraseToken)
	}
	for i, p := range phrases {
		if got := appendPacked(nil, []byte(p)); !bytes.Equal(got, []byte{phraseToken + byte(i)}) {
			t.Errorf("phrase %d %q is packed as %x", i, p, got)
		}
	}
}

// TestPhrasesDoNotChange: what was sealed would come back as something else.
// New ones need another version.
func TestPhrasesDoNotChange(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte(strings.Join(phrases[:], "\x00")))
	if got := hex.EncodeToString(sum[:8]); got != "8bdd6d4fecc74088" {
		t.Errorf("the phrases are %s", got)
	}
	sum = sha256.Sum256([]byte(strings.Join(phrases[:39], "\x00")))
	if got := hex.EncodeToString(sum[:8]); got != "97b786282d159de0" {
		t.Errorf("the phrases of version 2 are %s", got)
	}
}

func TestUnpackIsBounded(t *testing.T) {
	t.Parallel()
	for i, p := range phrases {
		if len(p) > 60 {
			t.Errorf("phrase %d is %d bytes", i, len(p))
		}
	}
	for _, bad := range []string{"\x00", "\x05abc", "\x80abc", "\xbf" + strings.Repeat("x", 66), "\xff", string(rune(0)) + "a\xfe", "\xf0" + strings.Repeat("x", 15), "\xf4", "\xf5abc", "\xf6" + strings.Repeat("x", 15), "\xf7" + strings.Repeat("x", 40)} {
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
	f.Add([]byte("\xf2abcdefghijklmnop\xf5abcd\xf6abcdefghijklmnop"))
	for _, m := range members {
		f.Add([]byte(m))
	}
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
