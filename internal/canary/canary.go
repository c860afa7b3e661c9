package canary

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Hit is where a value was found.
type Hit struct{ Path, Form string }

// Scan is where one of values is found below dir, each file and form once.
func Scan(dir string, values ...string) (hits []Hit, err error) {
	var all []form
	for _, v := range values {
		all = append(all, forms(v)...)
	}
	err = walk(dir, func(path string, contents [][]byte) {
		for _, f := range all {
			if hit := (Hit{path, f.name}); holds(contents, f.text) && !slices.Contains(hits, hit) {
				hits = append(hits, hit)
			}
		}
	})
	return hits, err
}

func holds(contents [][]byte, text []byte) bool {
	for _, c := range contents {
		if bytes.Contains(c, text) {
			return true
		}
	}
	return false
}

// walk calls each for every file below dir with all there is to search of it:
// its name below dir, what lies in it, and what that is decompressed.
func walk(dir string, each func(path string, contents [][]byte)) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
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
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		plain, err := decompressed(b)
		if err != nil && isColumn(name) {
			return fmt.Errorf("%s: %w", path, err)
		}
		each(path, [][]byte{[]byte(name), b, plain})
		return nil
	})
}

// isColumn reports whether ClickHouse keeps values in the file of that name, and
// has finished it: what it is about to write stands in a folder tmp_….
func isColumn(name string) bool {
	return strings.HasSuffix(name, ".bin") && !strings.Contains("/"+filepath.ToSlash(name), "/tmp")
}
