package checker

import "fmt"

// Fault is one thing that is wrong.
type Fault string

// MaxFaults is how many faults of one kind are kept: whoever lost a thousand
// events learns no more from the last than from the first.
const MaxFaults = 20

// faults collects.
type faults struct {
	kinds []string
	of    map[string][]string
	more  map[string]int
}

// add notes a fault of a kind, which says what; the rest says where.
func (f *faults) add(kind, where string, args ...any) {
	if f.of == nil {
		f.of, f.more = map[string][]string{}, map[string]int{}
	}
	if f.of[kind] == nil {
		f.kinds = append(f.kinds, kind)
	}
	if len(f.of[kind]) == MaxFaults {
		f.more[kind]++
		return
	}
	f.of[kind] = append(f.of[kind], fmt.Sprintf(where, args...))
}

func (f *faults) list() (all []Fault) {
	for _, kind := range f.kinds {
		for _, where := range f.of[kind] {
			all = append(all, Fault(kind+": "+where))
		}
		if n := f.more[kind]; n > 0 {
			all = append(all, Fault(fmt.Sprintf("%s: and %d more", kind, n)))
		}
	}
	return all
}
