package events

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What was decoded does not change with the bytes that it was decoded from:
// they may be reused, and one event does not hold a whole message in memory.
func TestDecodedEventsKeepNothingOfTheirMessage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ev := drawEvent(t)
		asJSON, err := MarshalEvent(&ev)
		if err != nil {
			t.Fatal(err)
		}
		asProto, err := MarshalProtobuf(&ev)
		if err != nil {
			t.Fatal(err)
		}
		for contentType, body := range map[string][]byte{ContentTypeEvent: asJSON, ContentTypeProtobuf: asProto} {
			m := Message{ContentType: contentType, Body: body}
			before, _ := Decode(m)
			got, _ := Decode(m)
			overwrite(body)
			if d := cmp.Diff(before[0].Event, got[0].Event); d != "" || got[0].Refusal != nil {
				t.Fatalf("%s: %v\n%s", contentType, got[0].Refusal, d)
			}
			want(t, []Decoded{{Event: got[0].Event}}, ev)
		}
	})
}

func TestDecodedRecordsKeepNothingOfTheirBytes(t *testing.T) {
	t.Parallel()
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
		overwrite(b)
		again, err := got.Marshal()
		if want, _ := r.Marshal(); err != nil || string(again) != string(want) {
			t.Fatalf("%v: the record changed with its bytes", err)
		}
	})
}

// overwrite writes over b.
func overwrite(b []byte) {
	for i := range b {
		b[i] = 'x'
	}
}

// Texts that share a place are told apart.
func TestInternedTextsAreThemselves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for _, s := range rapid.SliceOfN(rapid.StringN(0, 10, 200), 0, 200).Draw(t, "texts") {
			if got := intern([]byte(s)); got != s {
				t.Fatalf("%q became %q", s, got)
			}
		}
	})
}
