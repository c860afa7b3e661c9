package events

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Offends says why raw, a message or an event that could not be decoded, must
// not be kept even sealed, or nil. It reads as far as raw is JSON or protobuf.
func Offends(raw []byte) *Refusal {
	const where = "the event"
	if r, _ := offenceInside(where, "", raw); r != nil {
		return r
	}
	in := jsonReader{b: raw}
	if in.skip(); in.end() == nil {
		return nil
	}
	return offenceInFields(where, raw, 0)
}

// offenceInFields looks at everything in a protobuf message that has a length,
// as text, as JSON, as a message and, where it could be one, as a name: what it
// is cannot be told without the schema, and the message may be of another one.
func offenceInFields(where string, raw []byte, depth int) *Refusal {
	const deepest = 6 // a batch, an event, Any, data, an entry of a map, and one more
	in := protoReader{b: raw}
	for num, typ, more := in.next(); more && depth < deepest; num, typ, more = in.next() {
		if typ != protowire.BytesType {
			in.skip(num, typ)
			continue
		}
		content, name := in.bytes(), ""
		if num == entryKey {
			name = string(content)
		}
		r, _ := offenceInside(where, name, content)
		if r == nil {
			r = offenceInFields(where, content, depth+1)
		}
		if r != nil {
			return r
		}
	}
	return nil
}

// offenceInside says why the JSON raw under that name must not be kept, and
// whether an object in it has two members of one name.
func offenceInside(where, name string, raw []byte) (r *Refusal, twice bool) {
	if r := offence(where, string(raw)); r != nil {
		return r, false
	}
	w := offenceWalk{where: where}
	w.b = raw
	w.name(name)
	twice = w.value()
	if w.health != nil {
		return w.health, twice
	}
	return w.text, twice
}

// offenceWalk looks at every name, text and number of a JSON value.
type offenceWalk struct {
	jsonReader
	where  string
	health *Refusal // the first of each kind
	text   *Refusal
}

func (w *offenceWalk) name(name string) {
	if w.health == nil && healthClaim(name) {
		w.health = refuseHealth(w.where, name)
	}
	w.look(name)
}

func (w *offenceWalk) look(s string) {
	if w.text == nil {
		w.text = offence(w.where, s)
	}
}

func (w *offenceWalk) value() (twice bool) {
	switch c := w.peek(); {
	case c == '"':
		w.look(string(w.jsonReader.text()))
	case c == '-' || isDigit(c):
		w.look(string(w.number()))
	case c == '{':
		names := map[string]struct{}{}
		w.enter('{')
		for first := true; w.more(first, '}'); first = false {
			name := string(w.jsonReader.name())
			_, again := names[name]
			names[name] = struct{}{}
			w.name(name)
			twice = w.value() || again || twice
		}
	case c == '[':
		w.enter('[')
		for first := true; w.more(first, ']'); first = false {
			twice = w.value() || twice
		}
	default:
		w.word(c)
	}
	return twice
}
