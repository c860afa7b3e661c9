package eventrow

import (
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

// col is one column of the wire: how the server makes the table's column of
// it, how it is read back, and which member of a row it is.
type col struct {
	name   string // in the external table, and in events unless into says otherwise
	wire   column.Type
	into   string // column of events; "" where another column takes this one in
	insert string // expression over the external table
	read   string // expression over events; "" where it is not read back
	append func(c column.Interface, rows []flat) error
	dest   func(f *flat) any
}

// plain is a column whose wire type is its own.
func plain[T any](name string, wire column.Type, at func(*flat) *T) col {
	return col{
		name: name, wire: wire, into: name, insert: name, read: name,
		append: func(c column.Interface, rows []flat) error {
			vs := make([]T, len(rows))
			for i := range rows {
				vs[i] = *at(&rows[i])
			}
			_, err := c.Append(vs)
			return err
		},
		dest: func(f *flat) any { return at(f) },
	}
}

func text(name string, at func(*flat) *string) col { return plain(name, "String", at) }

// micros and millis are DateTime64 columns that travel as integers: the
// driver's own conversion goes through nanoseconds, which end in 2262.
func micros(name string, at func(*flat) *int64) col { return instant(name, "Micro", at) }
func millis(name string, at func(*flat) *int64) col { return instant(name, "Milli", at) }

func instant(name, unit string, at func(*flat) *int64) col {
	c := plain(name, "Int64", at)
	c.insert = fmt.Sprintf("fromUnixTimestamp64%s(%s, 'UTC')", unit, name)
	c.read = fmt.Sprintf("toUnixTimestamp64%s(%s)", unit, name)
	return c
}

// fixed is a FixedString column over the bytes of an array. Dest is the array
// itself, which the driver fills.
func fixed(name string, size int, bytes func(*flat) []byte, dest func(*flat) any) col {
	return col{
		name: name, wire: column.Type(fmt.Sprintf("FixedString(%d)", size)), into: name, insert: name, read: name,
		append: func(c column.Interface, rows []flat) error {
			vs := make([][]byte, len(rows))
			for i := range rows {
				vs[i] = bytes(&rows[i])
			}
			_, err := c.Append(vs)
			return err
		},
		dest: dest,
	}
}

// list is an array of strings. Its rows are appended one by one because the
// driver takes []string without reflection there, and [][]string with it.
func list(name string, at func(*flat) *[]string) col {
	return col{
		name: name, wire: "Array(String)", into: name, insert: name, read: name,
		append: func(c column.Interface, rows []flat) error {
			for i := range rows {
				if err := c.AppendRow(*at(&rows[i])); err != nil {
					return err
				}
			}
			return nil
		},
		dest: func(f *flat) any { return at(f) },
	}
}

// columns of events, all of them but the ones with a default.
var columns = []col{
	plain("shard", "UInt16", func(f *flat) *uint16 { return &f.Shard }),
	plain("index", "UInt64", func(f *flat) *uint64 { return &f.Index }),
	plain("version", "UInt8", func(f *flat) *uint8 { return &f.Record.Version }),
	text("tenant", func(f *flat) *string { return &f.Record.Tenant }),
	text("source", func(f *flat) *string { return &f.Record.Source }),
	text("id", func(f *flat) *string { return &f.Record.ID }),
	text("environment", func(f *flat) *string { return &f.Record.Environment }),
	text("type", func(f *flat) *string { return (*string)(&f.Record.Type) }),
	micros("time", func(f *flat) *int64 { return &f.Record.Time }),
	micros("received", func(f *flat) *int64 { return &f.Record.Received }),
	text("issuer", func(f *flat) *string { return &f.Record.Issuer }),
	fixed("subject_ref", 16, func(f *flat) []byte { return f.Record.SubjectRef[:] }, func(f *flat) any { return &f.Record.SubjectRef }),
	fixed("token_ref", 16, func(f *flat) []byte { return f.Record.TokenRef[:] }, func(f *flat) any { return &f.Record.TokenRef }),
	fixed("session_ref", 16, func(f *flat) []byte { return f.Record.SessionRef[:] }, func(f *flat) any { return &f.Record.SessionRef }),
	fixed("grant_ref", 16, func(f *flat) []byte { return f.Record.GrantRef[:] }, func(f *flat) any { return &f.Record.GrantRef }),
	text("client", func(f *flat) *string { return &f.Record.Client }),
	text("kid", func(f *flat) *string { return &f.Record.KeyID }),
	text("alg", func(f *flat) *string { return &f.Record.Algorithm }),
	list("aud", func(f *flat) *[]string { return &f.Record.Audience }),
	text("scope", func(f *flat) *string { return &f.Record.Scope }),
	millis("iat", func(f *flat) *int64 { return (*int64)(&f.Record.IssuedAt) }),
	millis("exp", func(f *flat) *int64 { return (*int64)(&f.Record.Expires) }),
	millis("nbf", func(f *flat) *int64 { return (*int64)(&f.Record.NotBefore) }),
	text("actor", func(f *flat) *string { return &f.Record.Actor }),
	text("outcome", func(f *flat) *string { return &f.Record.Outcome }),
	text("reason", func(f *flat) *string { return &f.Record.Reason }),
	attributeNames(),
	attributeValues(),
	plain("view", "UInt64", func(f *flat) *uint64 { return &f.Record.View }),
	fixed("payload_hash", 32, func(f *flat) []byte { return f.Record.PayloadHash[:] }, func(f *flat) any { return &f.Record.PayloadHash }),
	plain("data_key", "UInt32", func(f *flat) *uint32 { return &f.Record.DataKey }),
	list("claims", func(f *flat) *[]string { return &f.Record.Claims }),
	text("consent", func(f *flat) *string { return &f.Record.Consent }),
	list("purposes", func(f *flat) *[]string { return &f.Record.Purposes }),
	text("ticket", func(f *flat) *string { return &f.Record.Ticket }),
	plain("revokes", "Bool", func(f *flat) *bool { return &f.revokes }),
	text("revoked_scope", func(f *flat) *string { return (*string)(&f.revocation.Scope) }),
	fixed("revoked_hash", 16, func(f *flat) []byte { return f.revocation.Hash[:] }, func(f *flat) any { return &f.revocation.Hash }),
	millis("revoked_before", func(f *flat) *int64 { return (*int64)(&f.revocation.IssuedBefore) }),
	millis("revoked_expires", func(f *flat) *int64 { return (*int64)(&f.revocation.Expires) }),
	plain("revoked_feed_key", "UInt32", func(f *flat) *uint32 { return &f.revocation.FeedKey }),
	fixed("lifts", 16, func(f *flat) []byte { return f.revocation.Lifts[:] }, func(f *flat) any { return &f.revocation.Lifts }),
	digest(),
}

// A map travels as its two halves: the driver would go through reflection and
// an any for each member.
func attributeNames() col {
	c := list("attribute_names", func(f *flat) *[]string { return &f.names })
	c.into, c.insert, c.read = "attributes", "mapFromArrays(attribute_names, attribute_values)", "mapKeys(attributes)"
	return c
}

func attributeValues() col {
	c := list("attribute_values", func(f *flat) *[]string { return &f.values })
	c.into, c.read = "", "mapValues(attributes)"
	return c
}

func digest() col {
	c := fixed("digest", 8, func(f *flat) []byte { return f.Digest[:] }, nil)
	c.read = ""
	return c
}

// join is what of returns for every column, without the empty ones.
func join(of func(*col) string) string {
	var out []string
	for i := range columns {
		if s := of(&columns[i]); s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}
