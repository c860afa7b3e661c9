package eventrow

import (
	"errors"
	"reflect"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

// Incoming is the name of the external table that [Block] makes.
const Incoming = "incoming"

// Insert is the INSERT of Incoming into events, up to where a WHERE can
// follow.
var Insert = "INSERT INTO events (" + names() + ")\nSELECT " + names() + "\nFROM " + Incoming

// Block is rows as the external table that Insert takes in. It keeps rows, and
// encodes them when it is sent.
func Block(rows []Row) (*ext.Table, error) {
	t, err := ext.NewTable(Incoming)
	if err != nil {
		return nil, err
	}
	e := &encoder{known: map[string]uint32{}}
	for i := range columns {
		t.Block().Columns = append(t.Block().Columns, &outgoing{col: &columns[i], rows: rows, encoder: e})
	}
	return t, nil
}

// outgoing is a column for the driver, which asks for its name, type and size
// and has it encoded. The driver's own would take each value through an any,
// and could not share a dictionary.
type outgoing struct {
	col     *col
	rows    []Row
	encoder *encoder // shared by the columns of a block, which are encoded one after another
}

var errOneWay = errors.New("eventrow: a column that can only be sent")

func (c *outgoing) Name() string               { return c.col.name }
func (c *outgoing) Type() column.Type          { return column.Type(c.col.wire) }
func (c *outgoing) Rows() int                  { return len(c.rows) }
func (c *outgoing) Encode(b *proto.Buffer)     { c.col.encode(c.encoder, b, c.rows) }
func (c *outgoing) ScanType() reflect.Type     { return nil }
func (c *outgoing) Row(int, bool) any          { return nil }
func (c *outgoing) ScanRow(any, int) error     { return errOneWay }
func (c *outgoing) Append(any) ([]byte, error) { return nil, errOneWay }
func (c *outgoing) AppendRow(any) error        { return errOneWay }
func (c *outgoing) Reset()                     {}

func (c *outgoing) Decode(*proto.Reader, int) error     { return errOneWay }
func (c *outgoing) ReadStatePrefix(*proto.Reader) error { return errOneWay }

// WriteStatePrefix writes what stands before a column that has a dictionary.
func (c *outgoing) WriteStatePrefix(b *proto.Buffer) error {
	if c.col.prefix {
		b.PutUInt64(dictionaryVersion)
	}
	return nil
}
