package verify_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/verify"
	"github.com/rescindhq/rescind/projector/ledger"
)

// messages is the first log of a deployment as it is stored.
func (b *bench) messages() []*jetstream.RawStreamMsg { return b.messagesOf(0) }

func (b *bench) messagesOf(shard uint16) (all []*jetstream.RawStreamMsg) {
	b.t.Helper()
	s, err := natsdtest.JetStream(b.t, b.NATS, natsd.API).Stream(b.t.Context(), stream.LogStreamOf(shard))
	if err != nil {
		b.t.Fatal(err)
	}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(b.t.Context(), seq)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// elsewhere is a server whose logs hold these messages, on the subjects of the
// log that they are in. Nothing keeps anybody from deleting there.
func elsewhere(t testing.TB, logs ...[]*jetstream.RawStreamMsg) *natsd.Server {
	t.Helper()
	s := natsdtest.StartIn(t, natsd.Config{Dir: t.TempDir(), Shards: len(logs)})
	operator, writer := natsdtest.JetStream(t, s, natsd.Operator), natsdtest.JetStream(t, s, natsd.Projector)
	for k, log := range logs {
		name, all := stream.LogStreamOf(uint16(k)), stream.LogSubjectOf(uint16(k), "*")
		if err := operator.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		cfg := jetstream.StreamConfig{Name: name, Subjects: []string{all}, Storage: jetstream.FileStorage, AllowDirect: true}
		if _, err := operator.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		for _, m := range log {
			lane := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
			subject := stream.LogSubjectOf(uint16(k), events.Lane(lane))
			if _, err := writer.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: m.Data}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func deleteMessage(t *testing.T, s *natsd.Server, name string, seq uint64) {
	t.Helper()
	in, err := natsdtest.JetStream(t, s, natsd.Operator).Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.DeleteMsg(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
}

func header(t *testing.T, m *jetstream.RawStreamMsg) events.Header {
	t.Helper()
	return batch(t, m).Header
}

func batch(t *testing.T, m *jetstream.RawStreamMsg) *events.Batch {
	t.Helper()
	b, err := events.UnmarshalBatch(bytes.Clone(m.Data)) // what it holds is within
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rewrite is m with its batch changed.
func rewrite(t *testing.T, m *jetstream.RawStreamMsg, change func(*events.Batch)) *jetstream.RawStreamMsg {
	t.Helper()
	b := batch(t, m)
	change(b)
	data, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return &jetstream.RawStreamMsg{Subject: m.Subject, Data: data}
}

// testTamperedLog verifies copies of a log, each with one fault, against the
// tables of the log as it was.
func testTamperedLog(t *testing.T, b *bench) {
	log := b.messages()
	named := func(it events.Item) bool { return bytes.Contains(it.Record, []byte("ES256")) }
	at := slices.IndexFunc(log, func(m *jetstream.RawStreamMsg) bool { // a batch of several records, the first of them sealed, one that names an algorithm
		b, h := batch(t, m), header(t, m)
		return h.Lane == events.Access && h.Count > 2 && m.Sequence > 1 && len(b.Items[0].Sealed) > 9 && slices.ContainsFunc(b.Items, named)
	})
	if at < 0 || at+2 >= len(log) {
		t.Fatalf("batch %d of %d", at, len(log))
	}
	h, next := header(t, log[at]), header(t, log[at+1])
	signed := slices.IndexFunc(batch(t, log[at]).Items, named)
	swapped := slices.Clone(log)
	swapped[at], swapped[at+1] = log[at+1], log[at]
	one := func(m *jetstream.RawStreamMsg) []*jetstream.RawStreamMsg {
		out := slices.Clone(log)
		out[at] = m
		return out
	}
	changed := func(change func(*events.Batch)) []*jetstream.RawStreamMsg { return one(rewrite(t, log[at], change)) }
	line := func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	for _, c := range []struct {
		name string
		log  []*jetstream.RawStreamMsg
		drop int // message to delete, 0 for none
		want []string
	}{
		{"as it was", log, 0, nil},
		{"a byte of a record", changed(func(b *events.Batch) {
			b.Items[signed].Record = bytes.Replace(b.Items[signed].Record, []byte("ES256"), []byte("ES257"), 1)
		}), 0, []string{line("log changed %d", h.First), line("events changed %d alg", h.First+uint64(signed))}},
		{"a byte of a sealed part", changed(func(b *events.Batch) { b.Items[0].Sealed[9] ^= 1 }), 0, []string{line("log changed %d", h.First)}},
		{"a root", changed(func(b *events.Batch) { b.Header.Root[3] ^= 1 }), 0, []string{line("log changed %d", h.First), line("batches changed %d root", h.First)}},
		{"an edge", changed(func(b *events.Batch) { b.Header.Edge[0][3] ^= 1 }), 0, []string{line("log changed %d", h.First)}},
		{"an epoch that goes back", changed(func(b *events.Batch) { b.Header.Epoch = 0 }), 0, []string{line("log reordered %d", h.First), line("batches changed %d epoch", h.First)}},
		{"covered that goes back", changed(func(b *events.Batch) { b.Header.Covered = nil }), 0, []string{line("log changed %d", h.First)}},
		{"covered that was raised", changed(func(b *events.Batch) { b.Header.Covered[len(b.Header.Covered)-1].Last += 10_000 }), 0, []string{line("log changed %d", next.First)}},
		{"another intake", changed(func(b *events.Batch) { b.Header.IntakeStream++ }), 0, []string{line("log changed %d", h.First)}},
		{"another shard", changed(func(b *events.Batch) { b.Header.Shard = 3 }), 0, []string{line("log changed %d", h.First)}},
		{"another lane", one(&jetstream.RawStreamMsg{Subject: stream.LogSubject(events.Control), Data: log[at].Data}), 0, []string{line("log changed %d", h.First)}},
		{"two batches swapped", swapped, 0, []string{line("log reordered %d", h.First), line("batches changed %d seq", h.First), line("batches changed %d seq", next.First)}},
		{"no batch", one(&jetstream.RawStreamMsg{Subject: log[at].Subject, Data: log[at].Data[:100]}), 0,
			append(hole(h), line("log changed %d", h.First), line("log missing %d", h.First))},
		{"a batch missing", log, at + 1, append(hole(h), line("log missing %d", h.First))},
		{"the last batch missing", log, len(log), append(hole(header(t, log[len(log)-1])), line("log missing %d", header(t, log[len(log)-1]).First))},
		{"a batch again", append(slices.Clone(log), log[at]), 0, []string{line("log extra %d", h.First)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := elsewhere(t, c.log)
			if c.drop > 0 {
				deleteMessage(t, s, stream.LogStream, uint64(c.drop))
			}
			r := b.verify(verify.Config{NATS: natsdtest.Connect(t, s, natsd.Auditor), Limit: 10_000})
			r.Differences = slices.DeleteFunc(r.Differences, func(d verify.Difference) bool { return d.Place == verify.Payloads })
			finds(t, r, c.want...)
		})
	}
}

// hole is what the tables have too much where the log has lost a batch.
func hole(h events.Header) (out []string) {
	out = append(out, fmt.Sprintf("batches extra %d", h.First))
	for i := h.First; i <= h.Last(); i++ {
		out = append(out, fmt.Sprintf("events extra %d", i))
	}
	return out
}

// repeat is a batch behind last that holds the first record of m, and fits the
// tree.
func repeat(t *testing.T, last, m *jetstream.RawStreamMsg) *jetstream.RawStreamMsg {
	t.Helper()
	before := header(t, last)
	return rewrite(t, m, func(b *events.Batch) {
		tree, err := ledger.FromEdge(before.Size, before.Edge)
		if err != nil {
			t.Fatal(err)
		}
		b.Items = b.Items[:1]
		tree.Append(events.LeafHash(b.Items[0].Record))
		b.Header.First, b.Header.Count, b.Header.Size = before.Size, 1, tree.Size()
		b.Header.Root, b.Header.Edge, b.Header.Covered = tree.Root(), tree.Edge(), before.Covered
		b.Header.Epoch = before.Epoch
	})
}
