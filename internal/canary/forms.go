package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// form is a value as it could be written, and what that is called.
type form struct {
	name string
	text []byte
}

func forms(v string) []form {
	lower := hex.EncodeToString([]byte(v))
	all := []form{{"clear", []byte(v)}, {"hex", []byte(lower)}, {"HEX", []byte(strings.ToUpper(lower))}}
	all = append(all, named("JSON", inJSON(v)...)...)
	all = append(all, named("URL", inURL(v)...)...)
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			all = append(all, form{"base64", within(enc, v, before)})
		}
	}
	return once(all)
}

// once leaves out what is written as something before it is.
func once(all []form) (out []form) {
	for _, f := range all {
		if !slices.ContainsFunc(out, func(o form) bool { return bytes.Equal(o.text, f.text) }) {
			out = append(out, f)
		}
	}
	return out
}

func named(name string, texts ...string) (out []form) {
	for _, t := range texts {
		out = append(out, form{name, []byte(t)})
	}
	return out
}

// inJSON is v with as few escapes as JSON asks for, with those that encoders add
// for HTML and for slashes, and with nothing but escapes.
func inJSON(v string) []string {
	b, _ := json.Marshal(v) // a string
	short := string(b[1 : len(b)-1])
	out := []string{short, strings.ReplaceAll(short, "/", `\/`)}
	for _, escape := range []string{`\u%04x`, `\u%04X`} {
		var b strings.Builder
		for _, r := range v {
			fmt.Fprintf(&b, escape, r)
		}
		out = append(out, b.String())
	}
	return out
}

// inURL is v as in a query, as in a path, in upper and lower case, and with every
// byte escaped.
func inURL(v string) (out []string) {
	for _, escaped := range []string{url.QueryEscape(v), url.PathEscape(v), strings.ReplaceAll(url.QueryEscape(v), "+", "%20")} {
		out = append(out, escaped, lowerEscapes(escaped))
	}
	for _, format := range []string{"%%%02X", "%%%02x"} {
		var b strings.Builder
		for _, c := range []byte(v) {
			fmt.Fprintf(&b, format, c)
		}
		out = append(out, b.String())
	}
	return out
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

// within is the characters that are sure to stand there where v is encoded with
// before bytes, modulo three, in front of it.
func within(enc *base64.Encoding, v string, before int) []byte {
	const bits = 6 // of a character
	text := enc.EncodeToString(append(make([]byte, before), v...))
	first, end := (8*before+bits-1)/bits, 8*(before+len(v))/bits
	return []byte(text[first:end])
}
