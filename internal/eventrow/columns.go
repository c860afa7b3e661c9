package eventrow

import (
	"strings"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/rescindhq/rescind/events"
)

// col is one column of events: its type there and on the wire, which is the
// same so that the server has nothing to convert, how it is read back, and
// which member of a row it is.
type col struct {
	name   string
	wire   string
	prefix bool   // a dictionary is in it, and its version goes first
	read   []read // what is selected for it
	encode func(e *encoder, b *proto.Buffer, rows []Row)
}

// read is one expression over events and where its value goes.
type read struct {
	expression string
	dest       func(f *flat) any
}

func as(name string, dest func(*flat) any) []read { return []read{{name, dest}} }

func number(name, wire string, put func(b *proto.Buffer, r *Row), dest func(*flat) any) col {
	return col{name: name, wire: wire, read: as(name, dest), encode: func(_ *encoder, b *proto.Buffer, rows []Row) {
		for i := range rows {
			put(b, &rows[i])
		}
	}}
}

// instant is a DateTime64 column. It is read back as an integer, because the
// driver's own conversion goes through nanoseconds, which end in 2262.
func instant(name, wire, unit string, at func(r *Row) int64, dest func(*flat) any) col {
	c := number(name, wire, func(b *proto.Buffer, r *Row) { b.PutInt64(at(r)) }, dest)
	c.read[0].expression = "toUnixTimestamp64" + unit + "(" + name + ")"
	return c
}

func micros(name string, at func(*events.Record) *int64) col {
	return instant(name, "DateTime64(6, 'UTC')", "Micro", func(r *Row) int64 { return *at(&r.Record) }, func(f *flat) any { return at(&f.Record) })
}

func millis(name string, at func(*events.Record) *events.Timestamp) col {
	return instant(name, "DateTime64(3, 'UTC')", "Milli", func(r *Row) int64 { return int64(*at(&r.Record)) },
		func(f *flat) any { return (*int64)(at(&f.Record)) })
}

// fixed is the bytes of an array; dest is the array itself, which the driver
// fills.
func fixed(name, wire string, bytes func(r *Row) []byte, dest func(*flat) any) col {
	return number(name, wire, func(b *proto.Buffer, r *Row) { b.Buf = append(b.Buf, bytes(r)...) }, dest)
}

func ref(name string, at func(*events.Record) *events.Ref) col {
	return fixed(name, "FixedString(16)", func(r *Row) []byte { return at(&r.Record)[:] }, func(f *flat) any { return at(&f.Record) })
}

func text(name string, at func(*events.Record) *string) col {
	return number(name, "String", func(b *proto.Buffer, r *Row) { b.PutString(*at(&r.Record)) }, func(f *flat) any { return at(&f.Record) })
}

// word is a text that few others occur beside.
func word(name string, at func(*events.Record) *string) col {
	c := words(name, func(r *Row) string { return *at(&r.Record) })
	c.read = as(name, func(f *flat) any { return at(&f.Record) })
	return c
}

func words(name string, at func(r *Row) string) col {
	return col{name: name, wire: "LowCardinality(String)", prefix: true, encode: func(e *encoder, b *proto.Buffer, rows []Row) {
		e.values = e.values[:0]
		for i := range rows {
			e.values = append(e.values, at(&rows[i]))
		}
		e.dictionary(b, e.values)
	}}
}

func list(name string, at func(*events.Record) *[]string) col {
	c := col{name: name, wire: "Array(LowCardinality(String))", prefix: true, encode: func(e *encoder, b *proto.Buffer, rows []Row) {
		e.values = e.values[:0]
		for i := range rows {
			e.values = append(e.values, *at(&rows[i].Record)...)
			b.PutUInt64(uint64(len(e.values)))
		}
		e.dictionary(b, e.values)
	}}
	c.read = as(name, func(f *flat) any { return at(&f.Record) })
	return c
}

// attributes are a map, read back as its two halves: the driver would go
// through reflection and an any for each member.
func attributes() col {
	return col{
		name: "attributes", wire: "Map(LowCardinality(String), String)", prefix: true,
		read: []read{
			{"mapKeys(attributes)", func(f *flat) any { return &f.names }},
			{"mapValues(attributes)", func(f *flat) any { return &f.texts }},
		},
		encode: func(e *encoder, b *proto.Buffer, rows []Row) { e.attributes(b, rows) },
	}
}

// of is a member of the record's revocation, or of an empty one where the
// record has none.
func of(r *Row) *events.Revocation {
	if r.Record.Revocation == nil {
		return &none
	}
	return r.Record.Revocation
}

var none events.Revocation // never written

// columns of events, all of them.
var columns = []col{
	number("shard", "UInt16", func(b *proto.Buffer, r *Row) { b.PutUInt16(r.Shard) }, func(f *flat) any { return &f.Shard }),
	number("index", "UInt64", func(b *proto.Buffer, r *Row) { b.PutUInt64(r.Index) }, func(f *flat) any { return &f.Index }),
	number("version", "UInt8", func(b *proto.Buffer, r *Row) { b.PutUInt8(r.Record.Version) }, func(f *flat) any { return &f.Record.Version }),
	word("tenant", func(r *events.Record) *string { return &r.Tenant }),
	word("source", func(r *events.Record) *string { return &r.Source }),
	text("id", func(r *events.Record) *string { return &r.ID }),
	word("environment", func(r *events.Record) *string { return &r.Environment }),
	word("type", func(r *events.Record) *string { return (*string)(&r.Type) }),
	micros("time", func(r *events.Record) *int64 { return &r.Time }),
	micros("received", func(r *events.Record) *int64 { return &r.Received }),
	word("issuer", func(r *events.Record) *string { return &r.Issuer }),
	ref("subject_ref", func(r *events.Record) *events.Ref { return &r.SubjectRef }),
	ref("token_ref", func(r *events.Record) *events.Ref { return &r.TokenRef }),
	ref("session_ref", func(r *events.Record) *events.Ref { return &r.SessionRef }),
	ref("grant_ref", func(r *events.Record) *events.Ref { return &r.GrantRef }),
	word("client", func(r *events.Record) *string { return &r.Client }),
	word("kid", func(r *events.Record) *string { return &r.KeyID }),
	word("alg", func(r *events.Record) *string { return &r.Algorithm }),
	list("aud", func(r *events.Record) *[]string { return &r.Audience }),
	word("scope", func(r *events.Record) *string { return &r.Scope }),
	millis("iat", func(r *events.Record) *events.Timestamp { return &r.IssuedAt }),
	millis("exp", func(r *events.Record) *events.Timestamp { return &r.Expires }),
	millis("nbf", func(r *events.Record) *events.Timestamp { return &r.NotBefore }),
	word("actor", func(r *events.Record) *string { return &r.Actor }),
	word("outcome", func(r *events.Record) *string { return &r.Outcome }),
	word("reason", func(r *events.Record) *string { return &r.Reason }),
	attributes(),
	number("view", "UInt64", func(b *proto.Buffer, r *Row) { b.PutUInt64(r.Record.View) }, func(f *flat) any { return &f.Record.View }),
	fixed("payload_hash", "FixedString(32)", func(r *Row) []byte { return r.Record.PayloadHash[:] }, func(f *flat) any { return &f.Record.PayloadHash }),
	number("data_key", "UInt32", func(b *proto.Buffer, r *Row) { b.PutUInt32(r.Record.DataKey) }, func(f *flat) any { return &f.Record.DataKey }),
	list("claims", func(r *events.Record) *[]string { return &r.Claims }),
	text("consent", func(r *events.Record) *string { return &r.Consent }),
	list("purposes", func(r *events.Record) *[]string { return &r.Purposes }),
	text("ticket", func(r *events.Record) *string { return &r.Ticket }),
	number("revokes", "Bool", func(b *proto.Buffer, r *Row) { b.PutBool(r.Record.Revocation != nil) }, func(f *flat) any { return &f.revokes }),
	revokedScope(),
	fixed("revoked_hash", "FixedString(16)", func(r *Row) []byte { return of(r).Hash[:] }, func(f *flat) any { return &f.revocation.Hash }),
	revokedMillis("revoked_before", func(r *events.Revocation) *events.Timestamp { return &r.IssuedBefore }),
	revokedMillis("revoked_expires", func(r *events.Revocation) *events.Timestamp { return &r.Expires }),
	number("revoked_feed_key", "UInt32", func(b *proto.Buffer, r *Row) { b.PutUInt32(of(r).FeedKey) }, func(f *flat) any { return &f.revocation.FeedKey }),
	fixed("lifts", "FixedString(16)", func(r *Row) []byte { return of(r).Lifts[:] }, func(f *flat) any { return &f.revocation.Lifts }),
	number("lifts_index", "UInt64", func(b *proto.Buffer, r *Row) { b.PutUInt64(of(r).LiftsIndex) }, func(f *flat) any { return &f.revocation.LiftsIndex }),
	revokedMillis("revoked_starts", func(r *events.Revocation) *events.Timestamp { return &r.Starts }),
	revokedMillis("revoked_until", func(r *events.Revocation) *events.Timestamp { return &r.NotAfter }),
}

func revokedScope() col {
	c := words("revoked_scope", func(r *Row) string { return string(of(r).Scope) })
	c.read = as(c.name, func(f *flat) any { return (*string)(&f.revocation.Scope) })
	return c
}

func revokedMillis(name string, at func(*events.Revocation) *events.Timestamp) col {
	return instant(name, "DateTime64(3, 'UTC')", "Milli", func(r *Row) int64 { return int64(*at(of(r))) },
		func(f *flat) any { return (*int64)(at(&f.revocation)) })
}

// names are the columns as a list.
func names() string {
	out := make([]string, len(columns))
	for i := range columns {
		out[i] = "`" + columns[i].name + "`"
	}
	return strings.Join(out, ", ")
}

// selected is what is read back of them.
func selected() string {
	var out []string
	for i := range columns {
		for _, r := range columns[i].read {
			out = append(out, r.expression)
		}
	}
	return strings.Join(out, ", ")
}
