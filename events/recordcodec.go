package events

import (
	"fmt"
	"math"
)

// usualRecord is what nearly every record takes encoded.
const usualRecord = 512

// Marshal is the one encoding of r: deterministic CBOR.
func (r *Record) Marshal() ([]byte, error) {
	return r.AppendTo(make([]byte, 0, usualRecord)), nil
}

// AppendTo appends the encoding of r to b.
func (r *Record) AppendTo(b []byte) []byte {
	var p pairs
	p.begin(b)
	p.uintAlways(1, uint64(r.Version))
	p.textAlways(2, r.Source)
	p.textAlways(3, r.ID)
	p.textAlways(4, r.Tenant)
	p.textAlways(5, r.Environment)
	p.textAlways(6, string(r.Type))
	p.intAlways(7, r.Time)
	p.intAlways(8, r.Received)
	p.text(9, r.Issuer)
	p.ref(10, &r.SubjectRef)
	p.ref(11, &r.TokenRef)
	p.ref(12, &r.SessionRef)
	p.text(13, r.Client)
	p.text(14, r.KeyID)
	p.text(15, r.Algorithm)
	p.texts(16, r.Audience)
	p.text(17, r.Scope)
	p.int(18, int64(r.IssuedAt))
	p.int(19, int64(r.Expires))
	p.text(20, r.Actor)
	p.text(21, r.Outcome)
	p.text(22, r.Reason)
	r.appendRest(&p)
	return p.end()
}

// appendRest appends the members from 23 on.
func (r *Record) appendRest(p *pairs) {
	if len(r.Attributes) > 0 {
		p.key(23)
		p.b = appendTextMap(p.b, r.Attributes)
	}
	p.uint(24, r.View)
	p.hash(25, &r.PayloadHash)
	p.uint(26, uint64(r.DataKey))
	if r.Revocation != nil {
		p.key(27)
		p.b = r.Revocation.appendTo(p.b)
	}
	p.int(28, int64(r.NotBefore))
	p.texts(29, r.Claims)
	p.ref(30, &r.GrantRef)
	p.text(31, r.Consent)
	p.texts(32, r.Purposes)
	p.text(33, r.Ticket)
}

func (v *Revocation) appendTo(b []byte) []byte {
	var p pairs
	p.begin(b)
	p.textAlways(1, string(v.Scope))
	p.refAlways(2, &v.Hash)
	p.int(3, int64(v.IssuedBefore))
	p.intAlways(4, int64(v.Expires))
	p.uintAlways(5, uint64(v.FeedKey))
	p.ref(6, &v.Lifts)
	p.uint(7, v.LiftsIndex)
	p.int(8, int64(v.Starts))
	p.int(9, int64(v.NotAfter))
	return p.end()
}

// UnmarshalRecord reads what Marshal wrote. It refuses bytes that are not the
// one encoding of the record they decode to, and keeps nothing of b.
func UnmarshalRecord(b []byte) (*Record, error) {
	rec, in := new(Record), cborReader{b: b}
	if err := rec.decode(&in); err != nil {
		return nil, err
	}
	return rec, nil
}

// CheckRecord is the error of UnmarshalRecord on the same bytes. It takes the
// same way through them and makes nothing of what it reads.
func CheckRecord(b []byte) error {
	var rec Record
	return rec.decode(&cborReader{b: b, check: true})
}

func (r *Record) decode(in *cborReader) error {
	r.read(in)
	if err := in.end(); err != nil {
		return fmt.Errorf("decode record: %w", err)
	}
	if r.Version != RecordVersion {
		return fmt.Errorf("decode record: version %d, want %d", r.Version, RecordVersion)
	}
	return nil
}

// always is the last of the keys, from 1, that every record has.
const always = 8

// The keys that there must be: a bit each.
const (
	recordKeys     = 1<<(always+1) - 1<<1
	revocationKeys = 1<<1 | 1<<2 | 1<<4 | 1<<5
)

// read reads the members of a record. An empty one beyond always is another
// encoding of the same record, and refused.
func (r *Record) read(in *cborReader) {
	ks := in.keys()
	for k := in.next(&ks); k != 0; k = in.next(&ks) {
		empty := false
		switch {
		case k <= always:
			r.readAlways(in, k)
		case k <= 22:
			empty = r.readToken(in, k)
		default:
			empty = r.readRest(in, k)
		}
		if empty {
			in.fail("an empty member")
		}
	}
	in.require(ks, recordKeys)
}

func (r *Record) readAlways(in *cborReader, k uint64) {
	switch k {
	case 1:
		r.Version = uint8(in.uint(math.MaxUint8))
	case 2:
		r.Source = in.common()
	case 3:
		r.ID = in.text()
	case 4:
		r.Tenant = in.common()
	case 5:
		r.Environment = in.common()
	case 6:
		r.Type = Type(in.common())
	case 7:
		r.Time = in.int()
	case 8:
		r.Received = in.int()
	}
}

// readToken reads what is said of a token, and reports whether it is empty.
func (r *Record) readToken(in *cborReader, k uint64) (empty bool) {
	switch k {
	case 9:
		return in.into(&r.Issuer)
	case 10:
		r.SubjectRef = in.ref()
		return r.SubjectRef.IsZero()
	case 11:
		r.TokenRef = in.ref()
		return r.TokenRef.IsZero()
	case 12:
		r.SessionRef = in.ref()
		return r.SessionRef.IsZero()
	case 13:
		return in.into(&r.Client)
	case 14:
		return in.into(&r.KeyID)
	case 15:
		return in.into(&r.Algorithm)
	case 16:
		r.Audience = in.texts()
		return len(r.Audience) == 0
	case 17:
		return in.into(&r.Scope)
	case 18:
		return in.stamp(&r.IssuedAt)
	case 19:
		return in.stamp(&r.Expires)
	case 20:
		return in.into(&r.Actor)
	case 21:
		return in.into(&r.Outcome)
	default:
		return in.into(&r.Reason)
	}
}

// readRest reads the members from 23 on, and reports whether it is empty.
func (r *Record) readRest(in *cborReader, k uint64) (empty bool) {
	switch k {
	case 23:
		r.Attributes = in.textMap()
		return len(r.Attributes) == 0
	case 24:
		r.View = in.uint(math.MaxUint64)
		return r.View == 0
	case 25:
		r.PayloadHash = in.hash()
		return r.PayloadHash.IsZero()
	case 26:
		r.DataKey = uint32(in.uint(math.MaxUint32))
		return r.DataKey == 0
	case 27:
		r.Revocation = new(Revocation)
		return r.Revocation.read(in)
	case 28:
		return in.stamp(&r.NotBefore)
	case 29:
		r.Claims = in.texts()
		return len(r.Claims) == 0
	case 30:
		r.GrantRef = in.ref()
		return r.GrantRef.IsZero()
	case 31:
		return in.into(&r.Consent)
	case 32:
		r.Purposes = in.texts()
		return len(r.Purposes) == 0
	case 33:
		return in.into(&r.Ticket)
	default:
		in.fail("an unknown key")
		return false
	}
}

// read reads a revocation, and reports whether a member that may be left out
// is empty.
func (v *Revocation) read(in *cborReader) (empty bool) {
	ks := in.keys()
	for k := in.next(&ks); k != 0; k = in.next(&ks) {
		switch k {
		case 1:
			v.Scope = Scope(in.common())
		case 2:
			v.Hash = in.ref()
		case 3:
			empty = in.stamp(&v.IssuedBefore) || empty
		case 4:
			in.stamp(&v.Expires)
		case 5:
			v.FeedKey = uint32(in.uint(math.MaxUint32))
		case 6:
			v.Lifts = in.ref()
			empty = v.Lifts.IsZero() || empty
		case 7:
			v.LiftsIndex = in.uint(math.MaxUint64)
			empty = v.LiftsIndex == 0 || empty
		case 8:
			empty = in.stamp(&v.Starts) || empty
		case 9:
			empty = in.stamp(&v.NotAfter) || empty
		default:
			in.fail("an unknown key in a revocation")
		}
	}
	in.require(ks, revocationKeys)
	return empty
}

// into reads a text into to, and reports whether it is empty.
func (r *cborReader) into(to *string) bool {
	*to = r.common()
	return *to == ""
}

// stamp reads a time into to, and reports whether it is none.
func (r *cborReader) stamp(to *Timestamp) bool {
	*to = Timestamp(r.int())
	return *to == 0
}
