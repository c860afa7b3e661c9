package canary

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// ErrCompressed says that a column is not what ClickHouse compresses.
var ErrCompressed = errors.New("not ClickHouse's compressed blocks")

// What a block begins with, behind a checksum of 16 bytes: its method, its
// length from there on and that of what was compressed, in little-endian.
const (
	checksumSize = 16
	headSize     = 1 + 4 + 4
	// maxPlain is more than ClickHouse puts into a block.
	maxPlain = 64 << 20
)

// Methods of blocks.
const (
	methodNone     = 0x02
	methodLZ4      = 0x82
	methodZSTD     = 0x90
	methodMultiple = 0x91 // several, one in the other
)

// decompressed is what the blocks of a file hold, which it consists of from its
// beginning to its end. An empty file has none.
func decompressed(b []byte) (plain []byte, err error) {
	for len(b) > 0 {
		if len(b) < checksumSize+headSize {
			return nil, ErrCompressed
		}
		b = b[checksumSize:]
		n := int(binary.LittleEndian.Uint32(b[1:]))
		if n < headSize || n > len(b) {
			return nil, ErrCompressed
		}
		if plain, err = appendBlock(plain, b[:n]); err != nil {
			return nil, err
		}
		b = b[n:]
	}
	return plain, nil
}

// appendBlock appends what a block holds. Numbers are left in the codecs that are
// for numbers alone: no text is in them.
func appendBlock(dst, block []byte) ([]byte, error) {
	size := int(binary.LittleEndian.Uint32(block[5:]))
	if size > maxPlain {
		return nil, ErrCompressed
	}
	switch method, data := block[0], block[headSize:]; method {
	case methodNone:
		return append(dst, data...), nil
	case methodLZ4:
		plain := make([]byte, size)
		n, err := lz4.UncompressBlock(data, plain)
		return append(dst, plain[:max(n, 0)]...), wrong(err)
	case methodZSTD:
		plain, err := zstdDecoder().DecodeAll(data, nil)
		return append(dst, plain...), wrong(err)
	case methodMultiple:
		return appendNested(dst, data)
	default:
		return nil, ErrCompressed
	}
}

func wrong(err error) error {
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrCompressed, err)
	}
	return err
}

// appendNested undoes several codecs: their number and names come first, and then
// a block of the last of them, which holds a block of the one before.
func appendNested(dst, data []byte) ([]byte, error) {
	if len(data) < 1 || len(data) < 1+int(data[0]) {
		return nil, ErrCompressed
	}
	codecs, data := data[1:1+data[0]], data[1+data[0]:]
	for i := len(codecs) - 1; i >= 0 && isGeneral(codecs[i]); i-- {
		if len(data) < headSize {
			return nil, ErrCompressed
		}
		plain, err := appendBlock(nil, data)
		if err != nil {
			return nil, err
		}
		data = plain
	}
	return append(dst, data...), nil
}

// isGeneral reports whether a codec is for whatever there is.
func isGeneral(method byte) bool {
	return method == methodNone || method == methodLZ4 || method == methodZSTD
}

// zstdDecoder is shared: DecodeAll may be called by many at once.
var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPlain))
	if err != nil {
		panic(err) // of options that do not change
	}
	return d
})
