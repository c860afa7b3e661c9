package events

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The oracle of our hand-shaped CBOR is a general library, told by the tags of
// the types what to write, and asked to write again what it has read.
var (
	oracleEncoder = func() cbor.EncMode {
		m, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
	oracleDecoder = func() cbor.DecMode {
		m, err := cbor.DecOptions{
			DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
			MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 16, MaxNestedLevels: 32, UTF8: cbor.UTF8RejectInvalid,
			ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, DefaultMapType: reflect.TypeFor[map[string]any](),
		}.DecMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
)

func oracleUnmarshalRecord(b []byte) (*Record, error) {
	r := new(Record)
	if err := oracleDecoder.Unmarshal(b, r); err != nil {
		return nil, err
	}
	if r.Version != RecordVersion {
		return nil, fmt.Errorf("version %d", r.Version)
	}
	again, err := oracleEncoder.Marshal(r)
	if err != nil || !slices.Equal(again, b) {
		return nil, fmt.Errorf("not in its one encoding")
	}
	return r, nil
}

// encodes asks that v is encoded as the oracle does, and that AppendTo leaves
// alone what it appends to.
func encodes(t *rapid.T, v any, marshal func() ([]byte, error)) {
	t.Helper()
	got, err := marshal()
	if err != nil {
		t.Fatal(err)
	}
	want, err := oracleEncoder.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%+v is\n%x, the oracle writes\n%x", v, got, want)
	}
}

func TestRecordsAreEncodedAsTheTagsSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		encodes(t, r, r.Marshal)
		if b := r.AppendTo([]byte("before")); !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("%q", b[:10])
		} else if again, _ := r.Marshal(); !bytes.Equal(b[len("before"):], again) {
			t.Fatal("appended to something it is another encoding")
		}
	})
}

func TestBatchesAreEncodedAsTheTagsSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t)
		switch rapid.IntRange(0, 3).Draw(t, "nil") {
		case 0:
			b.Header.Edge = nil
		case 1:
			b.Items[0] = Item{}
		case 2:
			b.Items = nil
		}
		encodes(t, b, b.Marshal)
	})
}

func TestPersonalPartsAreEncodedAsTheTagsSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 12, 40)
		p := Personal{
			Subject: text.Draw(t, "sub"), TokenID: text.Draw(t, "jti"), SessionID: text.Draw(t, "sid"), GrantID: text.Draw(t, "grant"),
			IP: text.Draw(t, "ip"), UserAgent: text.Draw(t, "agent"), Note: text.Draw(t, "note"), Members: drawPersonal(t, text),
		}
		encodes(t, p, p.Marshal)
		b, _ := p.Marshal()
		back, err := UnmarshalPersonal(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := back.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%v: %x became %x", err, b, again)
		}
		for n := range b {
			if _, err := UnmarshalPersonal(b[:n]); err == nil {
				t.Fatalf("the first %d of %d bytes were accepted", n, len(b))
			}
		}
	})
}

// Numbers have many widths in CBOR, and only the shortest is ours.
func TestNumbersAreEncodedAsTheOracleDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(
			rapid.Float64().AsAny(), rapid.Map(rapid.Float32(), func(f float32) any { return float64(f) }),
			rapid.Map(rapid.Uint16(), func(h uint16) any { f, _ := widened(h); return f }),
			rapid.Int64().AsAny(), rapid.Uint64().AsAny(), rapid.Map(rapid.Uint16(), func(n uint16) any { return int64(n) }),
		).Draw(t, "number")
		encodes(t, map[string]any{"a": v}, func() ([]byte, error) { return appendClaim(nil, map[string]any{"a": v}, 0) })
		b, _ := appendClaim(nil, v, 0)
		in := cborReader{b: b}
		got := in.claim(0)
		if err := in.end(); err != nil || !cmp.Equal(v, got, equateNumbers) {
			t.Fatalf("%v was read as %v, %v", v, got, err)
		}
	})
}
