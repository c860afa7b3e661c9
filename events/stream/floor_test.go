package stream

import (
	"testing"

	"pgregory.net/rapid"
)

// TestFloor holds the floor to a list of every message: it is never above one
// that was not dealt with, and above all once all were.
func TestFloor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		control := rapid.SliceOfN(rapid.Bool(), 1, 40).Draw(t, "control") // message i has sequence i+1
		f := newFloor()
		done := make([]bool, len(control))
		access, ctl, out := 0, 0, []int(nil) // how far each consumer is; delivered and not dealt with
		step := map[string]func(*rapid.T){
			"access": func(t *rapid.T) {
				if access == len(control) {
					return
				}
				if control[access] {
					f.leave(uint64(access + 1))
				} else {
					f.delivered(uint64(access+1), false)
					out = append(out, access)
				}
				access++
			},
			"control": func(t *rapid.T) {
				for ctl < len(control) && !control[ctl] {
					ctl++
				}
				if ctl == len(control) {
					return
				}
				f.delivered(uint64(ctl+1), true)
				out = append(out, ctl)
				ctl++
			},
			"done": func(t *rapid.T) {
				if len(out) == 0 {
					return
				}
				i := rapid.IntRange(0, len(out)-1).Draw(t, "which")
				f.done(uint64(out[i] + 1))
				done[out[i]] = true
				out = append(out[:i], out[i+1:]...)
			},
			"again": func(t *rapid.T) {
				if len(out) == 0 {
					return
				}
				i := rapid.SampledFrom(out).Draw(t, "which")
				f.delivered(uint64(i+1), control[i])
			},
			"": func(t *rapid.T) {
				at, _ := f.next()
				for i := range int(at) {
					if !done[i] {
						t.Fatalf("floor %d, but message %d was not dealt with", at, i+1)
					}
				}
			},
		}
		t.Repeat(step)
		for access < len(control) {
			step["access"](t)
		}
		for i, d := range done {
			if control[i] && !d && i >= ctl {
				f.delivered(uint64(i+1), true)
			}
			f.done(uint64(i + 1))
		}
		if at, _ := f.next(); at != uint64(len(control)) {
			t.Fatalf("floor %d after all of %d", at, len(control))
		}
		f.emptied(uint64(len(control)))
		if _, more := f.next(); more {
			t.Fatal("there is more to empty")
		}
	})
}
