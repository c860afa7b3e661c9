package events

import (
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// MarshalProtobuf is ev as one CloudEvent in protobuf, content type
// ContentTypeProtobuf. Decode reads it back as it was, to the microsecond. It
// fails where personal{} holds what JSON cannot.
func MarshalProtobuf(ev *Event) ([]byte, error) {
	return AppendProtobuf(make([]byte, 0, usualRecord), ev)
}

// AppendProtobuf appends what MarshalProtobuf returns to b.
func AppendProtobuf(b []byte, ev *Event) (_ []byte, err error) {
	b = appendString(b, ceID, ev.ID)
	b = appendString(b, ceSource, ev.Source)
	b = appendString(b, ceSpecVersion, "1.0")
	b = appendString(b, ceType, string(ev.Type))
	b = appendTime(b, ev)
	b = appendAttribute(b, "rescindenv", ev.Environment)
	b = appendAttribute(b, "rescindtenant", ev.Tenant)
	b, packed := beginField(b, ceProtoData)
	b = appendString(b, anyType, "type.googleapis.com/"+dataTypeName)
	b, data := beginField(b, anyValue)
	if b, err = ev.Data.appendProtobuf(b); err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return endField(endField(b, data), packed), nil
}

// MarshalProtobufBatch is evs as a batch, content type ContentTypeProtobufBatch.
func MarshalProtobufBatch(evs []Event) (b []byte, err error) {
	for i := range evs {
		var at field
		b, at = beginField(b, ceEvents)
		if b, err = AppendProtobuf(b, &evs[i]); err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		b = endField(b, at)
	}
	return b, nil
}

// PerProtobufEvent is what an event takes in a batch at most, beside itself.
const PerProtobufEvent = 1 + 5

// AppendJoined appends events that MarshalProtobuf encoded to b, as one batch.
func AppendJoined[B ~[]byte](b []byte, encoded []B) []byte {
	size := 0
	for _, e := range encoded {
		size += len(e) + PerProtobufEvent
	}
	b = slices.Grow(b, size)
	for _, e := range encoded {
		b = protowire.AppendBytes(protowire.AppendTag(b, ceEvents, protowire.BytesType), e)
	}
	return b
}

// beginField begins a field whose length is not known yet. It takes place for
// a length of two bytes, which most have that hold others.
func beginField(b []byte, num protowire.Number) (_ []byte, f field) {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return append(b, 0, 0), field{len(b), 2}
}

// beginShort begins a field that hardly ever has more than 127 bytes.
func beginShort(b []byte, num protowire.Number) (_ []byte, f field) {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return append(b, 0), field{len(b), 1}
}

// field is a field that was begun: where its length goes, and how many bytes
// there are for it.
type field struct{ at, place int }

// endField writes the length of f, whose content moves where it takes more or
// fewer bytes than there are.
func endField(b []byte, f field) []byte {
	content := f.at + f.place
	n := len(b) - content
	size := protowire.SizeVarint(uint64(n))
	switch {
	case size > f.place:
		b = slices.Insert(b, content, make([]byte, size-f.place)...)
	case size < f.place:
		copy(b[f.at+size:], b[content:])
		b = b[:f.at+size+n]
	}
	protowire.AppendVarint(b[:f.at], uint64(n))
	return b
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func appendNumberField(b []byte, num protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), n)
}

func appendAttribute(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b, entry := beginShort(b, ceAttributes)
	b = appendString(b, entryKey, name)
	b, v := beginShort(b, entryValue)
	return endField(endField(appendString(b, attrString, value), v), entry)
}

func appendTime(b []byte, ev *Event) []byte {
	b, entry := beginShort(b, ceAttributes)
	b = appendString(b, entryKey, "time")
	b, v := beginShort(b, entryValue)
	b, at := beginShort(b, attrTimestamp)
	b = appendNumberField(b, timestampSeconds, uint64(ev.Time.Unix()))
	b = appendNumberField(b, timestampNanos, uint64(ev.Time.Nanosecond()))
	return endField(endField(endField(b, at), v), entry)
}

// appendProtobuf appends d as a dev.rescind.v1.Data, its fields in order.
func (d *Data) appendProtobuf(b []byte) ([]byte, error) {
	b = appendString(b, tenantMember+1, d.Tenant)
	b = appendString(b, issMember+1, d.Issuer)
	b = appendString(b, subMember+1, d.Subject)
	b = appendString(b, jtiMember+1, d.TokenID)
	b = appendString(b, sidMember+1, d.SessionID)
	b = appendString(b, clientMember+1, d.ClientID)
	b = appendString(b, grantMember+1, d.GrantID)
	b = appendStrings(b, audMember+1, d.Audience)
	b = appendString(b, scopeMember+1, d.Scope)
	b = appendNumberField(b, iatMember+1, uint64(d.IssuedAt))
	b = appendNumberField(b, expMember+1, uint64(d.Expires))
	b = appendNumberField(b, nbfMember+1, uint64(d.NotBefore))
	b = appendString(b, kidMember+1, d.KeyID)
	b = appendString(b, algMember+1, d.Algorithm)
	b = appendString(b, actorMember+1, d.Actor)
	b = appendString(b, outcomeMember+1, d.Outcome)
	b = appendString(b, reasonMember+1, d.Reason)
	b = appendStringMap(b, attributesMember+1, d.Attributes)
	b = appendNumberField(b, viewMember+1, d.View)
	b = d.Consent.appendProtobuf(b, consentMember+1)
	b = appendNumberField(b, issuedBeforeMember+1, uint64(d.IssuedBefore))
	b = appendString(b, ticketMember+1, d.Ticket)
	b = appendString(b, textNoteMember+1, d.Note)
	b = appendString(b, ipMember+1, d.IP)
	b = appendString(b, userAgentMember+1, d.UserAgent)
	b, err := appendPersonal(b, personalMember+1, d.Personal)
	b = appendNumberField(b, startsMember+1, uint64(d.Starts))
	return appendNumberField(b, notAfterMember+1, uint64(d.NotAfter)), err
}

// appendStrings appends each of list, the empty ones too.
func appendStrings(b []byte, num protowire.Number, list []string) []byte {
	for _, s := range list {
		b = protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
	}
	return b
}

func appendStringMap(b []byte, num protowire.Number, m map[string]string) []byte {
	if len(m) == 0 {
		return b
	}
	for _, k := range sortedKeys(m) { // the same event is the same bytes: the publisher's message id is their hash
		var entry field
		b, entry = beginShort(b, num)
		b = endField(appendString(appendString(b, entryKey, k), entryValue, m[k]), entry)
	}
	return b
}

func (c *Consent) appendProtobuf(b []byte, num protowire.Number) []byte {
	if c == nil {
		return b
	}
	b, at := beginField(b, num)
	return endField(appendStrings(appendString(b, 1, c.ID), 2, c.Purposes), at)
}

func appendPersonal(b []byte, num protowire.Number, claims map[string]any) ([]byte, error) {
	if len(claims) == 0 {
		return b, nil
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), text), nil
}
