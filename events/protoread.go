package events

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoReader reads the fields of one protobuf message. The first fault in its
// form sticks; after it there are no more fields.
type protoReader struct {
	b      []byte
	broken bool
}

// next is the number and the wire type of the next field, whose value is read
// next; false at the end.
func (r *protoReader) next() (num protowire.Number, typ protowire.Type, more bool) {
	if len(r.b) == 0 {
		return 0, 0, false
	}
	num, typ, n := protowire.ConsumeTag(r.b)
	if n < 0 {
		r.fail()
		return 0, 0, false
	}
	r.b = r.b[n:]
	return num, typ, true
}

func (r *protoReader) fail() { r.broken, r.b = true, nil }

// skip reads a value of any type. It enters no group: nothing of ours has one.
func (r *protoReader) skip(num protowire.Number, typ protowire.Type) {
	n := -1
	if typ != protowire.StartGroupType {
		n = protowire.ConsumeFieldValue(num, typ, r.b)
	}
	if n < 0 {
		r.fail()
		return
	}
	r.b = r.b[n:]
}

func (r *protoReader) varint() uint64 {
	v, n := protowire.ConsumeVarint(r.b)
	if n < 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes is a length and as many bytes, which are those of the input.
func (r *protoReader) bytes() []byte {
	v, n := protowire.ConsumeBytes(r.b)
	if n < 0 {
		r.fail()
		return nil
	}
	r.b = r.b[n:]
	return v
}

// text is bytes that must be UTF-8.
func (r *protoReader) text() []byte {
	v := r.bytes()
	if !utf8.Valid(v) {
		r.fail()
		return nil
	}
	return v
}
