package intake

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

func TestDuplicateIsLoggedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.start()
	ev, other := issued("twice"), issued("once")
	r.publishBatch(ev, other, ev) // in one message
	r.publish(ev)                 // in another
	b, err := events.MarshalEvent(&ev)
	r.check(err)
	r.send(onIssued, "", append([]byte("  "), bytes.ReplaceAll(b, []byte(`,"`), []byte(",\n\t\""))...)) // written differently
	r.drained()
	first.stop()
	again := r.start() // after a restart
	r.publish(ev)
	r.drained()
	if got := len(r.facts()); got != 2 {
		t.Errorf("%d facts, want 2", got)
	}
	if a, b := first.Stats().Duplicates, again.Stats().Duplicates; a != 3 || b != 1 {
		t.Errorf("%d and %d duplicates, want 3 and 1", a, b)
	}
	if got := r.quarantined(); len(got) != 0 {
		t.Errorf("quarantined: %+v", got)
	}
}

func TestSameIDWithOtherContentIsAConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.start()
	ev := issued("e")
	changed := ev
	changed.Data.Subject = "mallory@example.com"
	r.publishBatch(ev, changed)
	r.drained()
	first.stop()
	again := r.start()
	other := ev
	other.Type = events.TokenRefreshed
	r.publish(changed, other)
	r.drained()
	if got := r.facts(); len(got) != 1 {
		t.Errorf("facts: %v", got)
	} else {
		r.checkSealed(&ev, got["e"])
	}
	if a, b := first.Stats().Refused[events.ReasonConflict], again.Stats().Refused[events.ReasonConflict]; a != 1 || b != 2 {
		t.Errorf("%d and %d conflicts, want 1 and 2", a, b)
	}
	for _, q := range r.quarantined() {
		if q.Reason != events.ReasonConflict || q.ID != "e" || q.Source != ev.Source || q.Sealed == nil {
			t.Errorf("quarantined: %+v", q)
		}
	}
}

func TestSameIDElsewhereIsAnotherEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	a, b, c := issued("e"), issued("e"), issued("e")
	b.Source, c.Tenant = "//elsewhere", "globex"
	r.publish(a, b, c)
	r.drained()
	var got []string
	for _, e := range r.records() {
		if e.Type == events.TokenIssued {
			got = append(got, e.Tenant+" "+e.Source)
		}
	}
	if want := []string{"acme //id.example.com/a", "acme //elsewhere", "globex //id.example.com/a"}; !cmp.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// TestWindow compares the window with a list that is searched.
func TestWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 12).Draw(t, "max")
		keep := time.Duration(rapid.IntRange(1, 20).Draw(t, "keep")) * time.Second
		w := newWindow(most, keep)
		type item struct {
			ref events.Ref
			d   digest
			at  time.Time
		}
		var model []item
		find := func(ref events.Ref) (digest, bool) {
			for _, i := range model {
				if i.ref == ref {
					return i.d, true
				}
			}
			return digest{}, false
		}
		now := time.Unix(1e9, 0)
		for n := range rapid.IntRange(0, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "later")) * time.Second)
			ref := events.Ref{byte(rapid.IntRange(0, 20).Draw(t, "ref"))}
			w.add(ref, digest{byte(n)}, now)
			if _, there := find(ref); !there {
				model = append(model, item{ref, digest{byte(n)}, now})
				for len(model) > most || model[0].at.Before(now.Add(-keep)) {
					model = model[1:]
				}
			}
			for k := range 21 {
				ref := events.Ref{byte(k)}
				d, ok := w.find(ref)
				if wd, wok := find(ref); d != wd || ok != wok {
					t.Fatalf("ref %d: %v %t, want %v %t", k, d, ok, wd, wok)
				}
			}
		}
	})
}

func TestWindowForgetsInOrderPastOneChunk(t *testing.T) {
	t.Parallel()
	w := newWindow(2*chunkStamps, time.Hour)
	ref := func(i int) events.Ref { return events.EventRef("t", "s", fmt.Sprint(i)) }
	const n = 5*chunkStamps + 17
	for i := range n {
		w.add(ref(i), digest{}, time.Unix(int64(i/1000), 0))
	}
	for i := range n {
		if _, ok := w.find(ref(i)); ok != (i >= n-2*chunkStamps) {
			t.Fatalf("entry %d of %d: remembered %t", i, n, ok)
		}
	}
	if len(w.order.chunks) > 3 {
		t.Errorf("%d chunks for %d entries", len(w.order.chunks), len(w.seen))
	}
}
