package eventrow

import (
	"maps"
	"slices"

	"github.com/ClickHouse/ch-go/proto"
)

// encoder holds what encoding one block needs for a while.
type encoder struct {
	values []string
	texts  []string
	words  []string
	codes  []uint32
	known  map[string]uint32
}

// The constants of LowCardinality on the wire, from ColumnLowCardinality.cpp:
// the version of the dictionary, and flags over the width of its codes.
const (
	dictionaryVersion = 1
	additionalKeys    = 1 << 9
	newDictionary     = 1 << 10
)

// dictionary writes values as the distinct ones of them and a code for each.
func (e *encoder) dictionary(b *proto.Buffer, values []string) {
	if len(values) == 0 {
		return
	}
	e.code(values)
	width := uint64(0) // the power of two of a code's bytes
	for limit := len(e.words) - 1; limit > 0xff; limit >>= 8 {
		width++
	}
	width = min(width, 2)
	b.PutUInt64(additionalKeys | newDictionary | width)
	b.PutInt64(int64(len(e.words)))
	for _, w := range e.words {
		b.PutString(w)
	}
	b.PutInt64(int64(len(e.codes)))
	e.putCodes(b, width)
}

// code numbers the distinct values, the empty text as 0. Most values are the
// one before them.
func (e *encoder) code(values []string) {
	clear(e.known)
	e.words, e.codes = append(e.words[:0], ""), e.codes[:0]
	e.known[""] = 0
	last, code := "", uint32(0)
	for _, v := range values {
		if v != last {
			var ok bool
			if code, ok = e.known[v]; !ok {
				code = uint32(len(e.words))
				e.words, e.known[v] = append(e.words, v), code
			}
			last = v
		}
		e.codes = append(e.codes, code)
	}
}

func (e *encoder) putCodes(b *proto.Buffer, width uint64) {
	for _, c := range e.codes {
		switch width {
		case 0:
			b.PutUInt8(uint8(c))
		case 1:
			b.PutUInt16(uint16(c))
		default:
			b.PutUInt32(c)
		}
	}
}

// attributes writes maps: where each ends, their names, their texts.
func (e *encoder) attributes(b *proto.Buffer, rows []Row) {
	e.values, e.texts = e.values[:0], e.texts[:0]
	for i := range rows {
		m := rows[i].Record.Attributes
		first := len(e.values)
		e.values = slices.AppendSeq(e.values, maps.Keys(m))
		slices.Sort(e.values[first:])
		for _, name := range e.values[first:] {
			e.texts = append(e.texts, m[name])
		}
		b.PutUInt64(uint64(len(e.values)))
	}
	e.dictionary(b, e.values)
	for _, t := range e.texts {
		b.PutString(t)
	}
}
