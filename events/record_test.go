package events

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestRecordHasOneEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := UnmarshalRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func drawRecord(t *rapid.T) *Record {
	text := rapid.StringN(0, 12, 40)
	r := &Record{
		Version: RecordVersion, Source: text.Draw(t, "source"), ID: text.Draw(t, "id"), Tenant: "acme", Environment: "dev",
		Type: rapid.SampledFrom(Types()).Draw(t, "type"), Time: rapid.Int64Min(0).Draw(t, "time"), Received: time.Now().UnixMicro(),
		Issuer: text.Draw(t, "iss"), Actor: text.Draw(t, "actor"),
		IssuedAt: Timestamp(rapid.Int64Min(0).Draw(t, "iat")), View: rapid.Uint64().Draw(t, "view"),
		Attributes: rapid.MapOfN(text, text, 0, 4).Draw(t, "attributes"),
		Audience:   rapid.SliceOfN(text, 0, 3).Draw(t, "aud"),
	}
	copy(r.SubjectRef[:], rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "subject"))
	if rapid.Bool().Draw(t, "revokes") {
		r.Revocation = &Revocation{Scope: ScopeToken, Hash: Ref{1}, Expires: 5}
	}
	return r
}

func TestRecordInAnotherEncodingIsRefused(t *testing.T) {
	r := &Record{Version: RecordVersion, Tenant: "acme", Attributes: map[string]string{"a": "1"}}
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		broken := append([]byte(nil), b...)
		broken[i] ^= 0x40
		if got, err := UnmarshalRecord(broken); err == nil {
			again, _ := got.Marshal()
			if !cmp.Equal(again, broken) {
				t.Fatalf("byte %d: accepted bytes that encode differently", i)
			}
		}
	}
	if _, err := UnmarshalRecord(append(b, 0)); err == nil {
		t.Fatal("trailing byte accepted")
	}
}

func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := map[uint64]bool{}
		var ranges []Range
		for _, s := range rapid.SliceOf(rapid.Uint64Range(1, 40)).Draw(t, "seqs") {
			in[s] = true
			ranges = AddToRanges(ranges, s)
		}
		for i, r := range ranges {
			if r.First > r.Last || i > 0 && ranges[i-1].Last+1 >= r.First {
				t.Fatalf("ranges touch or are out of order: %v", ranges)
			}
		}
		for s := range uint64(42) {
			if InRanges(ranges, s) != in[s] {
				t.Fatalf("seq %d: got %v of %v", s, !in[s], ranges)
			}
		}
	})
}

func TestRecordEncodedAnotherWayIsRefused(t *testing.T) {
	t.Parallel()
	b, err := (&Record{Version: RecordVersion, Tenant: "acme", SubjectRef: Ref{7}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	pairs := int(b[0] & 0x1f) // so few that the first byte holds the count
	more := append([]byte{b[0] + 1}, b[1:]...)
	ref := bytes.Index(b, []byte{10, 0x50, 7})
	for name, other := range map[string][]byte{
		"a longer integer":    append([]byte{b[0], 1, 0x18, 1}, b[3:]...),
		"a longer map header": append([]byte{0xb8, byte(pairs)}, b[1:]...),
		"keys out of order":   append(append([]byte{b[0]}, b[3:]...), b[1:3]...),
		"an empty member":     append(bytes.Clone(more), 33, 0x60),
		"a key said twice":    append(bytes.Clone(more), 1, 1),
		"an unknown key":      append(bytes.Clone(more), 0x18, 200, 1),
		"an endless map":      append(append([]byte{0xbf}, b[1:]...), 0xff),
		"a tag":               append([]byte{0xc1}, b...),
		"a short reference":   append(append(bytes.Clone(b[:ref]), 10, 0x4f), b[ref+3:]...),
		"another version":     append([]byte{b[0], 1, 2}, b[3:]...),
	} {
		if _, err := UnmarshalRecord(other); err == nil {
			t.Errorf("%s: %x was accepted", name, other)
		}
	}
	if _, err := UnmarshalRecord(b); err != nil || ref < 0 {
		t.Errorf("unchanged: %v, reference at %d", err, ref)
	}
}
