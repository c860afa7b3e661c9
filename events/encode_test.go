package events

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestEncodedEventDecodesToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ev := drawEvent(t)
		b, err := MarshalEvent(&ev)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(Message{ContentType: ContentTypeEvent, Body: b, Tenant: ev.Tenant, Type: ev.Type})
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, ev)
	})
}

func TestEncodedBatchDecodesToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var evs []Event
		for range rapid.IntRange(0, 5).Draw(t, "count") {
			evs = append(evs, drawEvent(t))
		}
		b, err := MarshalEvents(evs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(Message{ContentType: ContentTypeBatch, Body: b, Tenant: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, evs...)
	})
}

func want(t *rapid.T, got []Decoded, evs ...Event) {
	t.Helper()
	if len(got) != len(evs) {
		t.Fatalf("%d events decoded, want %d", len(got), len(evs))
	}
	for i := range got {
		if got[i].Refusal != nil {
			t.Fatalf("event %d refused: %s", i, got[i].Refusal)
		}
		if d := cmp.Diff(evs[i], got[i].Event, cmpopts.EquateEmpty(), equateNumbers); d != "" {
			t.Fatalf("event %d: %s", i, d)
		}
	}
}

// equateNumbers takes a number for the same whatever Go type holds it: JSON has
// one.
var equateNumbers = cmp.FilterValues(func(a, b any) bool { return isNumber(a) && isNumber(b) },
	cmp.Comparer(func(a, b any) bool {
		one, _ := json.Marshal(a)
		two, _ := json.Marshal(b)
		return bytes.Equal(one, two)
	}))

func isNumber(v any) bool {
	switch v.(type) {
	case int64, uint64, float64:
		return true
	default:
		return false
	}
}

// drawEvent draws events as a publisher may send them: text is any UTF-8, times
// are of the precision that a record keeps.
func drawEvent(t *rapid.T) Event {
	text := rapid.StringN(0, 12, 40)
	stamp := rapid.Map(rapid.Int64Range(0, maxNumericDate*1000), func(i int64) Timestamp { return Timestamp(i) })
	ev := Event{
		ID: text.Draw(t, "id"), Source: text.Draw(t, "source"), Tenant: "acme", Environment: text.Draw(t, "environment"),
		Type: rapid.SampledFrom(Types()).Draw(t, "type"),
		Time: time.UnixMicro(rapid.Int64Range(0, maxNumericDate*1e6).Draw(t, "time")).UTC(),
		Data: Data{
			Audience: rapid.SliceOfN(text, 0, 3).Draw(t, "aud"), Attributes: rapid.MapOfN(text, text, 0, 3).Draw(t, "attributes"),
			IssuedAt: stamp.Draw(t, "iat"), Expires: stamp.Draw(t, "exp"), NotBefore: stamp.Draw(t, "nbf"),
			IssuedBefore: stamp.Draw(t, "issued_before"), Starts: stamp.Draw(t, "starts"), NotAfter: stamp.Draw(t, "not_after"), View: rapid.Uint64().Draw(t, "view"),
		},
	}
	for _, m := range ev.Data.texts() {
		*m.text = text.Draw(t, m.name)
	}
	ev.Data.Tenant = rapid.SampledFrom([]string{"", "acme"}).Draw(t, "data.tenant")
	if rapid.Bool().Draw(t, "consents") {
		ev.Data.Consent = &Consent{ID: text.Draw(t, "consent"), Purposes: rapid.SliceOfN(text, 0, 3).Draw(t, "purposes")}
	}
	ev.Data.Personal = drawPersonal(t, text)
	return ev
}

func drawPersonal(t *rapid.T, text *rapid.Generator[string]) map[string]any {
	value := rapid.OneOf(
		text.AsAny(), rapid.Float64Range(-1e15, 1e15).AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil),
		rapid.Map(text, func(s string) any { return []any{s, map[string]any{"deep": s}} }),
	)
	return rapid.MapOfN(text, value, 0, 4).Draw(t, "personal")
}

func TestEncodeRefusesWhatJSONCannotHold(t *testing.T) {
	ev := Event{Data: Data{Personal: map[string]any{"f": func() {}}}}
	if _, err := MarshalEvent(&ev); err == nil {
		t.Error("an event with a function in personal{} was encoded")
	}
	if _, err := MarshalEvents([]Event{{}, ev}); err == nil {
		t.Error("a batch with such an event was encoded")
	}
}
