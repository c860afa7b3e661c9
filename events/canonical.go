package events

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Canonical is all that a publisher said in ev, in one encoding, however the
// message was formatted: two events with one id are the same if these are, and
// only then. Environment is left out, as leaving it out of the message means
// the same, and so is what a record does not keep of a time. It is made to be
// hashed: nothing reads it, and no two versions need agree on it for longer
// than duplicates are looked for.
func (ev *Event) Canonical() ([]byte, error) {
	return ev.AppendCanonical(make([]byte, 0, 2*usualRecord))
}

// AppendCanonical appends the canonical form to b. Every member is there, in a
// fixed order, with its length before it.
func (ev *Event) AppendCanonical(b []byte) ([]byte, error) {
	d := &ev.Data
	b = binary.BigEndian.AppendUint64(b, uint64(ev.Time.UnixMicro()))
	for _, n := range [...]uint64{uint64(d.IssuedAt), uint64(d.Expires), uint64(d.NotBefore), uint64(d.IssuedBefore), uint64(d.Starts), uint64(d.NotAfter), d.View} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, s := range [...]string{
		ev.ID, ev.Source, string(ev.Type), ev.Tenant, d.Issuer, d.Subject, d.TokenID, d.SessionID, d.ClientID, d.GrantID, d.Scope,
		d.KeyID, d.Algorithm, d.Actor, d.Outcome, d.Reason, d.Ticket, d.Note, d.IP, d.UserAgent,
	} {
		b = appendSized(b, s)
	}
	b = appendSizedList(b, d.Audience)
	b = appendSizedConsent(b, d.Consent)
	b = binary.AppendUvarint(b, uint64(len(d.Attributes)))
	if len(d.Attributes) > 0 {
		for _, k := range sortedKeys(d.Attributes) {
			b = appendSized(appendSized(b, k), d.Attributes[k])
		}
	}
	if len(d.Personal) == 0 {
		return b, nil
	}
	b, err := appendSizedValue(b, d.Personal)
	if err != nil {
		return nil, fmt.Errorf("canonical form of event: %w", err)
	}
	return b, nil
}

func appendSized(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendSizedList(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendSized(b, s)
	}
	return b
}

func appendSizedConsent(b []byte, c *Consent) []byte {
	if c == nil {
		return append(b, 0)
	}
	return appendSizedList(appendSized(append(b, 1), c.ID), c.Purposes)
}

// appendSizedValue appends a JSON value: a letter that says which kind, then
// its content. Numbers are the same if they print the same in JSON.
func appendSizedValue(b []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case nil:
		return append(b, 'n'), nil
	case bool:
		if v {
			return append(b, 't'), nil
		}
		return append(b, 'f'), nil
	case string:
		return appendSized(append(b, 's'), v), nil
	case json.Number:
		return appendSizedValue(b, exactNumber(string(v)))
	case []any:
		b = binary.AppendUvarint(append(b, 'a'), uint64(len(v)))
		for _, child := range v {
			if b, err = appendSizedValue(b, child); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		b = binary.AppendUvarint(append(b, 'o'), uint64(len(v)))
		for _, k := range sortedKeys(v) {
			if b, err = appendSizedValue(appendSized(b, k), v[k]); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	var buf [32]byte
	number, err := appendNumber(buf[:0], v)
	if err != nil {
		return nil, err
	}
	return append(append(b, '#', byte(len(number))), number...), nil
}

// appendNumber appends a number as JSON prints it.
func appendNumber(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case uint64:
		return strconv.AppendUint(b, v, 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("a claim is %g", v)
		}
		format := byte('f')
		if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
			format = 'e'
		}
		return strconv.AppendFloat(b, v, format, -1, 64), nil
	default:
		return nil, fmt.Errorf("a claim is a %T", v)
	}
}
