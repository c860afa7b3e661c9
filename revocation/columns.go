package revocation

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/rescindhq/rescind/events"
)

// The columns of a snapshot, each a sequence of varints as binary.AppendUvarint
// and binary.AppendVarint write them. A shard begins with index and time 0.
const (
	columnKind    = iota // number of the kind
	columnIndex          // distance from the revocation before it
	columnAt             // s, signed distance from the revocation before it; 0 where only a lift is known
	columnExpires        // 0: never; else signed distance from at in s, as unsigned, plus 1
	columnBounds         // s, where the kind has them: signed distance of cut-off, then start, from at
	columnCount
)

// columnWriter packs rows in their order.
type columnWriter struct {
	raw   [columnCount][]byte
	index uint64
	at    int64
}

func newColumnWriter() *columnWriter { return new(columnWriter) }

// restart begins a shard.
func (w *columnWriter) restart() { w.index, w.at = 0, 0 }

func (w *columnWriter) add(r *logged, number uint64, k *kind) {
	if !k.known {
		r.at = w.at
	}
	w.put(columnKind, number)
	w.put(columnIndex, r.index-w.index)
	w.raw[columnAt] = binary.AppendVarint(w.raw[columnAt], r.at-w.at)
	w.index, w.at = r.index, r.at
	if r.expires == endless {
		w.put(columnExpires, 0)
	} else {
		w.put(columnExpires, fold(r.expires-r.at)+1)
	}
	if r.cutoff != endless {
		w.raw[columnBounds] = binary.AppendVarint(w.raw[columnBounds], r.cutoff-r.at)
	}
	if r.starts != 0 {
		w.raw[columnBounds] = binary.AppendVarint(w.raw[columnBounds], r.starts-r.at)
	}
}

func (w *columnWriter) put(column int, v uint64) {
	w.raw[column] = binary.AppendUvarint(w.raw[column], v)
}

// fold and unfold are a signed number as an unsigned one, the small ones small.
func fold(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unfold(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// columns is what was added, compressed.
func (w *columnWriter) columns() ([][]byte, error) {
	out := make([][]byte, columnCount)
	for i, raw := range w.raw {
		var b bytes.Buffer
		z, err := flate.NewWriter(&b, flate.BestSpeed)
		if err == nil {
			_, err = z.Write(raw)
		}
		if err == nil {
			err = z.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("compress: %w", err)
		}
		out[i] = b.Bytes()
	}
	return out, nil
}

// columns are the columns of a snapshot, unpacked.
type columns struct {
	raw   [columnCount][]byte
	flags []uint8 // of kinds
}

// maxVarint is how many bytes one number takes at most.
const maxVarint = binary.MaxVarintLen64

// openColumns unpacks the columns of n rows. No column can have more than ten
// bytes for each number, whatever it claims.
func openColumns(packed [][]byte, flags []uint8, n int) (c columns, err error) {
	if len(packed) != columnCount {
		return c, fmt.Errorf("%w: %d columns", ErrFormat, len(packed))
	}
	c.flags = flags
	for i := range packed {
		most := maxVarint * n
		if i == columnBounds {
			most *= 2
		}
		if c.raw[i], err = inflate(packed[i], most); err != nil {
			return c, err
		}
	}
	return c, nil
}

func inflate(packed []byte, most int) ([]byte, error) {
	in := flate.NewReader(bytes.NewReader(packed))
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(in, int64(most)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	case n > int64(most):
		return nil, fmt.Errorf("%w: a column is too long", ErrFormat)
	}
	return out.Bytes(), nil
}

// columnReader reads rows in their order.
type columnReader struct {
	columns
	at    [columnCount]int // bytes read
	index uint64
	time  int64
}

func (c *columns) reader() columnReader { return columnReader{columns: *c} }

// restart begins a shard.
func (r *columnReader) restart() { r.index, r.time = 0, 0 }

var errRow = errors.New("a number is cut, too large or out of range")

func (r *columnReader) uint(column int) (uint64, bool) {
	raw, at := r.raw[column], r.at[column]
	if at < len(raw) && raw[at] < 0x80 {
		r.at[column]++
		return uint64(raw[at]), true
	}
	v, size := binary.Uvarint(raw[at:])
	r.at[column] += max(size, 0)
	return v, size > 0
}

// next reads what one row says, but its hash.
func (r *columnReader) next(out *logged) error {
	number, ok1 := r.uint(columnKind)
	index, ok2 := r.uint(columnIndex)
	at, ok3 := r.uint(columnAt)
	expires, ok4 := r.uint(columnExpires)
	if !ok1 || !ok2 || !ok3 || !ok4 || number >= uint64(len(r.flags)) || r.index+index < r.index {
		return fmt.Errorf("%w: %w", ErrFormat, errRow)
	}
	r.index += index
	r.time += unfold(at)
	out.kind, out.index, out.at, out.cutoff, out.starts, out.expires = uint32(number), r.index, r.time, endless, 0, endless
	ok := inTime(r.time)
	if expires > 0 {
		out.expires = r.time + unfold(expires-1)
		ok = ok && inTime(out.expires)
	}
	flags := r.flags[number]
	if flags&flagCutoff != 0 {
		ok = r.bound(&out.cutoff) && ok && out.cutoff > 0
	}
	if flags&flagStarts != 0 {
		ok = r.bound(&out.starts) && ok && out.starts > 0
	}
	if !ok {
		return fmt.Errorf("%w: %w", ErrFormat, errRow)
	}
	return nil
}

func (r *columnReader) bound(to *int64) bool {
	v, ok := r.uint(columnBounds)
	*to = r.time + unfold(v)
	return ok && inTime(*to)
}

// inTime reports whether s is a time that an entry can have.
func inTime(s int64) bool { return s >= 0 && s <= seconds(events.MaxTimestamp) }

// end reports whether all was read.
func (r *columnReader) end() error {
	for i := range r.raw {
		if r.at[i] != len(r.raw[i]) {
			return fmt.Errorf("%w: bytes behind the last row", ErrFormat)
		}
	}
	return nil
}
