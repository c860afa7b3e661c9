package events

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// The major types of CBOR that our shapes are made of, and its simple values.
const (
	cborUint  = 0x00
	cborInt   = 0x20 // negative
	cborBytes = 0x40
	cborText  = 0x60
	cborArray = 0x80
	cborMap   = 0xa0

	cborFalse   = 0xf4
	cborTrue    = 0xf5
	cborNull    = 0xf6
	cborFloat16 = 0xf9
	cborFloat32 = 0xfa
	cborFloat64 = 0xfb
)

// appendHead appends a major type with its argument in the shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, cborInt, uint64(^n))
	}
	return appendHead(b, cborUint, uint64(n))
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}

// appendBytes appends data, or null for nil.
func appendBytes(b, data []byte) []byte {
	if data == nil {
		return append(b, cborNull)
	}
	return append(appendHead(b, cborBytes, uint64(len(data))), data...)
}

func appendTexts(b []byte, list []string) []byte {
	b = appendHead(b, cborArray, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

func appendTextMap(b []byte, m map[string]string) []byte {
	b = appendHead(b, cborMap, uint64(len(m)))
	for _, k := range sortedKeys(m) {
		b = appendText(appendText(b, k), m[k])
	}
	return b
}

// sortedKeys is the names of m in the order of their encodings: the shorter
// first, then byte by byte.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareKeys[string])
	return keys
}

func compareKeys[T string | []byte](a, b T) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(string(a), string(b)))
}

// appendFloat appends f in the shortest of the three widths that holds it.
func appendFloat(b []byte, f float64) []byte {
	single := float32(f)
	if float64(single) != f {
		return binary.BigEndian.AppendUint64(append(b, cborFloat64), math.Float64bits(f))
	}
	if half, ok := halfOf(single); ok {
		return binary.BigEndian.AppendUint16(append(b, cborFloat16), half)
	}
	return binary.BigEndian.AppendUint32(append(b, cborFloat32), math.Float32bits(single))
}

// halfOf is f, which is finite, in IEEE 754 binary16, and whether it is the
// same number there.
func halfOf(f float32) (uint16, bool) {
	bits := math.Float32bits(f)
	sign, exponent, fraction := uint16(bits>>16&0x8000), int(bits>>23&0xff)-127, bits&0x7fffff
	switch {
	case bits<<1 == 0:
		return sign, true
	case exponent > 15 || exponent < -24:
		return 0, false
	case exponent >= -14:
		return sign | uint16(exponent+15)<<10 | uint16(fraction>>13), fraction&0x1fff == 0
	default: // a number without the leading one
		shift := uint(-exponent - 1) // of 24 bits, the leading one among them
		whole := fraction | 0x800000
		return sign | uint16(whole>>shift), whole&(1<<shift-1) == 0
	}
}

// widened is the number that halfOf made h of; infinities and NaN are not.
func widened(h uint16) (f float64, finite bool) {
	exponent, fraction := int(h>>10&0x1f), float64(h&0x3ff)
	switch exponent {
	case 0:
		f = math.Ldexp(fraction, -24)
	case 0x1f:
		return 0, false
	default:
		f = math.Ldexp(fraction+1024, exponent-25)
	}
	if h&0x8000 != 0 {
		f = -f
		if f == 0 {
			f = math.Copysign(0, -1)
		}
	}
	return f, true
}

// pairs writes a map whose keys are small numbers in ascending order, and
// leaves out what is empty.
type pairs struct {
	b     []byte
	start int // of the map's head, one byte until end
	n     int
}

func (p *pairs) begin(b []byte) { *p = pairs{b: append(b, 0), start: len(b)} }

// end writes the number of pairs into the head, which takes a second byte from
// 24 on, and returns what was written.
func (p *pairs) end() []byte {
	if p.n >= 24 {
		p.b = slices.Insert(p.b, p.start+1, byte(p.n))
		p.b[p.start] = cborMap | 24
		return p.b
	}
	p.b[p.start] = cborMap | byte(p.n)
	return p.b
}

// key begins a pair: the caller appends its value.
func (p *pairs) key(k uint8) {
	p.n++
	p.b = appendHead(p.b, cborUint, uint64(k))
}

func (p *pairs) textAlways(k uint8, s string) {
	p.key(k)
	p.b = appendText(p.b, s)
}

func (p *pairs) text(k uint8, s string) {
	if s != "" {
		p.textAlways(k, s)
	}
}

func (p *pairs) texts(k uint8, list []string) {
	if len(list) > 0 {
		p.key(k)
		p.b = appendTexts(p.b, list)
	}
}

func (p *pairs) intAlways(k uint8, n int64) {
	p.key(k)
	p.b = appendInt(p.b, n)
}

func (p *pairs) int(k uint8, n int64) {
	if n != 0 {
		p.intAlways(k, n)
	}
}

func (p *pairs) uintAlways(k uint8, n uint64) {
	p.key(k)
	p.b = appendHead(p.b, cborUint, n)
}

func (p *pairs) uint(k uint8, n uint64) {
	if n != 0 {
		p.uintAlways(k, n)
	}
}

func (p *pairs) refAlways(k uint8, r *Ref) {
	p.key(k)
	p.b = append(append(p.b, cborBytes|byte(len(r))), r[:]...)
}

func (p *pairs) ref(k uint8, r *Ref) {
	if *r != (Ref{}) {
		p.refAlways(k, r)
	}
}

func (p *pairs) hashAlways(k uint8, h *Hash) {
	p.key(k)
	p.b = append(append(p.b, cborBytes|24, byte(len(h))), h[:]...)
}

func (p *pairs) hash(k uint8, h *Hash) {
	if *h != (Hash{}) {
		p.hashAlways(k, h)
	}
}
