package erasure

import "testing"

// TestNothingIsRememberedOfWhatIsDone: one request that stays open does not keep what was
// noted of all others.
func TestNothingIsRememberedOfWhatIsDone(t *testing.T) {
	t.Parallel()
	open, done := Request{Tenant: "acme", ID: "open"}, Request{Tenant: "acme", ID: "done"}
	w := new(Workflow)
	for _, r := range []Request{open, done} {
		w.ends.Store(r.name(), uint64(1))
		w.fenced.Store(r.name(), struct{}{})
	}
	w.rememberOnly([]Request{open})
	for name, there := range map[named]bool{open.name(): true, done.name(): false} {
		_, end := w.ends.Load(name)
		_, fenced := w.fenced.Load(name)
		if end != there || fenced != there {
			t.Errorf("%v: remembered %t and %t, want %t", name, end, fenced, there)
		}
	}
}
