package canary

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func address(i int) string { return fmt.Sprintf("person.%06d@mail.example", i) }

// planted is a corpus with one file, around the text.
func planted(t *testing.T, text []byte) *Corpus {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), append(append([]byte("some text before, "), text...), "\x00and after"...), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestADigestOfACandidateIsFound plants each of them in each of the ways in which
// it could be stored, cut off or whole.
func TestADigestOfACandidateIsFound(t *testing.T) {
	t.Parallel()
	const who = 77
	him := func(int) string { return address(who) }
	var sums [][]byte
	Digests("acme", "https://id.acme", address(who), func(_, _ string, sum []byte) { sums = append(sums, append([]byte{}, sum...)) })
	for i, sum := range sums {
		ways := [][]byte{
			sum, sum[:window], []byte(hex.EncodeToString(sum)), fmt.Appendf(nil, "x%X", sum),
			[]byte("a/" + base64.StdEncoding.EncodeToString(append([]byte("k"), sum...))), []byte(base64.RawURLEncoding.EncodeToString(sum)),
		}
		if i > len(ways) { // what it is written in has nothing to do with what it is of
			ways = ways[i%len(ways):][:1]
		}
		for _, text := range ways {
			if found := planted(t, text).Attack("acme", "https://id.acme", 1, him); len(found) == 0 {
				t.Errorf("digest %d as %q: %v", i, text, found)
			}
		}
	}
	if len(sums) < 100 {
		t.Errorf("only %d digests", len(sums))
	}
}

func TestACandidateInClearIsFound(t *testing.T) {
	t.Parallel()
	for _, text := range []string{address(3), base64.StdEncoding.EncodeToString([]byte("to " + address(3))), hex.EncodeToString([]byte(address(3)))} {
		found := planted(t, []byte(text)).Attack("acme", "i", 10, address)
		if len(found) != 1 || found[0] != (Match{address(3), "clear", "subject"}) {
			t.Errorf("%s: %v", text, found)
		}
	}
}

func TestOthersAreNotMatched(t *testing.T) {
	t.Parallel()
	c := planted(t, []byte(address(100)))
	if found := c.Attack("acme", "i", 100, address); len(found) != 0 {
		t.Errorf("%v", found)
	}
	if c.Bytes() < len(address(100)) {
		t.Errorf("%d bytes", c.Bytes())
	}
}

func BenchmarkAttack(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 1<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	c, err := Read(dir)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c.Attack("acme", "https://id.acme", 10_000, address)
	}
}
