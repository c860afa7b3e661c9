package intake

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal/sealtest"
	"github.com/rescindhq/rescind/events/stream"
)

// opened is chunks of one event each, about these people, that wait for their
// keys, and the lane that they are in.
func opened(t *testing.T, in *running, subjects ...string) (*lane, <-chan *chunk) {
	t.Helper()
	l := &lane{in: in.Intake, cfg: &in.cfg}
	out := make(chan *chunk, len(subjects))
	for i, subject := range subjects {
		body := structured(fmt.Sprint("event-", i), func(_, data map[string]any) { data["sub"] = subject })
		c := l.chunk([]stream.IntakeMessage{{Seq: uint64(i + 1), Message: events.Message{Tenant: "acme", Type: events.TokenIssued, Body: body}}})
		l.open(t.Context(), c)
		out <- c
	}
	close(out)
	return l, out
}

// TestChunksThatWaitGetTheirKeysTogether makes the keys of several chunks in one
// call of the store, and prepares each chunk for itself, in order.
func TestChunksThatWaitGetTheirKeysTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	creates := 0
	r.keys.Judge = func(method, key string) sealtest.Verdict {
		if method == "create" && strings.HasPrefix(key, "s.") {
			creates++
		}
		return sealtest.Pass
	}
	l, waiting := opened(t, r.build(), "a@example.com", "b@example.com", "c@example.com", "d@example.com")
	out := make(chan *chunk, 4)
	for _, want := range []int{together, 1} {
		creates = 0
		cs := behind(<-waiting, waiting)
		if len(cs) != want {
			t.Fatalf("%d chunks at once, want %d", len(cs), want)
		}
		if !l.finish(t.Context(), cs, out) || creates != 1 {
			t.Errorf("%d calls made the keys of %d chunks, want 1", creates, len(cs))
		}
	}
	for i := range 4 {
		c := <-out
		k := &c.candidates[0]
		if c.arrivals[0].Seq != uint64(i+1) || !k.live() || k.record.SubjectRef.IsZero() || len(k.item.Sealed) == 0 {
			t.Errorf("chunk %d is %d: refused %v, reference %v", i+1, c.arrivals[0].Seq, k.refusal, k.record.SubjectRef)
		}
	}
}

// TestFaultOfAPersonStaysInTheirChunk damages the entry of one person: the
// chunks that got their keys in the same call go on.
func TestFaultOfAPersonStaysInTheirChunk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l, waiting := opened(t, r.build(), "a@example.com", "b@example.com", "c@example.com")
	cs := behind(<-waiting, waiting)
	l.enumerate(cs)
	errs := make([]error, len(cs))
	errs[1] = errDefect
	for _, c := range cs {
		c.without(errs)
	}
	errs[1], errs[2] = nil, errors.New("the keyring is down")
	cs[2].without(errs)
	for i, want := range []struct{ live, refused, held bool }{{live: true}, {refused: true}, {held: true}} {
		k := &cs[i].candidates[0]
		if k.live() != want.live || (k.refusal != nil) != want.refused || cs[i].arrivals[0].held != want.held {
			t.Errorf("chunk %d: live %t, refused %v, held %t", i+1, k.live(), k.refusal, cs[i].arrivals[0].held)
		}
	}
}
