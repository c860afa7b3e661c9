package events

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// holdsToken reports whether s holds a raw token: what can be a JWS or JWE in
// compact form. That is the base64url of something that starts with a brace and
// at most one space or line break after it, a dot, and another dot; the second
// part of a JWE may be empty. A header that begins with {" is taken for one as it
// stands, cut or damaged; any other must be JSON.
func holdsToken(s string) bool {
	if !strings.Contains(s, "ey") && !strings.Contains(s, "ew") {
		return false
	}
	for {
		before, rest, dotted := strings.Cut(s, ".")
		second, _, twice := strings.Cut(rest, ".")
		if !dotted || !twice {
			return false
		}
		if afterLastOdd(second) == second && isHeader(afterLastOdd(before)) {
			return true
		}
		s = rest // what was the second part can be a header
	}
}

// afterLastOdd is the end of s that has nothing but characters of base64url.
func afterLastOdd(s string) string {
	i := len(s)
	for i > 0 && isBase64URL(s[i-1]) {
		i--
	}
	return s[i:]
}

func isBase64URL(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '_'
}

// isHeader reports whether s, in characters of base64url, is a header from some
// place on: a name before it may run into it.
func isHeader(s string) bool {
	const least = len("ey") + 8
	at := strings.Index(s, "ey")
	if w := strings.Index(s, "ew"); at < 0 || w >= 0 && w < at {
		at = w
	}
	return at >= 0 && len(s)-at >= least && (strings.Contains(s[at:], "eyJ") || endsInObject(s[at:]))
}

// maxStarts is how many places of a header are tried. In what is no token one
// in ten thousand looks like the beginning of an object; who puts in many wants
// us to decode the rest from each.
const maxStarts = 16

// endsInObject reports whether header is a JSON object in base64url from some
// place on: a name before it may run into it. More beginnings than maxStarts
// are taken for one.
func endsInObject(header string) bool {
	starts := 0
	for at := range max(0, len(header)-3) {
		if !beginsObject(header[at : at+4]) {
			continue
		}
		if starts++; starts > maxStarts {
			return true
		}
		if b, err := base64.RawURLEncoding.DecodeString(header[at:]); err == nil && json.Valid(b) {
			return true
		}
	}
	return false
}

// beginsObject reports whether four characters of base64url are a brace and what
// JSON has behind one that opens an object with members.
func beginsObject(s string) bool {
	if s[0] != 'e' {
		return false
	}
	var b [3]byte
	n, err := base64.RawURLEncoding.Decode(b[:], []byte(s))
	return err == nil && n == len(b) && b[0] == '{' && strings.IndexByte("\" \t\n\r", b[1]) >= 0
}
