package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const manual = "../../docs/configuration.md"

// TestManual holds docs/configuration.md to the struct: one row a setting,
// in order.
func TestManual(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), table()) {
		t.Errorf("%s does not hold this table:\n%s", manual, table())
	}
}

func table() string {
	var b strings.Builder
	b.WriteString("| key | environment | flag | what |\n|---|---|---|---|\n")
	for _, f := range Fields() {
		fmt.Fprintf(&b, "| `%s` | `%s` | `--%s` | %s |\n", f.Key, f.Env(), f.Flag(), f.Desc)
	}
	return b.String()
}
