package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// outgoing is an event in the structured mode of CloudEvents.
type outgoing struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            Type   `json:"type"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"`
	Environment     string `json:"rescindenv,omitempty"`
	Tenant          string `json:"rescindtenant,omitempty"`
	Data            *Data  `json:"data"`
}

// MarshalEvent is ev as one CloudEvent in structured JSON, content type
// ContentTypeEvent. Decode reads it back as it was, to the microsecond. It
// fails where personal{} holds what JSON cannot.
func MarshalEvent(ev *Event) ([]byte, error) {
	b, err := json.Marshal(outgoing{
		SpecVersion: "1.0", ID: ev.ID, Source: ev.Source, Type: ev.Type, Time: ev.Time.UTC().Format(time.RFC3339Nano),
		DataContentType: ContentTypeJSON, Environment: ev.Environment, Tenant: ev.Tenant, Data: &ev.Data,
	})
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return b, nil
}

// MarshalEvents is evs as a batch, content type ContentTypeBatch.
func MarshalEvents(evs []Event) ([]byte, error) {
	raws := make([][]byte, len(evs))
	for i := range evs {
		var err error
		if raws[i], err = MarshalEvent(&evs[i]); err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
	}
	return slices.Concat([]byte{'['}, bytes.Join(raws, []byte{','}), []byte{']'}), nil
}
