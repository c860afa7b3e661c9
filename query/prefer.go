package query

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest that an answer waits for verifiers.
const maxWait = 30 * time.Second

// preferredWait is the preference wait of RFC 7240 in the headers of a request,
// at most maxWait, and whether there is one. Of several the first counts; one
// whose value is no number of seconds is ignored, as is what else is preferred.
func preferredWait(h http.Header) (time.Duration, bool) {
	for _, line := range h.Values("Prefer") {
		for _, preference := range split(line, ',') {
			name, value, _ := strings.Cut(split(preference, ';')[0], "=")
			if strings.EqualFold(strings.Trim(name, blank), "wait") {
				return seconds(strings.Trim(value, blank))
			}
		}
	}
	return 0, false
}

const blank = " \t"

// split splits s at sep, but not within quotes. It returns one part at least.
func split(s string, sep byte) (parts []string) {
	from, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == sep && !quoted:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// seconds is a delta-seconds, which may be quoted.
func seconds(s string) (time.Duration, bool) {
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		s = s[1 : n-1]
	}
	digits := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
	if !digits || s == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n > uint64(maxWait/time.Second) { // all digits: it can only be too great
		return maxWait, true
	}
	return time.Duration(n) * time.Second, true
}

// applied says in the answer that it waited for up to d.
func applied(h http.Header, d time.Duration) {
	h.Set("Preference-Applied", "wait="+strconv.Itoa(int(d/time.Second)))
}
