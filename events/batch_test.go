package events

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func drawBatch(t *rapid.T) *Batch {
	b := &Batch{Header: Header{
		Version: BatchVersion, Shard: rapid.Uint16().Draw(t, "shard"), Epoch: rapid.Uint64().Draw(t, "epoch"),
		Lane: rapid.SampledFrom([]Lane{Control, Access}).Draw(t, "lane"), First: rapid.Uint64Max(math.MaxUint64-10).Draw(t, "first"),
		Written: rapid.Int64().Draw(t, "written"), IntakeStream: rapid.Int64().Draw(t, "intake"),
		Edge: rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 32, 32), 0, 4).Draw(t, "edge"),
	}}
	for _, s := range rapid.SliceOf(rapid.Uint64Range(1, 100)).Draw(t, "covered") {
		b.Header.Covered = AddToRanges(b.Header.Covered, s)
	}
	copy(b.Header.Root[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root"))
	for range rapid.IntRange(1, 5).Draw(t, "count") {
		r := drawRecord(t)
		record, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		b.Items = append(b.Items, Item{Record: record, Sealed: rapid.SliceOf(rapid.Byte()).Draw(t, "sealed"), Digest: []byte("12345678")})
	}
	b.Header.Count = uint32(len(b.Items))
	b.Header.Size = b.Header.First + uint64(b.Header.Count)
	return b
}

func TestBatchDecodesToItself(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t)
		data, err := b.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := UnmarshalBatch(data)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(b, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Item{}, Range{})); d != "" {
			t.Fatal(d)
		}
		if got.Header.Last() != b.Header.First+uint64(len(b.Items))-1 {
			t.Fatalf("last %d", got.Header.Last())
		}
	})
}

func smallBatch() *Batch {
	return &Batch{
		Header: Header{Version: BatchVersion, Epoch: 3, Lane: Control, First: 7, Count: 1, Size: 8, Covered: []Range{{First: 1, Last: 4}, {First: 6, Last: 6}}},
		Items:  []Item{{Record: []byte{1}, Digest: []byte("12345678")}},
	}
}

func TestBatchWhoseHeaderLies(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b *Batch){
		"another version": func(b *Batch) { b.Header.Version++ },
		"no records":      func(b *Batch) { b.Items, b.Header.Count, b.Header.Size = nil, 0, 7 },
		"count too high":  func(b *Batch) { b.Header.Count++; b.Header.Size++ },
		"count too low":   func(b *Batch) { b.Items = append(b.Items, b.Items[0]) },
		"too many records": func(b *Batch) {
			b.Items = make([]Item, MaxBatchRecords+1)
			b.Header.Count = MaxBatchRecords + 1
			b.Header.Size = 7 + MaxBatchRecords + 1
		},
		"size too high":    func(b *Batch) { b.Header.Size++ },
		"size wraps":       func(b *Batch) { b.Header.First, b.Header.Size = math.MaxUint64, 0 },
		"no lane":          func(b *Batch) { b.Header.Lane = "" },
		"another lane":     func(b *Batch) { b.Header.Lane = "fast" },
		"ranges touch":     func(b *Batch) { b.Header.Covered[1].First = 5; b.Header.Covered[1].Last = 6 },
		"ranges cross":     func(b *Batch) { b.Header.Covered[1].First = 2 },
		"ranges backwards": func(b *Batch) { b.Header.Covered[0], b.Header.Covered[1] = b.Header.Covered[1], b.Header.Covered[0] },
		"range backwards":  func(b *Batch) { b.Header.Covered[0] = Range{First: 4, Last: 1} },
		"range from zero":  func(b *Batch) { b.Header.Covered[1] = Range{} },
	} {
		b := smallBatch()
		change(b)
		data, err := b.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := UnmarshalBatch(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	data, _ := smallBatch().Marshal()
	if _, err := UnmarshalBatch(data); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	for n := range data {
		if _, err := UnmarshalBatch(data[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(data))
		}
	}
}

func FuzzBatch(f *testing.F) {
	data, _ := smallBatch().Marshal()
	f.Add(data)
	f.Add(bytes.Repeat([]byte{0x9f}, 100))
	f.Add([]byte{0xa2, 1, 0xa0, 2, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := UnmarshalBatch(data)
		if err != nil {
			return
		}
		again, err := b.Marshal()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%v: %x was accepted and encodes as %x", err, data, again)
		}
		var oracle Batch
		if err := oracleDecoder.Unmarshal(data, &oracle); err != nil {
			t.Fatalf("accepted what is no CBOR: %v", err)
		}
		if d := cmp.Diff(b, &oracle, cmpopts.IgnoreUnexported(Item{}, Range{})); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzRecord(f *testing.F) {
	r := &Record{
		Version: RecordVersion, Source: "s", ID: "i", Tenant: "acme", Environment: "dev", Type: TokenRevoked, Time: 1, Received: 2,
		SubjectRef: Ref{1}, Attributes: map[string]string{"a": "1", "bb": "2"}, Audience: []string{"x"}, PayloadHash: Hash{9},
		Revocation: &Revocation{Scope: ScopeToken, Hash: Ref{2}, Expires: 3, FeedKey: 1, Lifts: Ref{4}, LiftsIndex: 5, Starts: 6, NotAfter: 7},
	}
	data, _ := r.Marshal()
	f.Add(data)
	least, _ := (&Record{Version: RecordVersion}).Marshal()
	f.Add(least)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := UnmarshalRecord(data)
		oracle, oracleErr := oracleUnmarshalRecord(data)
		if (err == nil) != (oracleErr == nil) {
			t.Fatalf("%x: %v, but the oracle says %v", data, err, oracleErr)
		}
		if err != nil {
			return
		}
		again, err := r.Marshal()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%v: %x was accepted and encodes as %x", err, data, again)
		}
		if d := cmp.Diff(oracle, r); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzPersonal(f *testing.F) {
	p := Personal{Subject: "s", Members: map[string]any{"a": []any{"b", 1, -1, 1.5, 0.1, 1e-7, 1e300, 65504.0, nil, true, false}, "bb": map[string]any{}}}
	data, _ := p.Marshal()
	f.Add(data)
	f.Add([]byte{0xa0})
	f.Add([]byte{0xa1, 8, 0xa1, 0x61, 'a', 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := UnmarshalPersonal(data)
		if err != nil {
			return
		}
		again, err := p.Marshal()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%v: %x was accepted and encodes as %x", err, data, again)
		}
		var oracle Personal
		if err := oracleDecoder.Unmarshal(data, &oracle); err != nil {
			t.Fatalf("accepted what is no CBOR: %v", err)
		}
		if d := cmp.Diff(oracle, p, equateNumbers); d != "" {
			t.Fatal(d)
		}
	})
}
