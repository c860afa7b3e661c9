package events

import (
	"encoding/json"
	"fmt"
	"math"
)

// Marshal is p as deterministic CBOR: what is sealed. It fails where personal
// claims hold what no JSON value is, or are nested deeper than any accepted
// event's.
func (p *Personal) Marshal() ([]byte, error) { return p.AppendTo(make([]byte, 0, usualRecord)) }

// AppendTo appends what Marshal returns to b.
func (p *Personal) AppendTo(b []byte) ([]byte, error) {
	var w pairs
	w.begin(b)
	w.text(1, p.Subject)
	w.text(2, p.TokenID)
	w.text(3, p.SessionID)
	w.text(4, p.GrantID)
	w.text(5, p.IP)
	w.text(6, p.UserAgent)
	w.text(7, p.Note)
	if len(p.Members) > 0 {
		var err error
		w.key(8)
		if w.b, err = appendClaim(w.b, p.Members, 0); err != nil {
			return nil, fmt.Errorf("encode personal part: %w", err)
		}
	}
	return w.end(), nil
}

// maxClaimDepth bounds the nesting of personal claims in CBOR, above
// MaxPersonalDepth.
const maxClaimDepth = 16

// appendClaim appends a JSON value.
func appendClaim(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxClaimDepth {
		return nil, fmt.Errorf("claims are nested deeper than %d levels", maxClaimDepth)
	}
	switch v := v.(type) {
	case nil:
		return append(b, cborNull), nil
	case bool:
		if v {
			return append(b, cborTrue), nil
		}
		return append(b, cborFalse), nil
	case string:
		return appendText(b, v), nil
	case int:
		return appendInt(b, int64(v)), nil
	case int64:
		return appendInt(b, v), nil
	case uint64:
		return appendHead(b, cborUint, v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("a claim is %g", v)
		}
		return appendFloat(b, v), nil
	case json.Number:
		return appendClaim(b, exactNumber(string(v)), depth)
	case []any:
		return appendClaims(b, v, depth)
	case map[string]any:
		return appendClaimMap(b, v, depth)
	default:
		return nil, fmt.Errorf("a claim is a %T", v)
	}
}

func appendClaims(b []byte, list []any, depth int) (_ []byte, err error) {
	if list == nil {
		return append(b, cborNull), nil
	}
	b = appendHead(b, cborArray, uint64(len(list)))
	for _, v := range list {
		if b, err = appendClaim(b, v, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendClaimMap(b []byte, m map[string]any, depth int) (_ []byte, err error) {
	if m == nil {
		return append(b, cborNull), nil
	}
	b = appendHead(b, cborMap, uint64(len(m)))
	for _, k := range sortedKeys(m) {
		if b, err = appendClaim(appendText(b, k), m[k], depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// UnmarshalPersonal reads what Marshal wrote, and nothing else. Numbers come
// back as Decode gives them.
func UnmarshalPersonal(b []byte) (Personal, error) {
	var p Personal
	in := cborReader{b: b}
	p.read(&in)
	if err := in.end(); err != nil {
		return Personal{}, fmt.Errorf("decode personal part: %w", err)
	}
	return p, nil
}

func (p *Personal) read(in *cborReader) {
	texts := [...]*string{1: &p.Subject, 2: &p.TokenID, 3: &p.SessionID, 4: &p.GrantID, 5: &p.IP, 6: &p.UserAgent, 7: &p.Note}
	ks := in.keys()
	for k := in.next(&ks); k != 0; k = in.next(&ks) {
		switch {
		case k < uint64(len(texts)):
			if *texts[k] = in.text(); *texts[k] == "" {
				in.fail("an empty member")
			}
		case k == 8:
			p.Members = in.claimMap(0)
			if len(p.Members) == 0 {
				in.fail("an empty member")
			}
		default:
			in.fail("an unknown key")
		}
	}
}

// claim reads a JSON value.
func (r *cborReader) claim(depth int) any {
	if depth > maxClaimDepth {
		r.fail("nested too deep")
		return nil
	}
	first := r.peek()
	switch first & 0xe0 {
	case cborUint:
		if n := r.uint(math.MaxUint64); n > math.MaxInt64 {
			return n
		} else {
			return int64(n)
		}
	case cborInt:
		return r.int()
	case cborText:
		return r.text()
	case cborArray:
		return r.claims(depth)
	case cborMap:
		return r.claimMap(depth)
	}
	return r.simple(first)
}

// simple reads what is no number of 64 bits, text, array or map.
func (r *cborReader) simple(first byte) any {
	switch first {
	case cborFloat16, cborFloat32, cborFloat64:
		return r.number()
	case cborNull, cborTrue, cborFalse:
		r.at++
	default:
		r.fail("no JSON value")
	}
	if first == cborNull {
		return nil
	}
	return first == cborTrue
}

func (r *cborReader) claims(depth int) []any {
	list := make([]any, r.items(cborArray, 1))
	for i := range list {
		list[i] = r.claim(depth + 1)
	}
	return list
}

func (r *cborReader) claimMap(depth int) map[string]any {
	n := r.items(cborMap, 2)
	m := make(map[string]any, n)
	before := ""
	for i := range n {
		k := r.text()
		if i > 0 && compareKeys(before, k) >= 0 || r.fault != "" {
			r.fail("names out of order")
			return nil
		}
		before, m[k] = k, r.claim(depth+1)
	}
	return m
}
