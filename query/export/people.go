package export

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/rescindhq/rescind/events"
)

// AttrPeople begins the names of the attributes in which an event says whose
// personal parts were opened: those whom it does not name in its subject.
const AttrPeople = "people"

// shortLength is that of a shortRef.
const shortLength = 18

// peopleEach is how many fit one attribute.
const peopleEach = events.MaxAttributeBytes / (shortLength + 1)

// People adds to the attributes of an event who is concerned by it.
func People(attributes map[string]string, people []events.Ref) {
	var short []string
	for _, p := range people {
		if !p.IsZero() {
			short = append(short, shortRef(p))
		}
	}
	slices.Sort(short)
	n := 0
	for some := range slices.Chunk(slices.Compact(short), peopleEach) {
		name := AttrPeople
		if n++; n > 1 {
			name += strconv.Itoa(n)
		}
		attributes[name] = strings.Join(some, " ")
	}
}

// shortRef is as much of a reference as tells people apart. The letters keep its
// digits from being taken for the number of a card.
func shortRef(p events.Ref) string {
	return "r" + hex.EncodeToString(p[:4]) + "x" + hex.EncodeToString(p[4:8])
}

// concerns reports whether People named the person.
func concerns(r *events.Record, person events.Ref) bool {
	short := shortRef(person)
	for name, value := range r.Attributes {
		if strings.HasPrefix(name, AttrPeople) && strings.Contains(value, short) {
			return true
		}
	}
	return false
}
