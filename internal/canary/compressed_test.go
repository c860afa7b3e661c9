package canary

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// block is data as ClickHouse writes what a codec made of size bytes.
func block(method byte, size int, data []byte) []byte {
	b := []byte{method}
	b = binary.LittleEndian.AppendUint32(b, uint32(headSize+len(data)))
	return append(binary.LittleEndian.AppendUint32(b, uint32(size)), data...)
}

func inLZ4(t *testing.T, plain []byte) []byte {
	t.Helper()
	to := make([]byte, lz4.CompressBlockBound(len(plain)))
	n, err := lz4.CompressBlock(plain, to, nil)
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	return block(methodLZ4, len(plain), to[:n])
}

func inZSTD(t *testing.T, plain []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return block(methodZSTD, len(plain), enc.EncodeAll(plain, nil))
}

// file is blocks as they stand in one.
func file(blocks ...[]byte) (out []byte) {
	for _, b := range blocks {
		out = append(append(out, make([]byte, checksumSize)...), b...)
	}
	return out
}

func TestWhatIsCompressedIsSearched(t *testing.T) {
	t.Parallel()
	text := []byte(strings.Repeat("nothing to see here ", 50) + strings.Repeat(value, 3))
	nested := block(methodMultiple, len(text), append([]byte{2, methodNone, methodZSTD}, inZSTD(t, block(methodNone, len(text), text))...))
	other := block(methodNone, 5, []byte("other"))
	for name, b := range map[string][]byte{
		"none": file(block(methodNone, len(text), text)), "lz4": file(other, inLZ4(t, text)), "zstd": file(inZSTD(t, text), other), "several": file(other, nested),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "data.bin")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if hits, err := Scan(dir, value); err != nil || len(hits) == 0 || hits[0].Path != path {
			t.Errorf("%s: %v, %v", name, hits, err)
		}
		if err := os.Truncate(path, int64(len(b)-1)); err != nil {
			t.Fatal(err)
		}
		if _, err := Scan(dir, value); !errors.Is(err, ErrCompressed) {
			t.Errorf("%s, cut off: %v", name, err)
		}
	}
}

// FuzzDecompressed: whatever stands in a file, it is an answer or an error.
func FuzzDecompressed(f *testing.F) {
	f.Add(file(block(methodNone, 5, []byte("other"))))
	f.Add(file(block(methodMultiple, 5, []byte{1, methodNone})))
	f.Add(file(block(methodMultiple, 5, []byte{1, methodNone, methodNone, 9, 0, 0, 0, 0, 0, 0, 0})))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = decompressed(b) })
}
