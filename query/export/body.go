package export

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/rescindhq/rescind/events/stream"
)

// chunkBytes is the size of each chunk but the last.
const chunkBytes = stream.MaxExportChunk

// body writes the bytes of an export into the store, a chunk at a time.
type body struct {
	ctx    context.Context // of the making: io.Writer takes none
	store  Store
	place  stream.ExportPlace
	chunk  []byte
	chunks int
	bytes  int64
	begin  []byte // what the first chunk holds, for as much as a header can be
	digest hash.Hash
}

func newBody(ctx context.Context, store Store, place stream.ExportPlace) *body {
	return &body{ctx: ctx, store: store, place: place, chunk: make([]byte, 0, chunkBytes), digest: sha256.New()}
}

// maxHeader is more than the header has that we write first.
const maxHeader = 4 << 10

// Write implements io.Writer.
func (b *body) Write(p []byte) (int, error) {
	written := len(p)
	if left := maxHeader - len(b.begin); left > 0 {
		b.begin = append(b.begin, p[:min(left, len(p))]...)
	}
	for len(p) > 0 {
		n := min(len(p), chunkBytes-len(b.chunk))
		b.chunk, p = append(b.chunk, p[:n]...), p[n:]
		if len(b.chunk) == chunkBytes {
			if err := b.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

// flush stores what is there.
func (b *body) flush() error {
	if len(b.chunk) == 0 {
		return nil
	}
	if err := b.store.Put(b.ctx, b.place, stream.ExportChunk(b.chunks), b.chunk); err != nil {
		return err
	}
	b.digest.Write(b.chunk)
	b.bytes, b.chunks = b.bytes+int64(len(b.chunk)), b.chunks+1
	b.chunk = b.chunk[:0]
	return nil
}

// errTorn says that an export is not whole any more.
var errTorn = errors.New("the export is not whole")

// send writes the stored bytes of an export behind its header. It stops at the
// first chunk that is not what was made: who receives it has less than was
// announced, and age opens none of what was cut off or changed.
func (m *made) send(ctx context.Context, store Store, place stream.ExportPlace, w io.Writer) error {
	skip, left, digest := len(m.Header), m.Bytes, sha256.New()
	for n := range m.Chunks {
		chunk, err := store.Get(ctx, place, stream.ExportChunk(n))
		if err != nil {
			return err
		}
		if want := min(chunkBytes, left); int64(len(chunk)) != want {
			return fmt.Errorf("chunk %d has %d bytes of %d: %w", n, len(chunk), want, errTorn)
		}
		left -= int64(len(chunk))
		if digest.Write(chunk); left == 0 && [sha256.Size]byte(digest.Sum(nil)) != m.digest() {
			return fmt.Errorf("digest: %w", errTorn)
		}
		if _, err := w.Write(chunk[skip:]); err != nil {
			return err
		}
		skip = 0
	}
	return nil
}
