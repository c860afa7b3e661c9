package main

import (
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/query/receipt"
)

// TestARepetitionIsShown: and that there was none is not.
func TestARepetitionIsShown(t *testing.T) {
	t.Parallel()
	first, found := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)
	for _, again := range []*receipt.Repetition{nil, {First: first, Found: found}} {
		var text string
		for _, row := range said(&receipt.Receipt{Destroyed: &receipt.Destroyed{At: found, Repetition: again}}) {
			text += strings.Join(row, " ") + "\n"
		}
		shown := strings.Contains(text, "repeated") && strings.Contains(text, day(first)) && strings.Contains(text, "restored copy")
		if shown != (again != nil) {
			t.Errorf("%+v: %s", again, text)
		}
	}
}
