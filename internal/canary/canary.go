// Package canary searches everything below a folder for a value that must not
// be there, in the forms in which it could be.
//
// # What it is
//
// [Scan] reads every file and reports where it found one of the values: in
// clear, in base64 or base64url at any of the three places in a group, in hex,
// or escaped as JSON does it. Tests plant a value and look for it.
//
// # Guarantees
//
//   - A value that lies anywhere in a file in one of these forms is found, across
//     the whole file and whatever is around it.
//   - A file that cannot be read is an error, unless it was removed meanwhile.
//
// # Shapes and units
//
// Values want to be long enough not to be met by chance: 12 bytes or more.
//
// # Errors
//
// Those of the file system.
//
// # Concurrency
//
// Scan may be called from any goroutine. What is written while it runs it may
// miss.
//
// # What it does not do
//
// It does not look inside what is compressed or encrypted, which is the point of
// the latter, and holds a file in memory at a time.
//
// # Sources
//
// RFC 4648, RFC 8259.
package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Hit is where a value was found.
type Hit struct{ Path, Form string }

// form is a value as it could be written, and what that is called.
type form struct {
	name string
	text []byte
}

// Scan is where one of values is found below dir, each file and form once.
func Scan(dir string, values ...string) (hits []Hit, err error) {
	var all []form
	for _, v := range values {
		all = append(all, forms(v)...)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || !d.Type().IsRegular():
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, f := range all {
			if bytes.Contains(b, f.text) {
				hits = append(hits, Hit{path, f.name})
			}
		}
		return err
	})
	return hits, err
}

func forms(v string) []form {
	lower := hex.EncodeToString([]byte(v))
	all := []form{{"clear", []byte(v)}, {"hex", []byte(lower)}, {"HEX", []byte(strings.ToUpper(lower))}}
	for _, escape := range []string{`\u%04x`, `\u%04X`} {
		var b strings.Builder
		for _, r := range v {
			fmt.Fprintf(&b, escape, r)
		}
		all = append(all, form{"JSON", []byte(b.String())})
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			all = append(all, form{"base64", within(enc, v, before)})
		}
	}
	return all
}

// within is the characters that are sure to stand there where v is encoded with
// before bytes, modulo three, in front of it.
func within(enc *base64.Encoding, v string, before int) []byte {
	const bits = 6 // of a character
	text := enc.EncodeToString(append(make([]byte, before), v...))
	first, end := (8*before+bits-1)/bits, 8*(before+len(v))/bits
	return []byte(text[first:end])
}
