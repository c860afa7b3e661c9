package query_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/query"
)

// TestRolesAreInTheManual holds docs/production.md to what roles may do.
func TestRolesAreInTheManual(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	table.WriteString("| role | scopes |\n|---|---|\n")
	for _, role := range query.RoleNames() {
		fmt.Fprintf(&table, "| %s | `%s` |\n", role, strings.Join(query.Roles()[role], "` `"))
	}
	const manual = "../docs/production.md"
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), table.String()) {
		t.Errorf("%s does not hold this table:\n%s", manual, table.String())
	}
}
