package events

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func canonical(t rapid.TB, ev Event) string {
	t.Helper()
	b, err := ev.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every member that a publisher can say something in tells two events apart,
// and none runs into the next.
func TestCanonicalTellsEveryMember(t *testing.T) {
	t.Parallel()
	forms := map[string]string{}
	add := func(name string, change func(ev *Event)) {
		ev := Event{Time: now}
		change(&ev)
		form := canonical(t, ev)
		if other, taken := forms[form]; taken {
			t.Errorf("%s and %s have the same canonical form", name, other)
		}
		forms[form] = name
	}
	var d Data
	for i, m := range d.texts() {
		if m.name != "data.tenant" { // the event's tenant says it
			add(m.name, func(ev *Event) { *ev.Data.texts()[i].text = "ab" })
		}
	}
	for i, name := range []string{"id", "source", "type"} {
		add(name, func(ev *Event) { *ev.attributes()[i].text = "ab" })
	}
	for m := range unknownMember {
		if d.timeMember(m) != nil {
			add(memberNames[m], func(ev *Event) { *ev.Data.timeMember(m) = 7 })
		}
	}
	for i, v := range []any{
		nil, true, false, "", "1", "n", "t", 1, -1, 1.5, 1e300, uint64(1 << 63), []any{}, []any{nil}, []any{"a", "b"}, []any{[]any{"a"}, "b"},
		[]any{[]any{"a", "b"}}, map[string]any{}, map[string]any{"a": nil}, map[string]any{"a": "b"}, []any{"ab"}, []any{"a", "b", ""},
	} {
		add(fmt.Sprint("claim ", i), func(ev *Event) { ev.Data.Personal = map[string]any{"a": v} })
	}
	for name, change := range map[string]func(ev *Event){
		"nothing": func(*Event) {}, "tenant": func(ev *Event) { ev.Tenant = "ab" }, "view": func(ev *Event) { ev.Data.View = 7 },
		"time": func(ev *Event) { ev.Time = now.Add(time.Microsecond) }, "aud": func(ev *Event) { ev.Data.Audience = Audience{"ab"} },
		"aud of two":    func(ev *Event) { ev.Data.Audience = Audience{"a", "b"} },
		"aud of three":  func(ev *Event) { ev.Data.Audience = Audience{"a", "b", ""} },
		"aud turned":    func(ev *Event) { ev.Data.Audience = Audience{"b", "a"} },
		"consent":       func(ev *Event) { ev.Data.Consent = &Consent{} },
		"consent's id":  func(ev *Event) { ev.Data.Consent = &Consent{ID: "ab"} },
		"purpose":       func(ev *Event) { ev.Data.Consent = &Consent{Purposes: []string{"ab"}} },
		"attribute":     func(ev *Event) { ev.Data.Attributes = map[string]string{"a": "b"} },
		"its name":      func(ev *Event) { ev.Data.Attributes = map[string]string{"ab": ""} },
		"two of them":   func(ev *Event) { ev.Data.Attributes = map[string]string{"a": "", "b": ""} },
		"another claim": func(ev *Event) { ev.Data.Personal = map[string]any{"b": nil} },
	} {
		add(name, change)
	}
}

// Two events have one canonical form if, and only if, they say the same.
func TestCanonicalIsTheSameForTheSameFacts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		one, two := drawEvent(t), drawEvent(t)
		if rapid.Bool().Draw(t, "nearly the same") {
			kept := two
			two = one
			switch rapid.IntRange(0, 5).Draw(t, "but for") {
			case 0:
				two.Data.Audience = kept.Data.Audience
			case 1:
				two.Data.Attributes = kept.Data.Attributes
			case 2:
				two.Data.Personal = kept.Data.Personal
			case 3:
				two.ID, two.Source = kept.ID, kept.Source
			}
		}
		two.Environment = rapid.String().Draw(t, "environment") // leaving it out means the same
		same := sameFacts(one, two)
		if got := canonical(t, one) == canonical(t, two); got != same {
			t.Fatalf("the same canonical form: %t, the same facts: %t\n%+v\n%+v", got, same, one, two)
		}
	})
}

func sameFacts(a, b Event) bool {
	for _, ev := range []*Event{&a, &b} {
		ev.Environment, ev.Data.Tenant = "", ""
		ev.Data.Audience = slices.Clip(append(Audience{}, ev.Data.Audience...))
		if len(ev.Data.Attributes) == 0 {
			ev.Data.Attributes = nil
		}
		if len(ev.Data.Personal) == 0 {
			ev.Data.Personal = nil
		}
		if c := ev.Data.Consent; c != nil && len(c.Purposes) == 0 {
			ev.Data.Consent = &Consent{ID: c.ID}
		}
	}
	return reflect.DeepEqual(a, b)
}
