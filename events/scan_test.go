package events

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// drawSuspect draws texts that are made of pieces of tokens and card numbers.
func drawSuspect(t *rapid.T, name string) string {
	piece := rapid.OneOf(
		rapid.SampledFrom(append([]string{rawJWT, rawJWT[:20], "eyJ", "ew", "e", ".", "..", " ", "-", "  ", "--", "4111 1111", "11111111", "1", "7", "é", "\n"}, cards...)),
		rapid.StringMatching(`[0-9a-f]{1,20}`), rapid.StringMatching(`[0-9 -]{1,20}`),
	)
	return strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, name), "")
}

// What the quick look passes, the slow one passes too, under every name.
func TestWhatLooksInnocentIs(t *testing.T) {
	t.Parallel()
	found, passed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 100 {
			s := drawSuspect(t, "text")
			slow := holdsToken(s) || holdsCard(s, false)
			if offence("data.note", s) != nil != slow {
				t.Fatalf("%q: offence says %v", s, !slow)
			}
			if suspicious(s) != slow {
				t.Fatalf("%q: the quick look says %t, the slow one %t", s, !slow, slow)
			}
			if slow {
				found++
			} else {
				passed++
			}
		}
	})
	if found < 100 || passed < 100 {
		t.Errorf("%d offend, %d do not: the cases say too little", found, passed)
	}
}

// cardForms is what cardNumber looks for, as an expression.
var cardForms = regexp.MustCompile(`[2-6]\d{12,18}|[2-6]\d{3}([ -])\d{4}[ -]\d{4}[ -]\d{1,7}|3[0-9]\d\d([ -])\d{6}[ -]\d{4,5}`)

// What can be a card number is found where the expression finds it.
func TestCardNumbersAreFoundAsTheExpressionDoes(t *testing.T) {
	t.Parallel()
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.OneOf(
			rapid.StringMatching(`[2-6]\d{3}[ -]\d{4}[ -]\d{4}[ -]\d{0,8}`), rapid.StringMatching(`3\d{3}[ -]\d{6}[ -]\d{3,6}`),
			rapid.StringMatching(`\d{10,22}`), rapid.StringMatching(`[0-9 -]{0,9}`), rapid.SampledFrom([]string{"", "x", " ", "é"}),
		)
		for range 20 {
			s := strings.Join(rapid.SliceOfN(piece, 0, 4).Draw(t, "text"), "")
			var got [][]int
			for i := 0; i < len(s); {
				end := cardNumber(s, i)
				if end > 0 {
					got = append(got, []int{i, end})
				}
				i = max(i+1, end)
			}
			if want := cardForms.FindAllStringIndex(s, -1); !slices.EqualFunc(got, want, slices.Equal) {
				t.Fatalf("%q: found at %v, want %v", s, got, want)
			}
			found += len(got)
		}
	})
	if found < 100 {
		t.Errorf("%d numbers: the cases say too little", found)
	}
}

// An event is suspicious if the walk over all of its texts finds something.
func TestEventsThatLookInnocentAre(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ev := wantIssued()
		ev.Data.Personal = drawPersonal(t, rapid.Custom(func(t *rapid.T) string { return drawSuspect(t, "claim") }))
		ev.Data.View = rapid.Uint64().Draw(t, "view")
		all := members()
		for name, put := range all {
			if rapid.IntRange(0, 20).Draw(t, "put "+name) == 0 {
				put(&ev, drawSuspect(t, name))
			}
		}
		found := checkHealth(&ev.Data) != nil
		ev.walk(func(name, s string) bool {
			found = found || offence(name, s) != nil
			return !found
		})
		if found && !ev.suspicious() {
			t.Fatalf("%+v offends and looks innocent", ev)
		}
	})
}

func TestPrintableASCII(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.OneOf(rapid.ByteRange(' ', '~'), rapid.SampledFrom([]byte{0, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xff})), 0, 30).Draw(t, "bytes")
		want := true
		for _, c := range b {
			want = want && c >= ' ' && c < 0x7f
		}
		s := string(b)
		if printableASCII(s) != want {
			t.Fatalf("%q: %t", s, !want)
		}
		if want && (!utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)) {
			t.Fatalf("%q is printable and is not", s)
		}
	})
}

func TestNamesInASCIIArePlainTheSameWay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z_ :/#-]{0,80}`)).Draw(t, "name")
		var buf [64]byte
		if got, ok := plainASCII(buf[:0], name); ok && string(got) != plainName(name) {
			t.Fatalf("%q is %q, want %q", name, got, plainName(name))
		}
	})
}

func TestJSONTakesAtMost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawPersonal(t, rapid.String())
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > jsonAtMost(m) {
			t.Fatalf("%s has %d bytes, at most %d were promised", b, len(b), jsonAtMost(m))
		}
	})
}

// Whatever stands around them, and wherever in a word of eight bytes.
func TestScansLookEverywhere(t *testing.T) {
	t.Parallel()
	for before := range 40 {
		for after := range 20 {
			head, tail := strings.Repeat("x", before), strings.Repeat("y", after)
			if s := head + " 4222222222222 " + tail; !suspicious(s) {
				t.Errorf("%q looks innocent", s)
			}
			if !printableASCII(head + " ~" + tail) {
				t.Errorf("%d before and %d after are not printable", before, after)
			}
			for _, odd := range []string{"\x00", "\x1f", "\x7f", "\x80", "\xff"} {
				if printableASCII(head + odd + tail) {
					t.Errorf("%q after %d and before %d is printable", odd, before, after)
				}
			}
		}
	}
	for _, s := range []string{"\x01", "<", "\u2028", "\"", "é", "\xff"} {
		m := map[string]any{strings.Repeat(s, 100): strings.Repeat(s, 1000)}
		if b, err := json.Marshal(m); err != nil || len(b) > jsonAtMost(m) {
			t.Errorf("%q takes %d bytes, %v; at most %d were promised", s, len(b), err, jsonAtMost(m))
		}
	}
}
