package events

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// claims is what was seen in personal claims, in whatever order.
type claims struct {
	depth   int    // of objects and arrays inside each other
	notUTF8 bool   // a text or name: JSON would say something else
	odd     string // the first by name of the Go types that no JSON is decoded to: nobody judges what is in one
}

// see looks at v, which stands inside so many objects and arrays.
func (c *claims) see(v any, inside int) {
	switch v := v.(type) {
	case nil, bool, int, int64, uint64, float64, json.Number:
	case string:
		c.notUTF8 = c.notUTF8 || !utf8.ValidString(v)
	case map[string]any:
		c.depth = max(c.depth, inside+1)
		for name, child := range v {
			c.notUTF8 = c.notUTF8 || !utf8.ValidString(name)
			c.see(child, inside+1)
		}
	case []any:
		c.depth = max(c.depth, inside+1)
		for _, child := range v {
			c.see(child, inside+1)
		}
	default:
		if odd := fmt.Sprintf("%T", v); c.odd == "" || odd < c.odd {
			c.odd = odd
		}
	}
}

// fine reports whether nothing is wrong with what was seen.
func (c *claims) fine() bool { return c.depth <= MaxPersonalDepth && !c.notUTF8 && c.odd == "" }

// refusal says what is wrong with what was seen.
func (c *claims) refusal() *Refusal {
	switch {
	case c.odd != "":
		return refuse(ReasonSchema, "data.personal holds a %.80s: want string, bool, nil, int, int64, uint64, float64, json.Number, []any or map[string]any", c.odd)
	case c.notUTF8:
		return refuse(ReasonSchema, "a text in data.personal is not UTF-8")
	default:
		return refuse(ReasonTooLarge, "data.personal is nested deeper than %d levels", MaxPersonalDepth)
	}
}
