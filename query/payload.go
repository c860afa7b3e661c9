package query

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/rescindhq/rescind/events"
)

// unreadableEvent is what stands for the payload of an entry that is no event
// that can be written as JSON: its bytes, and what they were taken for.
type unreadableEvent struct {
	ContentType string `json:"datacontenttype"`
	Data        []byte `json:"data_base64"`
}

// shownPayload is the payload of an entry as people read it: JSON, whatever the
// event came in.
func shownPayload(payload []byte) (string, error) {
	format := events.ContentTypeOf(payload)
	if format == events.ContentTypeEvent && utf8.Valid(payload) {
		return string(payload), nil
	}
	if all, err := events.Decode(events.Message{ContentType: format, Body: payload}); err == nil && len(all) == 1 && all[0].Refusal == nil {
		b, err := events.MarshalEvent(&all[0].Event)
		return string(b), err
	}
	b, err := json.Marshal(unreadableEvent{format, payload})
	return string(b), err
}
