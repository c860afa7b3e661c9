package stream_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

func (w world) quarantine(t *testing.T) *stream.Quarantine {
	t.Helper()
	q, err := stream.OpenQuarantine(t.Context(), w.projector)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func refused(n int) stream.Quarantined {
	return stream.Quarantined{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Tenant: "acme", Source: "s", ID: fmt.Sprint(n), Type: string(events.TokenIssued),
		Reason: events.ReasonSchema, Detail: "data.iss: want string", SHA256: sha256.Sum256(fmt.Append(nil, n)),
		Sealed: []byte{1, 2, 3}, Subject: "rescind.events.acme.token.issued",
	}
}

func TestQuarantineKeepsWhatWasPut(t *testing.T) {
	t.Parallel()
	q := start(t).quarantine(t)
	for n := range 7 {
		if err := q.Put(t.Context(), refused(n)); err != nil {
			t.Fatal(err)
		}
	}
	var got []stream.Quarantined
	for after := uint64(0); ; after = got[len(got)-1].Seq {
		page, err := q.List(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page...)
		if len(page) < 3 {
			break
		}
	}
	if len(got) != 7 {
		t.Fatalf("%d entries listed, want 7", len(got))
	}
	for n := range got {
		want := refused(n)
		want.Seq = uint64(n + 1)
		if d := cmp.Diff(want, got[n]); d != "" {
			t.Error(d)
		}
		if one, err := q.Get(t.Context(), want.Seq); err != nil || !cmp.Equal(one, want) {
			t.Errorf("get %d: %+v, %v", want.Seq, one, err)
		}
	}
	for _, seq := range []uint64{0, 8} {
		if _, err := q.Get(t.Context(), seq); !errors.Is(err, stream.ErrNotFound) {
			t.Errorf("get %d: %v", seq, err)
		}
	}
}

// An entry that something else wrote hides none of the others.
func TestQuarantineListsWhatItCannotDecode(t *testing.T) {
	t.Parallel()
	w := start(t)
	q := w.quarantine(t)
	foreign := []string{"", "null", "[]", `{"stream":"RESCIND_INTAKE","seq":8}`, `{"reason":1}`, `{"sha256":"00"}`}
	for n, body := range foreign {
		if _, err := w.projector.Publish(t.Context(), fmt.Sprintf("rescind.quarantine.%d", n), []byte(body)); err != nil {
			t.Fatal(err)
		}
		if err := q.Put(t.Context(), refused(n)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := q.List(t.Context(), 0, 100)
	if err != nil || len(got) != 2*len(foreign) {
		t.Fatalf("%d entries listed, %v, want %d", len(got), err, 2*len(foreign))
	}
	for n, body := range foreign {
		bad, good := got[2*n], refused(n)
		good.Seq = uint64(2*n + 2)
		want := stream.Quarantined{Seq: good.Seq - 1, Time: bad.Time, Reason: events.ReasonDefect, Detail: bad.Detail, SHA256: sha256.Sum256([]byte(body))}
		if d := cmp.Diff(want, bad); d != "" || bad.Detail == "" || bad.Time.IsZero() {
			t.Errorf("entry %q: detail %q, time %s, %s", body, bad.Detail, bad.Time, d)
		}
		if d := cmp.Diff(good, got[2*n+1]); d != "" {
			t.Error(d)
		}
		if _, err := q.Get(t.Context(), bad.Seq); err == nil {
			t.Errorf("entry %q was decoded", body)
		}
	}
}

func TestQuarantinePutIsIdempotent(t *testing.T) {
	t.Parallel()
	w := start(t)
	q := w.quarantine(t)
	other, elsewhere, another := refused(1), refused(1), refused(1)
	other.Reason, elsewhere.Subject, another.Tenant = events.ReasonConflict, "rescind.events.other.token.issued", "other" // whose subject is withheld
	for _, v := range []stream.Quarantined{refused(1), refused(1), other, elsewhere, another, refused(1), other} {
		v.Time = time.Now() // a second refusal has a time of its own
		if err := q.Put(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	if s := w.state(t, stream.QuarantineStream); s.Msgs != 4 || s.LastSeq != 4 {
		t.Fatalf("%d entries up to seq %d, want 4 up to 4", s.Msgs, s.LastSeq)
	}
}

// An event of the largest size that the intake takes can be quarantined.
func TestQuarantineTakesTheLargestEvent(t *testing.T) {
	t.Parallel()
	v := refused(1)
	v.Sealed = make([]byte, events.MaxMessageBytes+100)
	if err := start(t).quarantine(t).Put(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}

// One that is larger than the server takes is kept as a fact: else it would be
// put again and again, for ever.
func TestQuarantineKeepsTheFactOfWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	q, v := start(t).quarantine(t), refused(1)
	v.Sealed = make([]byte, 4*events.MaxMessageBytes)
	for range 2 {
		if err := q.Put(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	got, err := q.List(t.Context(), 0, 10)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	want := v
	want.Seq, want.Sealed, want.Detail = 1, nil, v.Detail+"; its payload is too large to be kept"
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Error(d)
	}
}
