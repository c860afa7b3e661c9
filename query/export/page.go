package export

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
)

//go:embed page.html
var pageText string

// pages escapes whatever an event says, wherever it stands. They load nothing and
// run nothing.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"when": when, "lines": lines, "page": func(name string) string { return strings.TrimSuffix(name, ".json") + ".html" },
}).Parse(pageText))

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 MST")
}

// line is one thing that an event says.
type line struct{ Name, Value string }

// lines are those of an item for people, in the order of its members.
func lines(it *Item) (out []line) {
	add := func(name, value string) {
		if value != "" {
			out = append(out, line{name, value})
		}
	}
	add("about", map[Relation]string{OfPerson: "you", OfToken: "a token, session or grant of yours", ReadingOf: "data of yours and of others"}[it.Relation])
	add("issuer", it.Issuer)
	add("subject", it.Subject)
	add("token", it.TokenID)
	add("session", it.SessionID)
	add("grant", it.GrantID)
	add("client", it.Client)
	add("for", strings.Join(it.Audience, ", "))
	add("scope", it.Scope)
	add("issued", date(it.IssuedAt))
	add("not before", date(it.NotBefore))
	add("expires", date(it.Expires))
	add("key", strings.TrimSpace(it.KeyID+" "+it.Algorithm))
	add("address", it.IP)
	add("device", it.UserAgent)
	add("by", it.Actor)
	add("outcome", it.Outcome)
	add("reason", it.Reason)
	add("ticket", it.Ticket)
	add("note", it.Note)
	add("consent", it.Consent)
	add("purposes", strings.Join(it.Purposes, ", "))
	add("revokes", it.Revokes.text())
	add("missing", it.Sealed)
	add("personal", strings.Join(it.Claims, ", "))
	add("recorded", when(it.Received))
	add("by way of", it.Source)
	add("event", it.ID)
	add("position", strconv.FormatUint(it.Index, 10))
	return append(out, members(it)...)
}

// text is r in words.
func (r *Revokes) text() string {
	if r == nil {
		return ""
	}
	out := string(r.Scope)
	if r.IssuedBefore != 0 {
		out += ", issued until " + date(r.IssuedBefore)
	}
	if r.Lifts {
		out += ", no longer"
	}
	return out
}

// members are what an event says under names of its own.
func members(it *Item) (out []line) {
	for name, value := range it.Attributes {
		out = append(out, line{name, value})
	}
	for name, value := range it.Members {
		out = append(out, line{name, text(value)})
	}
	slices.SortFunc(out, func(a, b line) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value)) })
	return out
}

// text is a JSON value as people read it.
func text(value any) string {
	if s, is := value.(string); is {
		return s
	}
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(b)
}

func date(t events.Timestamp) string {
	if t == 0 {
		return ""
	}
	return when(t.Time())
}

// visible shows what would reorder or hide text: marks of direction, and what
// takes up no room.
func visible(r rune) rune {
	switch {
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r >= 0x200b && r <= 0x200f, r == 0x061c, r == 0xfeff, r < ' ' && r != '\n', r == 0x7f:
		return '\ufffd'
	default:
		return r
	}
}

func indexPage(w io.Writer, d *Document) error { return render(w, "index", d) }

func eventsPage(w io.Writer, items []Item) error {
	list := make([]*Item, len(items))
	for i := range items {
		list[i] = &items[i]
	}
	return render(w, "events", list)
}

// render writes a page, of which nothing can be hidden.
func render(w io.Writer, name string, data any) error {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	_, err := w.Write(bytes.Map(visible, b.Bytes()))
	return err
}
