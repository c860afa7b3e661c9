package events

import (
	"encoding/json"
	"time"
)

// envelope is the attributes of a CloudEvent, and where its data goes as far as
// it can be read.
type envelope struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Time        string          `json:"time"`
	Subject     string          `json:"subject,omitempty"`
	ContentType string          `json:"datacontenttype,omitempty"` // of data, which is JSON whatever it says
	DataBase64  string          `json:"data_base64,omitempty"`
	Environment string          `json:"rescindenv,omitempty"`
	Tenant      string          `json:"rescindtenant,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"` // of binary mode, to write it down

	at        time.Time // where it is not said as text
	data      *Data
	faulty    *Refusal // of data
	offence   *Refusal // of an attribute that is none of these and is not kept
	offending string   // its name: the first in order counts
}

// envelopeReader reads the structured mode of a CloudEvent. Names are compared
// as they are: JSON tells id and ID apart, and so must all who read one event.
type envelopeReader struct {
	jsonReader
	e     *envelope
	seen  uint32              // a bit for each attribute of ours, and data
	other map[string]struct{} // those that are not
	wrong *Refusal            // the first attribute of the wrong shape
}

// read fills e from an event in JSON. The error is one of syntax.
func (e *envelope) read(raw []byte) (wrong *Refusal, err error) {
	in := envelopeReader{jsonReader: jsonReader{b: raw}, e: e}
	if in.null() {
		return nil, in.end()
	}
	in.enter('{')
	for first := true; in.more(first, '}'); first = false {
		in.attribute(in.name())
	}
	return in.wrong, in.end()
}

func (r *envelopeReader) attribute(name []byte) {
	i, to, repeats := r.e.text(name)
	switch {
	case to == nil && string(name) == "data":
		r.once(len(envelopeNames), "data")
		*r.e.data, r.e.faulty = r.data()
	case to == nil:
		r.extension(string(name))
	case r.once(i, envelopeNames[i]) && r.null():
	case r.peek() != '"':
		r.refuse("%s: want a string", envelopeNames[i])
		r.skip()
	case repeats:
		*to = intern(r.jsonReader.text())
	default:
		*to = string(r.jsonReader.text())
	}
}

func (r *envelopeReader) refuse(format string, args ...any) {
	if r.wrong == nil {
		r.wrong = refuse(ReasonSchema, format, args...)
	}
}

// once is true; it refuses a second attribute of that name.
func (r *envelopeReader) once(i int, name string) bool {
	if r.seen&(1<<i) != 0 {
		r.refuse("the event has two attributes %q", name)
	}
	r.seen |= 1 << i
	return true
}

// extension reads an attribute that is none of ours. It is not kept, and
// refuses the event where it must not be.
func (r *envelopeReader) extension(name string) {
	if _, again := r.other[name]; again {
		r.refuse("the event has two attributes %q", label(name))
	}
	if r.other == nil {
		r.other = map[string]struct{}{}
	}
	r.other[name] = struct{}{}
	raw := r.skip()
	if r.broken != nil || r.e.offence != nil && name > r.e.offending {
		return
	}
	offence, twice := offenceInside("an attribute of the event", name, raw)
	if offence != nil {
		r.e.offence, r.e.offending = offence, name
	}
	if twice {
		r.refuse("the event has two members of one name, inside %q", label(name))
	}
}

// envelopeNames are the attributes that are text, in the order of text.
var envelopeNames = [...]string{
	"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data_base64", "rescindenv", "rescindtenant",
}

// text is the place of the attribute of that name in envelopeNames, where it
// is kept, and whether it repeats from event to event; nil where it is none.
func (e *envelope) text(name []byte) (i int, to *string, repeats bool) {
	switch string(name) {
	case "specversion":
		return 0, &e.SpecVersion, true
	case "id":
		return 1, &e.ID, false
	case "source":
		return 2, &e.Source, true
	case "type":
		return 3, &e.Type, true
	case "time":
		return 4, &e.Time, false
	case "subject":
		return 5, &e.Subject, false
	case "datacontenttype":
		return 6, &e.ContentType, true
	case "data_base64":
		return 7, &e.DataBase64, false
	case "rescindenv":
		return 8, &e.Environment, true
	case "rescindtenant":
		return 9, &e.Tenant, true
	default:
		return 0, nil, false
	}
}
