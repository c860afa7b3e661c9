package events

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads JSON (RFC 8259) token by token. What it takes is what
// encoding/json takes, so that everybody reads one event the same way, but for
// two members of one name: it reads both, and whoever asks for them decides.
// The first syntax error sticks; after it every read gives nothing.
type jsonReader struct {
	b      []byte
	at     int
	depth  int
	broken error
	buf    []byte // the last text that had escapes
}

// maxJSONDepth is how deep objects and arrays may stand inside each other to
// be read at all. It is that of encoding/json.
const maxJSONDepth = 10_000

var errJSONDepth = errors.New("nested too deep")

func (r *jsonReader) fail() {
	if r.broken == nil {
		r.broken = fmt.Errorf("syntax error at byte %d", min(r.at+1, len(r.b)))
	}
	r.at = len(r.b)
}

// peek skips white space and is the next byte, 0 at the end.
func (r *jsonReader) peek() byte {
	for r.at < len(r.b) {
		switch c := r.b[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return c
		}
	}
	return 0
}

// take reads c, after white space.
func (r *jsonReader) take(c byte) {
	if r.peek() != c || r.broken != nil {
		r.fail()
		return
	}
	r.at++
}

// end is the first error, or that something follows.
func (r *jsonReader) end() error {
	if r.peek() != 0 || r.at < len(r.b) {
		r.fail()
	}
	return r.broken
}

// enter reads the bracket that opens an object or array. Every enter is
// followed by calls of more until it says no.
func (r *jsonReader) enter(open byte) {
	if r.depth++; r.depth > maxJSONDepth {
		r.broken = errJSONDepth
	}
	r.take(open)
}

// more reports whether another member or element follows, and reads the comma
// before it, or the bracket that closes.
func (r *jsonReader) more(first bool, shut byte) bool {
	switch c := r.peek(); {
	case r.broken != nil:
		return false
	case c == shut:
		r.at++
		r.depth--
		return false
	case first:
		return true
	case c == ',':
		r.at++
		return true
	default:
		r.fail()
		return false
	}
}

// name reads the name of a member and the colon. It is good until the next
// text is read.
func (r *jsonReader) name() []byte {
	name := r.text()
	r.take(':')
	return name
}

// skip reads a value and is its bytes.
func (r *jsonReader) skip() []byte {
	c := r.peek()
	start := r.at
	switch c {
	case '"':
		r.skipText()
	case '{':
		r.enter('{')
		for first := true; r.more(first, '}'); first = false {
			if r.peek() != '"' {
				r.fail()
				break
			}
			r.skipText()
			r.take(':')
			r.skip()
		}
	case '[':
		r.enter('[')
		for first := true; r.more(first, ']'); first = false {
			r.skip()
		}
	default:
		r.word(c)
	}
	return r.b[start:r.at]
}

// word reads true, false, null or a number.
func (r *jsonReader) word(c byte) {
	switch c {
	case 't':
		r.literal("true")
	case 'f':
		r.literal("false")
	case 'n':
		r.literal("null")
	default:
		r.number()
	}
}

func (r *jsonReader) literal(word string) {
	if len(r.b)-r.at < len(word) || string(r.b[r.at:r.at+len(word)]) != word {
		r.fail()
		return
	}
	r.at += len(word)
}

// null reports whether the next value is null, and reads it if so.
func (r *jsonReader) null() bool {
	if r.peek() != 'n' {
		return false
	}
	r.literal("null")
	return true
}

// number reads a number and is its digits.
func (r *jsonReader) number() []byte {
	r.peek()
	start := r.at
	if r.at < len(r.b) && r.b[r.at] == '-' {
		r.at++
	}
	if r.at < len(r.b) && r.b[r.at] == '0' {
		r.at++
	} else {
		r.digits()
	}
	if r.at < len(r.b) && r.b[r.at] == '.' {
		r.at++
		r.digits()
	}
	if r.at < len(r.b) && r.b[r.at]|0x20 == 'e' {
		r.at++
		if r.at < len(r.b) && (r.b[r.at] == '+' || r.b[r.at] == '-') {
			r.at++
		}
		r.digits()
	}
	if r.broken != nil {
		return nil
	}
	return r.b[start:r.at]
}

// digits reads one digit or more.
func (r *jsonReader) digits() {
	start := r.at
	for r.at < len(r.b) && isDigit(r.b[r.at]) {
		r.at++
	}
	if r.at == start {
		r.fail()
	}
}

// skipText reads a text, and reports where its content stands and whether
// there are escapes in it.
func (r *jsonReader) skipText() (content []byte, escaped bool) {
	r.take('"')
	start := r.at
	for {
		r.at = endOfPlain(r.b, r.at)
		if r.at >= len(r.b) || r.b[r.at] < ' ' {
			r.fail()
			return nil, false
		}
		if r.b[r.at] == '"' {
			r.at++
			return r.b[start : r.at-1], escaped
		}
		escaped = true
		if !r.skipEscape() {
			r.fail()
			return nil, false
		}
	}
}

// endOfPlain is where the first quote, backslash or control character stands
// in b from at on, or len(b).
func endOfPlain(b []byte, at int) int {
	for ; at+8 <= len(b); at += 8 {
		x := eight(b, at)
		quote, slash := x^ones*'"', x^ones*'\\'
		if ((x-ones*' ')&^x|(quote-ones)&^quote|(slash-ones)&^slash)&tops != 0 {
			break
		}
	}
	for at < len(b) && b[at] >= ' ' && b[at] != '"' && b[at] != '\\' {
		at++
	}
	return at
}

// skipEscape reads an escape, and reports whether it is one.
func (r *jsonReader) skipEscape() bool {
	if len(r.b)-r.at < 2 {
		return false
	}
	switch r.b[r.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		r.at += 2
		return true
	case 'u':
		_, ok := hex4(r.b[r.at+2:])
		r.at += 6
		return ok
	default:
		return false
	}
}

// hex4 is the number in the four hexadecimal digits that b begins with.
func hex4(b []byte) (n rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case isDigit(c):
			n = n<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// text reads a text. It is good until the next one is read.
func (r *jsonReader) text() []byte {
	if r.peek() != '"' {
		r.fail()
		return nil
	}
	content, escaped := r.skipText()
	if !escaped {
		return content
	}
	r.buf = unescapeJSON(r.buf[:0], content)
	return r.buf
}

// unescapeJSON appends content, whose escapes are well formed, without them.
// Half of a pair of surrogates becomes U+FFFD, as in encoding/json.
func unescapeJSON(b, content []byte) []byte {
	for i := 0; i < len(content); {
		if content[i] != '\\' {
			b = append(b, content[i])
			i++
			continue
		}
		c := content[i+1]
		i += 2
		if c != 'u' {
			b = append(b, escapes[c])
			continue
		}
		n, _ := hex4(content[i:])
		i += 4
		if utf16.IsSurrogate(n) {
			n = utf16.DecodeRune(n, nextEscape(content[i:]))
			if n != utf8.RuneError {
				i += 6
			}
		}
		b = utf8.AppendRune(b, n)
	}
	return b
}

// nextEscape is the number of the \u escape that b begins with, or -1.
func nextEscape(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	n, _ := hex4(b[2:])
	return n
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// value reads any value: its numbers as exactNumber gives them. twice reports
// whether an object in it has two members of one name.
func (r *jsonReader) value() (v any, twice bool) {
	switch c := r.peek(); c {
	case '"':
		return string(r.text()), false
	case '{':
		return r.object()
	case '[':
		return r.array()
	case 't', 'f':
		r.word(c)
		return c == 't', false
	case 'n':
		r.literal("null")
		return nil, false
	default:
		n := r.number()
		if r.broken != nil {
			return nil, false
		}
		return exactNumber(string(n)), false
	}
}

func (r *jsonReader) object() (m map[string]any, twice bool) {
	m = map[string]any{}
	r.enter('{')
	for first := true; r.more(first, '}'); first = false {
		name := intern(r.name())
		v, inside := r.value()
		_, again := m[name]
		m[name] = v
		twice = twice || again || inside
	}
	return m, twice
}

func (r *jsonReader) array() (list []any, twice bool) {
	list = []any{}
	r.enter('[')
	for first := true; r.more(first, ']'); first = false {
		v, inside := r.value()
		list = append(list, v)
		twice = twice || inside
	}
	return list, twice
}
