package guard

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// maxTokenBytes bounds what is parsed before anything is known of it.
const maxTokenBytes = 16 << 10

// maxDepth is how many objects and arrays of a token may be inside each other.
const maxDepth = 32

// compact reports whether raw can be a JWS in compact form: three parts of
// base64url and nothing else. The decoder passes over line ends, and would take
// many texts for one token.
func compact(raw string) bool {
	if len(raw) > maxTokenBytes || strings.Count(raw, ".") != 2 {
		return false
	}
	for i := range len(raw) {
		if c := raw[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// readObject reads an object that everybody reads alike.
func readObject(doc []byte) (out map[string]any, err error) {
	if err = json.Unmarshal(doc, &out); err != nil || out == nil || !plain(doc, out) {
		return nil, errNotAnObject
	}
	return out, nil
}

// plain reports whether everybody reads doc as it was read: it is UTF-8, has no
// member of any object twice (RFC 7515 section 4, RFC 7519 section 4), and is
// not so deep that a reader gives up.
func plain(doc []byte, read map[string]any) bool {
	written, deepest := measure(doc)
	return deepest <= maxDepth && utf8.Valid(doc) && members(read) == written
}

// measure counts the members of all objects in doc, as written, and how deep it
// goes. In what is not JSON the counts mean nothing.
func measure(doc []byte) (written, deepest int) {
	depth, inText := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case inText && c == '\\':
			i++ // what is escaped ends nothing
		case c == '"':
			inText = !inText
		case inText:
		case c == ':':
			written++
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return written, deepest
}

// members counts those of all objects in v, as read: of two with one name the
// decoder keeps one.
func members(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, member := range v {
			n += members(member)
		}
	case []any:
		for _, member := range v {
			n += members(member)
		}
	}
	return n
}
