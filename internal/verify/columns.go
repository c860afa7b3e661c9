package verify

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// kind is how a column is read, and which item of CBOR it is in the record.
type kind int

const (
	uints  kind = iota
	micros      // DateTime64(6)
	millis      // DateTime64(3)
	texts
	fixed // FixedString
	lists
	maps
)

// column is a column of events and the member of the record that it holds.
type column struct {
	name     string
	member   uint64
	kind     kind
	always   bool // in the record even where it is empty
	disclose bool // whether its value may be shown: it is no identifier
}

// columns of a record, in the order of their members. Member 27 is columns of
// its own.
var columns = []column{
	{"version", 1, uints, true, true},
	{"source", 2, texts, true, true},
	{"id", 3, texts, true, false},
	{"tenant", 4, texts, true, true},
	{"environment", 5, texts, true, true},
	{"type", 6, texts, true, true},
	{"time", 7, micros, true, true},
	{"received", 8, micros, true, true},
	{"issuer", 9, texts, false, true},
	{"subject_ref", 10, fixed, false, true},
	{"token_ref", 11, fixed, false, true},
	{"session_ref", 12, fixed, false, true},
	{"client", 13, texts, false, false},
	{"kid", 14, texts, false, true},
	{"alg", 15, texts, false, true},
	{"aud", 16, lists, false, false},
	{"scope", 17, texts, false, false},
	{"iat", 18, millis, false, true},
	{"exp", 19, millis, false, true},
	{"actor", 20, texts, false, false},
	{"outcome", 21, texts, false, true},
	{"reason", 22, texts, false, true},
	{"attributes", 23, maps, false, false},
	{"view", 24, uints, false, true},
	{"payload_hash", 25, fixed, false, true},
	{"data_key", 26, uints, false, true},
	{"nbf", 28, millis, false, true},
	{"claims", 29, lists, false, false},
	{"grant_ref", 30, fixed, false, true},
	{"consent", 31, texts, false, false},
	{"purposes", 32, lists, false, false},
	{"ticket", 33, texts, false, false},
}

// revocationColumns are the members of member 27.
var revocationColumns = []column{
	{"revoked_scope", 1, texts, true, true},
	{"revoked_hash", 2, fixed, true, true},
	{"revoked_before", 3, millis, false, true},
	{"revoked_expires", 4, millis, true, true},
	{"revoked_feed_key", 5, uints, true, true},
	{"lifts", 6, fixed, false, true},
	{"lifts_index", 7, uints, false, true},
	{"revoked_starts", 8, millis, false, true},
	{"revoked_until", 9, millis, false, true},
}

// cell is one value of a row, in the member that its kind uses.
type cell struct {
	unsigned uint64
	signed   int64
	text     string
	list     []string
	values   []string // of a map, beside its names in list
}

// row is one row of events.
type row struct {
	index      uint64
	revokes    bool
	cells      []cell // of columns
	revocation []cell // of revocationColumns
}

func newRow() *row {
	return &row{cells: make([]cell, len(columns)), revocation: make([]cell, len(revocationColumns))}
}

// selected is the expressions that scan reads.
var selected = func() string {
	out := []string{"`index`", "revokes"}
	for _, c := range append(columns[:len(columns):len(columns)], revocationColumns...) {
		out = append(out, c.expressions()...)
	}
	return strings.Join(out, ", ")
}()

func (c *column) expressions() []string {
	switch c.kind {
	case uints:
		return []string{"toUInt64(" + c.name + ")"}
	case micros:
		return []string{"toUnixTimestamp64Micro(" + c.name + ")"}
	case millis:
		return []string{"toUnixTimestamp64Milli(" + c.name + ")"}
	case maps:
		return []string{"mapKeys(" + c.name + ")", "mapValues(" + c.name + ")"}
	default:
		return []string{c.name}
	}
}

func (c *column) dest(v *cell) []any {
	switch c.kind {
	case uints:
		return []any{&v.unsigned}
	case micros, millis:
		return []any{&v.signed}
	case lists:
		return []any{&v.list}
	case maps:
		return []any{&v.list, &v.values}
	default:
		return []any{&v.text}
	}
}

// dests is where scan puts what selected names.
func (r *row) dests() []any {
	out := []any{&r.index, &r.revokes}
	for i := range columns {
		out = append(out, columns[i].dest(&r.cells[i])...)
	}
	for i := range revocationColumns {
		out = append(out, revocationColumns[i].dest(&r.revocation[i])...)
	}
	return out
}

func (c *column) empty(v *cell) bool {
	switch c.kind {
	case uints:
		return v.unsigned == 0
	case micros, millis:
		return v.signed == 0
	case lists, maps:
		return len(v.list) == 0
	case fixed:
		return isZero([]byte(v.text))
	default:
		return v.text == ""
	}
}

// append is the value of the member as the record encodes it.
func (c *column) append(b []byte, v *cell) []byte {
	switch c.kind {
	case uints:
		return appendUint(b, v.unsigned)
	case micros, millis:
		return appendInt(b, v.signed)
	case lists:
		return appendList(b, v.list)
	case maps:
		return appendMap(b, v.list, v.values)
	case fixed:
		return appendBytes(b, []byte(v.text))
	default:
		return appendText(b, v.text)
	}
}

// encode is the record that the row holds, byte for byte.
func (r *row) encode(b []byte) []byte {
	members := present(columns, r.cells)
	if r.revokes {
		members++
	}
	b = appendHead(b, 5, uint64(members))
	b = appendMembers(b, columns[:beforeRevocation], r.cells)
	if r.revokes {
		b = appendHead(appendUint(b, memberRevocation), 5, uint64(present(revocationColumns, r.revocation)))
		b = appendMembers(b, revocationColumns, r.revocation)
	}
	return appendMembers(b, columns[beforeRevocation:], r.cells[beforeRevocation:])
}

// beforeRevocation is how many columns hold members before that one.
var beforeRevocation = slices.IndexFunc(columns, func(c column) bool { return c.member > memberRevocation })

// present is how many members the cells make.
func present(columns []column, cells []cell) (n int) {
	for i := range columns {
		if columns[i].always || !columns[i].empty(&cells[i]) {
			n++
		}
	}
	return n
}

func appendMembers(b []byte, columns []column, cells []cell) []byte {
	for i := range columns {
		if c := &columns[i]; c.always || !c.empty(&cells[i]) {
			b = c.append(appendUint(b, c.member), &cells[i])
		}
	}
	return b
}

// stray reports whether a row that revokes nothing says what it revokes.
func (r *row) stray() bool {
	if r.revokes {
		return false
	}
	for i := range revocationColumns {
		if !revocationColumns[i].empty(&r.revocation[i]) {
			return true
		}
	}
	return false
}

// show is an encoded member for people: in full where it may be disclosed,
// else as the beginning of its SHA-256.
func (c *column) show(raw []byte) string {
	if len(raw) == 0 {
		return "nothing"
	}
	if !c.disclose {
		return fmt.Sprintf("sha256:%x…", sha256.Sum256(raw))[:len("sha256:")+16] + "…"
	}
	var v any
	if err := strict.Unmarshal(raw, &v); err != nil {
		return "unreadable"
	}
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%.60q", v)
	case []byte:
		return fmt.Sprintf("%x", v)
	default:
		return fmt.Sprint(v)
	}
}

// encoded is the member that the row holds, nil where a record would leave it
// out.
func (c *column) encoded(v *cell) []byte {
	if c.empty(v) && !c.always {
		return nil
	}
	return c.append(nil, v)
}

// differences are the columns in which the row is not what the record says.
func (r *row) differences(want record) []Difference {
	var out []Difference
	differ := func(c *column, want, got []byte) {
		if string(want) != string(got) {
			out = append(out, Difference{Place: Events, Kind: Changed, Index: r.index, Column: c.name, Want: c.show(want), Got: c.show(got)})
		}
	}
	for i := range columns {
		differ(&columns[i], want[columns[i].member], columns[i].encoded(&r.cells[i]))
	}
	revocation := record{}
	want.into(memberRevocation, &revocation)
	_, revokes := want[memberRevocation]
	differ(&column{name: "revokes", disclose: true}, flag(revokes), flag(r.revokes))
	for i := range revocationColumns {
		c, got := &revocationColumns[i], revocationColumns[i].encoded(&r.revocation[i])
		if !r.revokes && c.empty(&r.revocation[i]) {
			got = nil
		}
		differ(c, revocation[c.member], got)
	}
	return out
}

func flag(on bool) cbor.RawMessage {
	if on {
		return cbor.RawMessage{0xf5}
	}
	return cbor.RawMessage{0xf4}
}
