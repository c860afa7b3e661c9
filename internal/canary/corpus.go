package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"slices"
)

// window is how much of a digest is looked for.
const window = 8

// Corpus is all that lies in files, made to be asked at which places eight bytes
// stand. It does not change.
type Corpus struct {
	parts [][]byte
	seen  fingerprints
}

// Read takes in everything below dirs, and what text in it stands for that is hex
// or base64.
func Read(dirs ...string) (*Corpus, error) {
	c := &Corpus{}
	for _, dir := range dirs {
		err := walk(dir, func(_ string, contents [][]byte) {
			for _, b := range contents {
				c.add(b)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	c.index()
	return c, nil
}

// add takes in b, and what its text stands for.
func (c *Corpus) add(b []byte) {
	c.parts = append(c.parts, b)
	for _, text := range runs(b, hexText, 2*window) {
		for at := range 2 {
			plain, _ := hex.AppendDecode(nil, text[at:at+(len(text)-at)/2*2]) // hexText holds nothing else
			c.parts = append(c.parts, plain)
		}
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for _, text := range runs(b, base64Text[enc], 4*window/3+1) {
			for at := range 4 {
				plain, _ := enc.AppendDecode(nil, whole(text[at:]))
				c.parts = append(c.parts, plain)
			}
		}
	}
}

// whole is text without a last character that no byte ends in.
func whole(text []byte) []byte {
	if len(text)%4 == 1 {
		return text[:len(text)-1]
	}
	return text
}

// alphabet says which bytes a text is written in.
type alphabet [256]bool

func alphabetOf(letters string) (a alphabet) {
	for _, b := range []byte(letters) {
		a[b] = true
	}
	return a
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

var (
	hexText    = alphabetOf("0123456789abcdefABCDEF")
	base64Text = map[*base64.Encoding]alphabet{
		base64.RawStdEncoding: alphabetOf(letters + "+/"), base64.RawURLEncoding: alphabetOf(letters + "-_"),
	}
)

// runs is where at least n bytes in a row are of an alphabet.
func runs(b []byte, of alphabet, n int) (out [][]byte) {
	for from := 0; from < len(b); {
		to := from
		for to < len(b) && of[b[to]] {
			to++
		}
		if to-from >= n {
			out = append(out, b[from:to])
		}
		from = to + 1
	}
	return out
}

func (c *Corpus) index() {
	places := 0
	for _, p := range c.parts {
		places += max(len(p)-window+1, 0)
	}
	c.seen = newFingerprints(places)
	for _, p := range c.parts {
		for i := range max(len(p)-window+1, 0) {
			c.seen.add(binary.LittleEndian.Uint64(p[i:]))
		}
	}
}

// Bytes is how many the corpus has, with what text stands for.
func (c *Corpus) Bytes() (n int) {
	for _, p := range c.parts {
		n += len(p)
	}
	return n
}

// has reports whether b stands anywhere in the corpus.
func (c *Corpus) has(b []byte) bool {
	for i := range len(b) - window + 1 {
		if !c.seen.may(binary.LittleEndian.Uint64(b[i:])) {
			return false
		}
	}
	return slices.ContainsFunc(c.parts, func(p []byte) bool { return bytes.Contains(p, b) })
}

// fingerprints is a set that never denies what it was given, and takes one in
// billions for another.
type fingerprints struct {
	slots []uint32 // 0 is empty
	shift int
}

func newFingerprints(n int) fingerprints {
	size := max(bits.Len(uint(n)), 4) + 1 // at most half full
	return fingerprints{slots: make([]uint32, 1<<size), shift: 64 - size}
}

// at is where v is looked for first, and what stands for it there.
func (f *fingerprints) at(v uint64) (slot int, print uint32) {
	hi, lo := bits.Mul64(v^0x9e3779b97f4a7c15, 0xff51afd7ed558ccd)
	h := (hi ^ lo) * 0xc4ceb9fe1a85ec53
	return int(h >> f.shift), uint32(h) | 1
}

func (f *fingerprints) add(v uint64) {
	slot, print := f.at(v)
	for f.slots[slot] != 0 && f.slots[slot] != print {
		slot = (slot + 1) & (len(f.slots) - 1)
	}
	f.slots[slot] = print
}

func (f *fingerprints) may(v uint64) bool {
	slot, print := f.at(v)
	for f.slots[slot] != 0 {
		if f.slots[slot] == print {
			return true
		}
		slot = (slot + 1) & (len(f.slots) - 1)
	}
	return false
}
