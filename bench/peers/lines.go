package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// line is one figure of all that were compared.
type line struct {
	Figure string            `json:"figure"`
	Unit   string            `json:"unit"`
	Sides  map[string]spread `json:"sides"` // by name; who is not there has no such figure
}

func newLine(figure, unit string) line {
	return line{Figure: figure, Unit: unit, Sides: make(map[string]spread)}
}

// names of the columns.
const (
	nameSet   = "Rescind"
	nameRedis = "Redis 7, GET"
	nameLocal = "pub/sub, local map"
	nameBloom = "bloomfilter v2.0.4"
)

var columnNames = []string{nameSet, nameRedis, nameLocal, nameBloom}

// sideBySide prints a table: the median, and least … greatest where there are
// several.
func sideBySide(w io.Writer, lines []line) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprint(t, "FIGURE\tUNIT")
	for _, name := range columnNames {
		fmt.Fprintf(t, "\t%s\tSPREAD", name)
	}
	fmt.Fprintln(t)
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%s", l.Figure, l.Unit)
		for _, name := range columnNames {
			value, apart := cells(l.Sides, name)
			fmt.Fprintf(t, "\t%s\t%s", value, apart)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func cells(sides map[string]spread, name string) (value, apart string) {
	s, ok := sides[name]
	switch {
	case !ok:
		return "–", ""
	case s.Least == s.Greatest:
		return fmt.Sprintf("%.4g", s.Value), ""
	default:
		return fmt.Sprintf("%.4g", s.Value), fmt.Sprintf("%.3g…%.3g", s.Least, s.Greatest)
	}
}
