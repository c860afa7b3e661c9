package eventrow

import (
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

// Incoming is the name of the external table that [Block] makes.
const Incoming = "incoming"

// Columns is the select list over events that [Scan] reads.
var Columns = join(func(c *col) string { return c.read })

// Insert is the INSERT of Incoming into events, up to where a WHERE can
// follow.
var Insert = "INSERT INTO events (" + join(func(c *col) string { return c.into }) + ")\nSELECT " +
	join(func(c *col) string {
		if c.into == "" {
			return ""
		}
		return c.insert
	}) + "\nFROM " + Incoming

// Block is rows as the external table that Insert takes in.
func Block(rows []Row) (*ext.Table, error) {
	flats := make([]flat, len(rows))
	for i := range rows {
		flats[i].spread(&rows[i])
	}
	t, err := ext.NewTable(Incoming)
	if err != nil {
		return nil, fmt.Errorf("event rows: %w", err)
	}
	for i := range columns {
		if err := add(t, &columns[i], flats); err != nil {
			return nil, fmt.Errorf("event rows column=%s: %w", columns[i].name, err)
		}
	}
	return t, nil
}

func add(t *ext.Table, c *col, rows []flat) error {
	if err := ext.Column(c.name, c.wire)(t); err != nil {
		return err
	}
	var in column.Interface = t.Block().Columns[len(t.Block().Columns)-1]
	return c.append(in, rows)
}

// Scan reads one row of Columns with the Scan of a driver's row.
func Scan(scan func(dest ...any) error) (Row, error) {
	f := new(flat)
	dests := make([]any, 0, len(columns))
	for i := range columns {
		if columns[i].read != "" {
			dests = append(dests, columns[i].dest(f))
		}
	}
	if err := scan(dests...); err != nil {
		return Row{}, fmt.Errorf("scan event row: %w", err)
	}
	return f.gather(), nil
}
