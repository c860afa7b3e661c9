package verify

import (
	"runtime"
	"testing"
)

// heap is what is in use after a collection.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestRowsOfOneIndexTakeNoMemory has two million rows of one index, as whoever
// may insert can make: neither keeping them nor holding them against the log
// takes more than what is held back for a part.
func TestRowsOfOneIndexTakeNoMemory(t *testing.T) {
	const rows, bound = 2_000_000, 4 << 20
	s := newSpill(t.TempDir(), "rows")
	empty := heap()
	bounded := func(where string) {
		t.Helper()
		if used := heap() - empty; used > bound {
			t.Errorf("%d MiB %s", used>>20, where)
		}
	}
	for i := range rows {
		if err := s.put(3, entry{7, digest{byte(i), byte(i >> 8), byte(i >> 16)}}); err != nil {
			t.Fatal(err)
		}
	}
	bounded("after they were put")
	extra := 0
	all, err := s.join(3, []entry{{7, digest{1}}}, func(entry, *digest) {
		if extra++; extra%(rows/4) == 1 {
			bounded("while they are compared")
		}
	})
	if err != nil || len(all) != 1 || !all[0].right || all[0].changed || extra != rows-1 {
		t.Errorf("%+v and %d extra, err %v", all, extra, err)
	}
}
