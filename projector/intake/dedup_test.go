package intake

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

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

// TestWindow compares the window with a list that is searched, with refs whose
// slots are close to each other.
func TestWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 12).Draw(t, "max")
		w := newWindow(most)
		w.slots = w.slots[:16]
		type item struct {
			ref events.Ref
			d   digest
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
		for n := range rapid.IntRange(0, 80).Draw(t, "steps") {
			ref := events.Ref{byte(rapid.IntRange(0, 20).Draw(t, "ref"))}
			w.add(ref, digest{byte(n)})
			if _, there := find(ref); !there {
				model = append(model, item{ref, digest{byte(n)}})
				model = model[max(0, len(model)-most):]
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
	const most, n = 2*chunkEntries + 100, 5*chunkEntries + 17
	w := newWindow(most)
	ref := func(i int) events.Ref { return events.EventRef("t", "s", fmt.Sprint(i)) }
	for i := range n {
		w.add(ref(i), digest{byte(i)})
	}
	for i := range n {
		if d, ok := w.find(ref(i)); ok != (i >= n-most) || ok && d != (digest{byte(i)}) {
			t.Fatalf("entry %d of %d: remembered %t", i, n, ok)
		}
	}
	if len(w.ring) != 3 {
		t.Errorf("%d chunks for %d entries", len(w.ring), w.len)
	}
}

// TestWindowMemory fills a window of an eighth of the default size, so that its
// table is as full as there, and counts what the heap has more: 24 bytes an
// entry, and the slots.
func TestWindowMemory(t *testing.T) {
	const n = 5_000_000 / 8
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := newWindow(n)
	for i := range n + n/10 {
		var ref events.Ref
		binary.LittleEndian.PutUint64(ref[:], uint64(i)*0x9E3779B97F4A7C15)
		binary.LittleEndian.PutUint64(ref[8:], uint64(i))
		w.add(ref, digest{})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / float64(w.len)
	t.Logf("%.1f bytes for each of %d ids", each, w.len)
	if each > 40 || w.len != n {
		t.Errorf("%.1f bytes for each of %d ids, want at most 40", each, w.len)
	}
	runtime.KeepAlive(w)
}
