package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStatement: what the controller says is text, or the start fails.
func TestStatement(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "statement.txt")
	if s, err := readStatement(""); s != "" || err != nil {
		t.Errorf("none: %q %v", s, err)
	}
	for text, good := range map[string]bool{"Wir sind Beispiel & Söhne.": true, "\xff\xfe": false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := readStatement(path); (err == nil) != good || good && s != text {
			t.Errorf("%q: %q %v", text, s, err)
		}
	}
	if _, err := readStatement(path + ".not"); err == nil || !strings.Contains(err.Error(), "requests.statement") {
		t.Errorf("no such file: %v", err)
	}
}
