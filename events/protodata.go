package events

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// dataProto reads dev.rescind.v1.Data: the field of a member is its place in
// memberNames, from 1.
type dataProto struct {
	protoReader
	d     *Data
	own   *ownTexts
	seen  uint32
	wrong *Refusal
}

func (r *dataProto) refuse(format string, args ...any) {
	if r.wrong == nil {
		r.wrong = refuse(ReasonSchema, format, args...)
	}
}

func (r *dataProto) read() {
	for num, typ, more := r.next(); more; num, typ, more = r.next() {
		m := int(num) - 1
		switch {
		case m >= unknownMember:
			r.refuse("data has a field %d, which this version does not know", num)
			r.skip(num, typ)
		case typ != wireType(m):
			r.refuse("data.%s is of wire type %d", memberNames[m], typ)
			r.skip(num, typ)
		case typ == protowire.VarintType:
			r.once(m)
			r.number(m)
		default:
			r.member(m)
		}
	}
}

func wireType(m int) protowire.Type {
	switch m {
	case iatMember, expMember, nbfMember, issuedBeforeMember, startsMember, notAfterMember, viewMember:
		return protowire.VarintType
	default:
		return protowire.BytesType
	}
}

// once refuses a second value of m.
func (r *dataProto) once(m int) {
	if r.seen&(1<<m) != 0 {
		r.refuse("data has two members %q", memberNames[m])
	}
	r.seen |= 1 << m
}

func (r *dataProto) number(m int) {
	n := r.varint()
	if m == viewMember {
		r.d.View = n
		return
	}
	if n > maxNumericDate*1000 {
		r.refuse("data.%s: want milliseconds since 1970", memberNames[m])
		return
	}
	*r.d.timeMember(m) = Timestamp(n)
}

// member reads a member that has a length.
func (r *dataProto) member(m int) {
	if to, repeats := r.d.textMember(m); to != nil {
		r.once(m)
		if b := r.text(); repeats {
			*to = intern(b)
		} else {
			r.own.keep(to, b)
		}
		return
	}
	switch m {
	case audMember:
		r.d.Audience = append(r.d.Audience, intern(r.text()))
	case attributesMember:
		r.attribute(r.bytes())
	case consentMember:
		r.once(m)
		r.consent(r.bytes())
	case personalMember:
		r.once(m)
		r.personal(r.text())
	}
}

func (r *dataProto) attribute(entry []byte) {
	var name, value string
	var seen [3]bool
	in := protoReader{b: entry}
	for num, typ, more := in.next(); more; num, typ, more = in.next() {
		switch {
		case num > entryValue || typ != protowire.BytesType || seen[num]:
			r.refuse("data.attributes: want names and texts")
			in.skip(num, typ)
			continue
		case num == entryKey:
			name = intern(in.text())
		default:
			value = intern(in.text())
		}
		seen[num] = true
	}
	if in.broken {
		r.fail()
		return
	}
	if r.d.Attributes == nil {
		r.d.Attributes = map[string]string{}
	}
	if _, again := r.d.Attributes[name]; again {
		r.refuse("data.attributes has two members %q", label(name))
	}
	r.d.Attributes[name] = value
}

func (r *dataProto) consent(raw []byte) {
	c, named := new(Consent), false
	in := protoReader{b: raw}
	for num, typ, more := in.next(); more; num, typ, more = in.next() {
		switch {
		case num == 1 && typ == protowire.BytesType && !named:
			c.ID, named = string(in.text()), true
		case num == 2 && typ == protowire.BytesType:
			c.Purposes = append(c.Purposes, intern(in.text()))
		default:
			r.refuse("data.consent: it has an id and purposes, and nothing else")
			in.skip(num, typ)
		}
	}
	if in.broken {
		r.fail()
	}
	r.d.Consent = c
}

// personal reads claims in JSON.
func (r *dataProto) personal(raw []byte) {
	in := jsonReader{b: raw}
	if in.peek() == 0 && len(raw) == 0 {
		return
	}
	if in.peek() != '{' {
		r.refuse("data.personal: want a JSON object")
		return
	}
	m, twice := in.object()
	switch {
	case in.end() != nil:
		r.refuse("data.personal: %s", in.end())
	case twice:
		r.refuse("data.personal has two members of one name")
	default:
		r.d.Personal = m
	}
}
