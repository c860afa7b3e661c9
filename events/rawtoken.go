package events

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
)

// compactToken finds what can be a JWS or JWE in compact form: the base64url
// of something that starts with a brace and at most one space or line break
// after it, a dot, and another dot. The second part of a JWE may be empty.
var compactToken = regexp.MustCompile(`e[yw][A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*\.`)

// holdsToken reports whether s holds a raw token. A header that begins with {"
// is taken for one as it stands, cut or damaged; any other must be JSON.
func holdsToken(s string) bool {
	if !strings.Contains(s, "ey") && !strings.Contains(s, "ew") {
		return false
	}
	for at := compactToken.FindStringIndex(s); at != nil; at = compactToken.FindStringIndex(s) {
		header, rest, _ := strings.Cut(s[at[0]:], ".")
		if strings.Contains(header, "eyJ") || endsInObject(header) {
			return true
		}
		s = rest // what was taken for the second part can be the header
	}
	return false
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
