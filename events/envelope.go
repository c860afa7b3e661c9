package events

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// envelope is the structured mode of a CloudEvent.
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
	Data        json.RawMessage `json:"data,omitempty"`

	offence *Refusal // of an attribute that is none of these and is not kept
}

// read fills e from the members of an event. Names are compared as they are:
// JSON tells id and ID apart, and so must all who read one event.
func (e *envelope) read(members map[string]json.RawMessage) *Refusal {
	var wrong *Refusal
	found := 0
	for _, a := range e.texts() {
		raw, there := members[a.name]
		if !there {
			continue
		}
		found++
		if err := unquote(raw, a.text); err != nil && wrong == nil {
			wrong = refuse(ReasonSchema, "%s: want a string", a.name)
		}
	}
	if raw, there := members["data"]; there {
		e.Data = raw
		found++
	}
	if found < len(members) {
		e.offence = e.extensionOffence(members)
	}
	return wrong
}

// texts is every attribute of e that is a string.
func (e *envelope) texts() [10]member {
	return [...]member{
		{name: "specversion", text: &e.SpecVersion}, {name: "id", text: &e.ID}, {name: "source", text: &e.Source},
		{name: "type", text: &e.Type}, {name: "time", text: &e.Time}, {name: "subject", text: &e.Subject},
		{name: "datacontenttype", text: &e.ContentType}, {name: "data_base64", text: &e.DataBase64},
		{name: "rescindenv", text: &e.Environment}, {name: "rescindtenant", text: &e.Tenant},
	}
}

// extensionOffence is why an attribute that is none of ours must not be
// stored, or nil.
func (e *envelope) extensionOffence(members map[string]json.RawMessage) *Refusal {
	for _, a := range e.texts() {
		delete(members, a.name)
	}
	delete(members, "data")
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if r := offenceInside("an attribute of the event", name, members[name]); r != nil {
			return r
		}
	}
	return nil
}

// unquote reads a JSON string, or null as none.
func unquote(raw json.RawMessage, to *string) error {
	if len(raw) > 1 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		*to = string(raw[1 : len(raw)-1])
		return nil
	}
	return json.Unmarshal(raw, to)
}
