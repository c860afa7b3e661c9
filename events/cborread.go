package events

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// cborReader reads our shapes from deterministic CBOR (RFC 8949 section 4.2),
// in that form and in no other: the shortest heads, definite lengths, keys in
// order and once. The first fault sticks; after it every read gives zero, so
// that callers ask once, at the end.
type cborReader struct {
	b     []byte
	at    int
	fault string
	check bool // texts are looked at and not made: each that is not empty is present
}

// present stands for what a reader that checks has read.
const present = "x"

var (
	presentOnce = [...]string{present}
	presentMap  = map[string]string{present: present}
)

func (r *cborReader) fail(why string) {
	if r.fault == "" {
		r.fault = fmt.Sprintf("%s at byte %d", why, r.at)
	}
	r.at = len(r.b)
}

// end is the first fault, or that something follows.
func (r *cborReader) end() error {
	if r.fault == "" && r.at < len(r.b) {
		r.fail("something follows")
	}
	if r.fault != "" {
		return errors.New(r.fault)
	}
	return nil
}

// peek is the next byte, or 0xff, which begins nothing.
func (r *cborReader) peek() byte {
	if r.at >= len(r.b) {
		return 0xff
	}
	return r.b[r.at]
}

// head reads a head and its argument, which must be in the shortest form.
func (r *cborReader) head() (major byte, n uint64) {
	first := r.peek()
	major, n = first&0xe0, uint64(first&0x1f)
	r.at++
	if n < 24 {
		return major, n
	}
	width := 1 << (n - 24)
	if n > 27 || len(r.b)-r.at < width {
		r.fail("no head, or a cut one")
		return 0xff, 0
	}
	least := uint64(24)
	switch width {
	case 1:
		n = uint64(r.b[r.at])
	case 2:
		n, least = uint64(binary.BigEndian.Uint16(r.b[r.at:])), 1<<8
	case 4:
		n, least = uint64(binary.BigEndian.Uint32(r.b[r.at:])), 1<<16
	default:
		n, least = binary.BigEndian.Uint64(r.b[r.at:]), 1<<32
	}
	r.at += width
	if n < least {
		r.fail("a longer head than needed")
		return 0xff, 0
	}
	return major, n
}

func (r *cborReader) uint(limit uint64) uint64 {
	major, n := r.head()
	if major != cborUint || n > limit {
		r.fail("want an unsigned number within its bounds")
		return 0
	}
	return n
}

func (r *cborReader) int() int64 {
	major, n := r.head()
	switch {
	case n > math.MaxInt64 || major != cborUint && major != cborInt:
		r.fail("want a number of 64 bits")
		return 0
	case major == cborInt:
		return ^int64(n)
	default:
		return int64(n)
	}
}

// span is the next n bytes. They are those of the input.
func (r *cborReader) span(n uint64) []byte {
	if n > uint64(len(r.b)-r.at) {
		r.fail("cut")
		return nil
	}
	out := r.b[r.at : r.at+int(n) : r.at+int(n)]
	r.at += int(n)
	return out
}

// utf8 is the bytes of a text.
func (r *cborReader) utf8() []byte {
	major, n := r.head()
	if major != cborText {
		r.fail("want a text")
		return nil
	}
	b := r.span(n)
	if !utf8.Valid(b) {
		r.fail("a text that is not UTF-8")
		return nil
	}
	return b
}

func (r *cborReader) text() string {
	b := r.utf8()
	if r.check && len(b) > 0 {
		return present
	}
	return string(b)
}

// common is a text that repeats from event to event.
func (r *cborReader) common() string {
	if r.check {
		return r.text()
	}
	return intern(r.utf8())
}

// bytes is a byte string, which is of the input, or nil for null.
func (r *cborReader) bytes() []byte {
	if r.peek() == cborNull {
		r.at++
		return nil
	}
	major, n := r.head()
	if major != cborBytes {
		r.fail("want bytes")
		return nil
	}
	return r.span(n)
}

// fixed fills to with a byte string of its length.
func (r *cborReader) fixed(to []byte) {
	major, n := r.head()
	if major != cborBytes || n != uint64(len(to)) {
		r.fail("want bytes of a fixed length")
		return
	}
	copy(to, r.span(n))
}

func (r *cborReader) ref() (ref Ref) {
	r.fixed(ref[:])
	return ref
}

func (r *cborReader) hash() (h Hash) {
	r.fixed(h[:])
	return h
}

// items is the length of an array or a map whose elements take at least size
// bytes each: no more than can follow, so that a lie allocates nothing.
func (r *cborReader) items(major byte, size int) int {
	got, n := r.head()
	if got != major || n > uint64(len(r.b)-r.at)/uint64(size) {
		r.fail("want an array or a map, as long as it says")
		return 0
	}
	return int(n)
}

func (r *cborReader) texts() []string {
	n := r.items(cborArray, 1)
	if r.check {
		for range n {
			r.utf8()
		}
		return presentOnce[:min(n, 1)]
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.common()
	}
	return list
}

func (r *cborReader) textMap() map[string]string {
	n := r.items(cborMap, 2)
	if r.check {
		return r.checkTextMap(n)
	}
	m := make(map[string]string, n)
	before := ""
	for i := range n {
		k := r.common()
		if i > 0 && compareKeys(before, k) >= 0 {
			r.fail("names out of order")
			return nil
		}
		before, m[k] = k, r.text()
	}
	return m
}

func (r *cborReader) checkTextMap(n int) map[string]string {
	var before []byte
	for i := range n {
		k := r.utf8()
		if i > 0 && compareKeys(before, k) >= 0 {
			r.fail("names out of order")
			return nil
		}
		before = k
		r.utf8()
	}
	if n == 0 {
		return nil
	}
	return presentMap
}

// keys reads a map whose keys are small numbers in ascending order.
type keys struct {
	left int
	last uint64
	seen uint64 // a bit each
}

func (r *cborReader) keys() keys { return keys{left: r.items(cborMap, 2)} }

// next is the next key, or 0 at the end of the map or of what can be read. No
// map of ours has a key 0.
func (r *cborReader) next(k *keys) uint64 {
	if k.left == 0 || r.fault != "" {
		return 0
	}
	k.left--
	n := r.uint(maxKey)
	if n <= k.last {
		r.fail("keys out of order")
		return 0
	}
	k.last = n
	k.seen |= 1 << n
	return n
}

// maxKey is the highest key that keys can tell from others.
const maxKey = 63

// require asks that every key of want was read.
func (r *cborReader) require(k keys, want uint64) {
	if k.seen&want != want {
		r.fail("a member is missing")
	}
}

// number is a float of the shortest width that holds it, and finite.
func (r *cborReader) number() float64 {
	start := r.at
	width, f, ok := 8, 0.0, true
	switch r.peek() {
	case cborFloat16:
		width = 2
	case cborFloat32:
		width = 4
	}
	r.at++
	b := r.span(uint64(width))
	switch len(b) {
	case 2:
		f, ok = widened(binary.BigEndian.Uint16(b))
	case 4:
		f = float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	case 8:
		f = math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		r.fail("want a finite number")
		return 0
	}
	var buf [9]byte
	if r.fault == "" && string(appendFloat(buf[:0], f)) != string(r.b[start:r.at]) {
		r.fail("a wider number than needed")
	}
	return f
}
