package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/rescindhq/rescind/internal/client"
)

// show prints v as JSON where --json was given, else what text writes.
func show(cmd *cobra.Command, v any, text func(w io.Writer)) error {
	if asJSON(cmd) {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	text(cmd.OutOrStdout())
	return nil
}

// ask calls the API and prints its whole answer where --json was given, else
// what text writes of the part that was read into out.
func ask(cmd *cobra.Command, c *client.Client, method, path string, in, out any, text func(w io.Writer)) error {
	var raw json.RawMessage
	if err := c.Call(cmd.Context(), method, path, in, &raw); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not as expected: %w", method, path, err)
	}
	return show(cmd, raw, text)
}

func asJSON(cmd *cobra.Command) bool {
	on, err := cmd.Flags().GetBool("json")
	return err == nil && on
}

// table prints rows under headings, columns aligned. What is in a cell stays in
// it, whoever wrote it.
func table(w io.Writer, headings []string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, r := range append([][]string{headings}, rows...) {
		cells := make([]string, len(r))
		for i, cell := range r {
			cells[i] = visible(cell)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush()
}

// visible is s without what would move a cursor: much of what is printed was
// written by others.
func visible(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '·'
	}, s)
}

// visibleLines is visible of each line.
func visibleLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = visible(line)
	}
	return strings.Join(lines, "\n")
}

// short is a reference or id as a table shows it.
func short(s string) string {
	if len(s) <= 12 {
		return s
	}
	return s[:12] + "…"
}

// clock is a time as a table shows it.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }
