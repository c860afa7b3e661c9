package ledger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// ErrTampered says that a ledger is not as it was written.
var ErrTampered = errors.New("the erasure ledger was changed")

const (
	format  = "rescind-erasure-ledger-1"
	suffix  = ".ledger"
	tagSize = 16
)

// Key is what a ledger is written under, and which one that is.
type Key struct {
	ID     string // 1 to 64 of a-z 0-9
	Secret [32]byte
}

// Ledger is the ledger of one keyring.
type Ledger struct {
	path string
	key  Key

	mu   sync.Mutex // for the rest, and the file's end
	end  mark       // up to where it was verified
	sync func(*os.File) error
}

// mark is a place in a ledger: behind a whole line, and the tag of that.
type mark struct {
	offset int64
	tag    [tagSize]byte
}

// Open opens the ledger of key in a folder, and makes either where it is not
// there. It verifies nothing yet.
func Open(dir string, key Key) (*Ledger, error) {
	l := &Ledger{path: filepath.Join(dir, key.ID+suffix), key: key, sync: (*os.File).Sync}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("erasure ledger: %w", err)
	}
	if err := l.create(); err != nil {
		return nil, fmt.Errorf("erasure ledger: %w", err)
	}
	return l, nil
}

// Path is its file.
func (l *Ledger) Path() string { return l.path }

// create makes the file, with its first line, whole or not at all.
func (l *Ledger) create() error {
	if _, err := os.Stat(l.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(l.path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	first, _ := l.chain().line(mark{}, format+" "+l.key.ID)
	_, err = f.Write(first)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), l.path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Append writes entries behind all that is there, in their order, durably on
// return.
func (l *Ledger) Append(ctx context.Context, entries ...Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile(l.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("erasure ledger: %w", err)
	}
	err = l.append(ctx, f, entries)
	if err := errors.Join(err, f.Close()); err != nil { // closing gives the lock back
		return fmt.Errorf("erasure ledger: %w", err)
	}
	return nil
}

func (l *Ledger) append(ctx context.Context, f *os.File, entries []Entry) error {
	if err := lock(ctx, f); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < l.end.offset {
		return fmt.Errorf("%s: it had %d bytes and has %d: %w", l.path, l.end.offset, info.Size(), ErrTampered)
	}
	end, err := l.verify(ctx, f, l.end, func(Entry) error { return nil }) // what others have written since
	if err != nil {
		return err
	}
	l.end = end
	return l.write(f, entries)
}

// write writes behind l.end, where nothing is but perhaps a line that was cut off.
// What fails is taken away again: whether it is on the disk nobody knows.
func (l *Ledger) write(f *os.File, entries []Entry) error {
	if err := f.Truncate(l.end.offset); err != nil {
		return err
	}
	lines, end, c := []byte(nil), l.end, l.chain()
	for _, e := range entries {
		plain := strings.Join(e.fields(), " ")
		if _, err := parse(plain); err != nil { // it would stop whoever reads, for ever
			return err
		}
		line, next := c.line(end, plain)
		lines, end = append(lines, line...), next
	}
	if _, err := f.WriteAt(lines, l.end.offset); err != nil {
		return errors.Join(err, f.Truncate(l.end.offset))
	}
	if err := l.sync(f); err != nil {
		return errors.Join(err, f.Truncate(l.end.offset))
	}
	l.end = end
	return nil
}

// Read verifies the whole ledger and gives each entry to fn, in their order. What
// was verified before the first that is not as it was written is given, too.
func (l *Ledger) Read(ctx context.Context, fn func(Entry) error) error {
	f, err := os.Open(l.path)
	if err != nil {
		return fmt.Errorf("erasure ledger: %w", err)
	}
	defer f.Close()
	end, err := l.verify(ctx, f, mark{}, fn)
	if err != nil {
		return fmt.Errorf("erasure ledger: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if end.offset > l.end.offset {
		l.end = end
	}
	return nil
}

// verify reads on from a mark to the end, and returns that.
func (l *Ledger) verify(ctx context.Context, f *os.File, from mark, fn func(Entry) error) (mark, error) {
	lines, c := bufio.NewReaderSize(io.NewSectionReader(f, from.offset, 1<<62), 1<<20), l.chain()
	for n := 0; ; n++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && endless(lines), errors.Is(err, io.EOF): // nothing, or what was cut off
			return from, l.whole(from)
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return from, err
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return from, ctx.Err()
		}
		next, err := c.take(from, line)
		if err != nil {
			return from, fmt.Errorf("%s: the line at byte %d: %w: %w", l.path, from.offset, ErrTampered, err)
		}
		if from.offset > 0 {
			if err := give(line, fn); err != nil {
				return from, fmt.Errorf("%s: the line at byte %d: %w", l.path, from.offset, err)
			}
		} else if text(line) != format+" "+l.key.ID {
			return from, fmt.Errorf("%s: it is another ledger: %w", l.path, ErrTampered)
		}
		from = next
	}
}

// endless reports whether no line ends in what is left.
func endless(r *bufio.Reader) bool {
	for {
		if _, err := r.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return errors.Is(err, io.EOF)
		}
	}
}

// whole: the first line was made with the file, so it is never cut off.
func (l *Ledger) whole(end mark) error {
	if end.offset == 0 {
		return fmt.Errorf("%s: it is empty: %w", l.path, ErrTampered)
	}
	return nil
}

func give(line []byte, fn func(Entry) error) error {
	e, err := parse(text(line))
	if err != nil {
		return err
	}
	return fn(e)
}

// text is a line without its tag.
func text(line []byte) string { return string(line[:len(line)-2*tagSize-2]) }

// chain makes and checks tags, each over the one before.
type chain struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

func (l *Ledger) chain() *chain { return &chain{mac: hmac.New(sha256.New, l.key.Secret[:])} }

func (c *chain) tag(before [tagSize]byte, text []byte) (tag [tagSize]byte) {
	c.mac.Reset()
	c.mac.Write(before[:])
	c.mac.Write(text)
	copy(tag[:], c.mac.Sum(c.sum[:0]))
	return tag
}

// line is text as a line behind at, and the mark behind it.
func (c *chain) line(at mark, text string) ([]byte, mark) {
	tag := c.tag(at.tag, []byte(text))
	line := append(hex.AppendEncode(append([]byte(text), ' '), tag[:]), '\n')
	return line, mark{at.offset + int64(len(line)), tag}
}

var errTag = errors.New("it is not what was written there")

// take is the mark behind a line that was written behind at.
func (c *chain) take(at mark, line []byte) (mark, error) {
	cut := len(line) - 2*tagSize - 2
	if cut < 0 || line[cut] != ' ' {
		return mark{}, errTag
	}
	tag := c.tag(at.tag, line[:cut])
	var want [2 * tagSize]byte
	hex.Encode(want[:], tag[:])
	if !bytes.Equal(want[:], line[cut+1:len(line)-1]) {
		return mark{}, errTag
	}
	return mark{at.offset + int64(len(line)), tag}, nil
}
