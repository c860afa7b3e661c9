package verify

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// digest stands for what a row or a record holds.
type digest [16]byte

// entry is a digest with the index that it belongs to.
type entry struct {
	index uint64
	digest
}

func (e entry) compare(o entry) int {
	return cmp.Or(cmp.Compare(e.index, o.index), bytes.Compare(e.digest[:], o.digest[:]))
}

const (
	spillParts = 128
	spillBytes = 32 << 10 // held back for each part
	entryBytes = 8 + len(digest{})
)

// spill keeps entries in files, in parts of which one at a time is read back:
// what it costs in memory does not grow with the log. It belongs to one
// goroutine.
type spill struct {
	dir  string
	name string
	held [spillParts][]byte
}

func newSpill(dir, name string) *spill { return &spill{dir: dir, name: name} }

func (s *spill) put(part int, e entry) error {
	b := binary.BigEndian.AppendUint64(s.held[part], e.index)
	s.held[part] = append(b, e.digest[:]...)
	if len(s.held[part]) < spillBytes {
		return nil
	}
	return s.flush(part)
}

func (s *spill) path(part int) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s-%d", s.name, part))
}

func (s *spill) flush(part int) (err error) {
	f, err := os.OpenFile(s.path(part), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(s.held[part])
	s.held[part] = s.held[part][:0]
	return err
}

// take is the entries of a part, sorted by index, and forgets them.
func (s *spill) take(part int) ([]entry, error) {
	b, err := os.ReadFile(s.path(part))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	b = append(b, s.held[part]...)
	s.held[part] = nil
	out := make([]entry, 0, len(b)/entryBytes)
	for ; len(b) > 0; b = b[entryBytes:] {
		out = append(out, entry{binary.BigEndian.Uint64(b), digest(b[8:entryBytes])})
	}
	slices.SortFunc(out, entry.compare)
	if err := os.Remove(s.path(part)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return out, nil
}
