package verify

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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
func (s *spill) take(part int) (out []entry, err error) {
	err = s.each(part, func(e entry) { out = append(out, e) })
	slices.SortFunc(out, entry.compare)
	return out, err
}

// each gives the entries of a part in the order in which they were put, and
// forgets them.
func (s *spill) each(part int, do func(entry)) error {
	held := bytes.NewReader(s.held[part])
	s.held[part] = nil
	f, err := os.Open(s.path(part))
	if errors.Is(err, fs.ErrNotExist) {
		return eachIn(held, do)
	}
	if err != nil {
		return err
	}
	err = eachIn(io.MultiReader(bufio.NewReaderSize(f, spillBytes), held), do)
	return errors.Join(err, f.Close(), os.Remove(s.path(part)))
}

func eachIn(r io.Reader, do func(entry)) error {
	var b [entryBytes]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		do(entry{binary.BigEndian.Uint64(b[:]), digest(b[8:])})
	}
}
