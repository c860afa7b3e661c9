package events

import (
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
