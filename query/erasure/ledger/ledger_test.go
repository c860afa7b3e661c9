package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

var key = Key{ID: "0123abcd", Secret: [32]byte{1, 2, 3}}

func open(t testing.TB, dir string) *Ledger {
	t.Helper()
	l, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func person(n int) Person {
	return Person{
		Tenant: "acme", Ref: events.Ref{byte(n), byte(n >> 8), byte(n >> 16), 1}, Key: "00112233445566aa", Request: DigestOf(fmt.Sprint("request ", n)),
		Index: uint64(n), At: time.UnixMicro(1_700_000_000_000_000 + int64(n)).UTC(),
		Refused: events.Revocation{Scope: events.ScopeSubject, Hash: events.Ref{9, byte(n)}, FeedKey: 1, IssuedBefore: 1_700_000_000_000, Expires: 1_700_086_460_000},
	}
}

func appended(t testing.TB, l *Ledger, entries ...Entry) {
	t.Helper()
	if err := l.Append(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, l *Ledger) (all []Entry, err error) {
	t.Helper()
	err = l.Read(t.Context(), func(e Entry) error { all = append(all, e); return nil })
	return all, err
}

func wantEntries(t testing.TB, l *Ledger, want ...Entry) {
	t.Helper()
	got, err := read(t, l)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestLines: every entry is read as it was written.
func TestLines(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ref := func(name string) (r events.Ref) {
			copy(r[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, name))
			return r
		}
		stamp := rapid.Int64Range(0, 253402300799_000)
		p := Person{
			Tenant: rapid.StringMatching(`[a-zA-Z0-9_-]{1,63}`).Draw(rt, "tenant"),
			Ref:    ref("ref"), Key: rapid.SampledFrom([]string{"", "00112233445566aa"}).Draw(rt, "key"), Request: Digest(ref("request")),
			Shard: rapid.Uint16().Draw(rt, "shard"), Index: rapid.Uint64().Draw(rt, "index"),
			At: time.UnixMicro(stamp.Draw(rt, "at")).UTC(), Held: rapid.Bool().Draw(rt, "held"),
			Refused: events.Revocation{Hash: ref("hash"), FeedKey: rapid.Uint32().Draw(rt, "feed key"),
				IssuedBefore: events.Timestamp(stamp.Draw(rt, "before")), Expires: events.Timestamp(stamp.Draw(rt, "expires"))},
		}
		if !p.Refused.Hash.IsZero() {
			p.Refused.Scope = events.ScopeSubject
		}
		h := Hold{Tenant: p.Tenant, Key: p.Ref, Request: p.Request, At: p.At}
		s := Seen{Shard: p.Shard, Seq: p.Index, Digest: p.Request, At: p.At}
		for _, e := range []Entry{p, h, s} {
			got, err := parse(strings.Join(e.fields(), " "))
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(e, got); diff != "" {
				rt.Error(diff)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(strings.Join(person(1).fields(), " "))
	f.Add("hold - -")
	f.Add("seen 0 18446744073709551616 00")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parse(line)
		if err != nil {
			return
		}
		if again, err := parse(strings.Join(e.fields(), " ")); err != nil || !cmp.Equal(e, again) {
			t.Errorf("%q: %+v, %+v, %v", line, e, again, err)
		}
	})
}

// TestUnreadableIsRefused: it would stop every reader for ever.
func TestUnreadableIsRefused(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	for name, e := range map[string]Entry{
		"no time": Person{Tenant: "acme"}, "no tenant": Hold{At: time.UnixMicro(1)}, "two lines": Hold{Tenant: "a\nb", At: time.UnixMicro(1)},
		"two words": Hold{Tenant: "a b", At: time.UnixMicro(1)},
	} {
		if err := l.Append(t.Context(), e); err == nil {
			t.Errorf("%s: appended", name)
		}
	}
	wantEntries(t, l)
}

func TestAppendedIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	wantEntries(t, l)
	appended(t, l, person(1), person(2))
	appended(t, l, Hold{Tenant: "acme", Key: events.Ref{7}, At: time.UnixMicro(5).UTC()})
	again := open(t, dir)
	appended(t, again, person(3))
	appended(t, l, Seen{Shard: 1, Seq: 9, At: time.UnixMicro(6).UTC()})
	wantEntries(t, open(t, dir), person(1), person(2), Hold{Tenant: "acme", Key: events.Ref{7}, At: time.UnixMicro(5).UTC()}, person(3),
		Seen{Shard: 1, Seq: 9, At: time.UnixMicro(6).UTC()})
}

// TestCutOff: whatever of the last line is on the disk, the ones before are read,
// and the next stands in its place.
func TestCutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	appended(t, l, person(1))
	before, err := os.ReadFile(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	appended(t, l, person(2))
	whole, err := os.ReadFile(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	tails := [][]byte{make([]byte, 300), make([]byte, 2<<20)} // what power loss leaves of a file that had grown
	for n := len(before) + 1; n < len(whole); n += 7 {
		tails = append(tails, whole[len(before):n])
	}
	for _, tail := range tails {
		if err := os.WriteFile(l.Path(), append(bytes.Clone(before), tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		wantEntries(t, open(t, dir), person(1))
		appended(t, open(t, dir), person(3))
		wantEntries(t, open(t, dir), person(1), person(3))
		if b, err := os.ReadFile(l.Path()); err != nil || len(b) != len(whole) { // a line about another is as long
			t.Errorf("%d bytes are left of a line that was cut off, %v", len(b)-len(whole), err)
		}
	}
}

// TestTampered: one changed bit anywhere, a line left out, moved, doubled or made
// by somebody without the key, is told of, and nothing is appended to it.
func TestTampered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	appended(t, l, person(1), person(2), person(3))
	whole, err := os.ReadFile(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))[:4]
	join := func(at ...int) (b []byte) {
		for _, i := range at {
			b = append(b, lines[i]...)
		}
		return b
	}
	c := (&Ledger{key: Key{ID: key.ID}}).chain()
	forged, _ := c.line(mark{}, strings.Join(person(9).fields(), " "))
	files := map[string][]byte{
		"left out": join(0, 1, 3), "moved": join(0, 2, 1, 3), "doubled": join(0, 1, 1, 2, 3), "without the first": join(1, 2, 3), "empty": {},
		"forged": append(join(0, 1, 2, 3), forged...),
	}
	for i := 0; i < len(whole)-1; i += 3 { // without its end the last line is one that was cut off
		b := bytes.Clone(whole)
		b[i] ^= 1
		files[fmt.Sprint("bit in byte ", i)] = b
	}
	for name, b := range files {
		if err := os.WriteFile(l.Path(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := read(t, l); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: read: %v", name, err)
		}
		if err := open(t, dir).Append(t.Context(), person(4)); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: append: %v", name, err)
		}
	}
	if err := os.WriteFile(l.Path(), join(0, 1), 0o600); err != nil { // while it is in use
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), person(4)); !errors.Is(err, ErrTampered) {
		t.Errorf("append to one that was cut: %v", err)
	}
}

// TestDurable: Append returns after the sync, and not where that failed; then the
// line is not there.
func TestDurable(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	synced := 0
	l.sync = func(f *os.File) error {
		b, err := os.ReadFile(l.Path())
		if err != nil || !bytes.Contains(b, []byte(person(1).Ref.String())) {
			t.Errorf("synced before it was written: %v", err)
		}
		synced++
		return f.Sync()
	}
	appended(t, l, person(1))
	if synced != 1 {
		t.Errorf("synced %d times", synced)
	}
	failure := errors.New("disk")
	l.sync = func(*os.File) error { return failure }
	if err := l.Append(t.Context(), person(2)); !errors.Is(err, failure) {
		t.Errorf("append: %v", err)
	}
	l.sync = (*os.File).Sync
	appended(t, l, person(3))
	wantEntries(t, l, person(1), person(3))
}

// TestManyWriters share a file, as processes do.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 20
	dir := t.TempDir()
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			l, err := Open(dir, key)
			for n := range each {
				err = errors.Join(err, l.Append(t.Context(), person(w*each+n)))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	writing.Wait()
	all, err := read(t, open(t, dir))
	if err != nil || len(all) != writers*each {
		t.Errorf("%d entries, %v", len(all), err)
	}
}

// TestWaitsForALockNoLongerThanAsked: who has the file for ever stops nobody for
// longer than they want to wait.
func TestWaitsForALockNoLongerThanAsked(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	f, err := os.OpenFile(l.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lock(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.Append(ctx, person(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("append: %v", err)
	}
}

func TestOthersCannotRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "with parents")
	l := open(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, l.Path(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("in the folder: %v, %v", left, err)
	}
}

// BenchmarkRead is what a start pays for each erasure that ever was.
func BenchmarkRead(b *testing.B) {
	l := open(b, b.TempDir())
	const n = 10_000
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = person(i)
	}
	appended(b, l, entries...)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Read(b.Context(), func(Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/erasure")
}
