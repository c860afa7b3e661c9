package query

import (
	"bytes"
	"unicode/utf8"

	"github.com/rescindhq/rescind/events"
)

// decodeLine is decodeJSON for the lines of a job, of which there may be
// millions: the usual ones are read without it.
func decodeLine(line []byte, in *RevocationRequest) error {
	if (&plainLine{rest: line}).read(in) {
		return nil
	}
	*in = RevocationRequest{}
	return decodeJSON(line, in)
}

// plainLine reads an object of known members, each there once, whose values are
// numbers and texts without escapes. What is otherwise it leaves to decodeJSON,
// which knows what is wrong with it, or nothing.
type plainLine struct {
	rest []byte
	seen uint32
}

func (p *plainLine) read(in *RevocationRequest) bool {
	if !utf8.Valid(p.rest) || !p.next('{') {
		return false
	}
	for {
		name, ok := p.text()
		if !ok || !p.next(':') || !p.member(in, string(name)) {
			return false
		}
		if p.next('}') {
			p.space()
			return len(p.rest) == 0
		}
		if !p.next(',') {
			return false
		}
	}
}

// next passes over c, where it comes next.
func (p *plainLine) next(c byte) bool {
	p.space()
	if len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *plainLine) space() {
	for len(p.rest) > 0 && (p.rest[0] == ' ' || p.rest[0] == '\t' || p.rest[0] == '\r' || p.rest[0] == '\n') {
		p.rest = p.rest[1:]
	}
}

func (p *plainLine) text() (text []byte, ok bool) {
	if !p.next('"') {
		return nil, false
	}
	for i, c := range p.rest {
		switch {
		case c == '"':
			text, p.rest = p.rest[:i], p.rest[i+1:]
			return text, true
		case c == '\\', c < ' ':
			return nil, false
		}
	}
	return nil, false
}

// member reads the value of a member into its place.
func (p *plainLine) member(in *RevocationRequest, name string) bool {
	texts := [...]struct {
		name string
		to   *string
	}{
		{"tenant", &in.Tenant}, {"iss", &in.Iss}, {"jti", &in.Jti}, {"sid", &in.Sid}, {"sub", &in.Sub}, {"client_id", &in.ClientID},
		{"kid", &in.Kid}, {"grant_id", &in.GrantID}, {"reason", &in.Reason}, {"ticket", &in.Ticket}, {"note", &in.Note}, {"scope", (*string)(&in.Scope)},
	}
	for i := range texts {
		if texts[i].name != name {
			continue
		}
		text, ok := p.text()
		*texts[i].to = string(text)
		return p.once(i) && ok
	}
	times := [...]struct {
		name string
		to   *events.Timestamp
	}{{"exp", &in.Exp}, {"issued_before", &in.IssuedBefore}, {"starts", &in.Starts}, {"not_after", &in.NotAfter}}
	for i := range times {
		if times[i].name == name {
			return p.once(len(texts)+i) && p.seconds(times[i].to)
		}
	}
	return false
}

// once reports whether a member is there for the first time.
func (p *plainLine) once(i int) bool {
	before := p.seen
	p.seen |= 1 << i
	return before != p.seen
}

// seconds reads whole seconds of up to ten digits.
func (p *plainLine) seconds(to *events.Timestamp) bool {
	p.space()
	n, digits := int64(0), 0
	for ; digits < len(p.rest) && p.rest[digits] >= '0' && p.rest[digits] <= '9'; digits++ {
		if n = 10*n + int64(p.rest[digits]-'0'); digits == 10 {
			return false
		}
	}
	if digits == 0 || p.rest[0] == '0' && digits > 1 || digits == len(p.rest) || bytes.IndexByte([]byte(", }\t\r\n"), p.rest[digits]) < 0 {
		return false
	}
	p.rest = p.rest[digits:]
	*to = events.Timestamp(1000 * n)
	return true
}
