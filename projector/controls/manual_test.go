package controls

import (
	"os"
	"strings"
	"testing"
)

// TestManual holds docs/controls.md to the rules: each has a row with its
// clauses' sources.
func TestManual(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/controls.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Controls() {
		row := line(string(b), "| `"+c.ID+"` |")
		if row == "" {
			t.Errorf("no row for %s", c.ID)
		}
		for _, clause := range c.Clauses {
			law, _, _ := strings.Cut(clause, " ")
			if !strings.Contains(row, law) {
				t.Errorf("%s: the row does not name %s", c.ID, clause)
			}
		}
	}
}

func line(text, start string) string {
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, start) {
			return l
		}
	}
	return ""
}
