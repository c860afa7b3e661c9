package export

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/hold"
)

// hostile is what a value may try to be.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</dd></dl><a href="javascript:alert(1)">`, `{{.Secret}}`, `<!--`, `]]>`,
	"=cmd|' /C calc'!A0", "\u202egnp.exe", "a\u200bb", "\x00\x1b[2J", "&lt;b&gt;", "</style><style>*{display:none}", strings.Repeat("w", 400),
}

// everywhere is an item that says one text wherever it can.
func everywhere(s string) Item {
	return Item{
		Relation: OfPerson, Type: s, Time: time.Unix(0, 0).UTC(), Received: time.Unix(0, 0).UTC(), Source: s, ID: s, Issuer: s, Client: s, KeyID: s,
		Algorithm: s, Audience: []string{s}, Scope: s, Outcome: s, Reason: s, Ticket: s, Attributes: map[string]string{s: s}, Consent: s,
		Purposes: []string{s}, Claims: []string{s},
		Personal: events.Personal{Subject: s, TokenID: s, SessionID: s, GrantID: s, IP: s, UserAgent: s, Note: s, Members: map[string]any{s: []any{s, map[string]any{s: s}}}},
	}
}

// TestPagesEscape: whatever an event, a request or the controller says is text
// on a page, and the page says that it runs nothing and loads nothing.
func TestPagesEscape(t *testing.T) {
	t.Parallel()
	for _, s := range hostile {
		c := &collector{Office: &Office{Config{Statement: s, Now: time.Now}}, order: &Order{
			Kind: Access, Request: s, Regulation: s, Tenant: s, Issuer: s, Subject: s, Restricted: s,
			Requests: []Asked{{ID: s, Type: s, Regulation: s, State: s, Outcome: s, Reason: s}}, Holds: []Hold{{Article: s}},
		}}
		sum, it := newSummary(), everywhere(s)
		sum.add(&it)
		d := c.document(sum, nil)
		var index, list bytes.Buffer
		if err := indexPage(&index, &d); err != nil {
			t.Fatal(err)
		}
		if err := eventsPage(&list, []Item{it}); err != nil {
			t.Fatal(err)
		}
		for _, page := range []string{index.String(), list.String()} {
			for _, tag := range []string{"<script", "<img", "<!--", "<a href=\"javascript", "</style><style>"} {
				if strings.Contains(page, tag) {
					t.Errorf("%q is on a page that says %q", tag, s)
				}
			}
			if strings.ContainsAny(page, "\u202e\u200b\x00\x1b") {
				t.Errorf("what hides text is on a page that says %q", s)
			}
			if !strings.Contains(page, `content="default-src 'none'; style-src 'unsafe-inline'"`) || strings.Count(page, "<style>") != 1 {
				t.Error("the page may load something")
			}
		}
	}
}

// TestPagesSayAllOfIt: whatever of an event is in the JSON is on its page.
func TestPagesSayAllOfIt(t *testing.T) {
	t.Parallel()
	full := everywhere("text")
	full.Index, full.Received, full.Actor, full.Sealed = 7, time.Unix(1, 0).UTC(), byStaff, Dropped
	full.IssuedAt, full.NotBefore, full.Expires = 1000, 2000, 3000
	full.Revokes = &Revokes{Scope: events.ScopeSubject, IssuedBefore: 4000, Lifts: true}
	page := func(it Item) string {
		t.Helper()
		var b bytes.Buffer
		if err := eventsPage(&b, []Item{it}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	whole := page(full)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Item]()) {
		it := full
		v := reflect.ValueOf(&it).Elem().FieldByIndex(f.Index)
		if v.IsZero() {
			t.Errorf("nothing is in %s", f.Name)
		}
		if v.SetZero(); page(it) == whole {
			t.Errorf("the page is the same without %s", f.Name)
		}
	}
	for i := range reflect.TypeFor[Revokes]().NumField() {
		it, revokes := full, *full.Revokes
		it.Revokes = &revokes
		if reflect.ValueOf(&revokes).Elem().Field(i).SetZero(); page(it) == whole {
			t.Errorf("the page is the same without %s of what is revoked", reflect.TypeFor[Revokes]().Field(i).Name)
		}
	}
}

// TestSummaryIsBounded: however many values there are, a list has no more than it
// may, and says that it is not all.
func TestSummaryIsBounded(t *testing.T) {
	t.Parallel()
	s := newSummary()
	for i := range 3 * maxListed {
		s.add(&Item{Type: "token.issued", Client: fmt.Sprint(i), Source: "one"})
	}
	if len(s.clients.list()) != maxListed || !s.more || s.types["token.issued"] != 3*maxListed || len(s.sources.list()) != 1 {
		t.Errorf("%d clients, more %t", len(s.clients), s.more)
	}
}

// endless is an archive with many events of a person.
type endless struct{ n uint64 }

func (e endless) End(context.Context, uint16) (uint64, error)             { return e.n, nil }
func (e endless) CatchUp(context.Context, uint16, uint64) (uint64, error) { return e.n, nil }
func (e endless) Select(_ context.Context, s Selection) (out []Part, _ error) {
	if s.Relation != OfPerson {
		return nil, nil
	}
	for i := s.From; i < min(s.End, s.From+uint64(s.Limit)); i++ {
		out = append(out, Part{Index: i, Record: &events.Record{
			Type: events.TokenIssued, Tenant: s.Tenant, ID: fmt.Sprint(i), SubjectRef: s.Person, Attributes: map[string]string{"n": fmt.Sprintf("%x", i*0x9e3779b97f4a7c15)},
		}})
	}
	return out, nil
}

// TestLongExportsStream: what is in memory while an export is made does not grow
// with it, and every event of it is in one file.
func TestLongExportsStream(t *testing.T) {
	const n = 20_500
	c := &collector{Office: &Office{Config{Archive: endless{n}, Now: time.Now}}, order: &Order{Kind: Access, Tenant: "acme", Ref: events.Ref{1}}, end: n}
	w := &watched{}
	count, err := c.files(t.Context(), w)
	if err != nil || count != n {
		t.Fatal(count, err)
	}
	t.Logf("the heap grew by %d bytes in %d looks", w.grown, w.looked)
	if most := 8 << 20; w.grown > uint64(most) || w.looked < 5 {
		t.Errorf("the heap grew by %d bytes in %d looks, while %d were written", w.grown, w.looked, w.b.Len())
	}
	z, err := zip.NewReader(bytes.NewReader(w.b.Bytes()), int64(w.b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	next := uint64(0)
	for _, f := range z.File {
		names = append(names, f.Name)
		if !strings.HasPrefix(f.Name, "events/") || !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		for _, it := range eventsIn(t, f) {
			if it.Index != next {
				t.Fatalf("index %d after %d", it.Index, next)
			}
			next++
		}
	}
	last := names[len(names)-5:]
	if d := cmp.Diff([]string{"events/00021.json", "events/00021.html", "export.json", "export.schema.json", "index.html"}, last); d != "" || next != n {
		t.Error(next, d)
	}
}

func eventsIn(t *testing.T, f *zip.File) []Item {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var e Events
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e.Events
}

// watched is where an export is written, and how the rest of the heap grows.
type watched struct {
	b             bytes.Buffer
	first, grown  uint64
	looked, since int
}

func (w *watched) Write(p []byte) (int, error) {
	if w.since += len(p); w.since > 64<<10 {
		w.since = 0
		w.look()
	}
	return w.b.Write(p)
}

func (w *watched) look() {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	alive := m.HeapAlloc - uint64(w.b.Cap())
	if w.looked++; w.first == 0 {
		w.first = alive
	}
	if alive > w.first {
		w.grown = max(w.grown, alive-w.first)
	}
}

// TestNobodyElseIsNamed: who owns a hold is staff of the controller's, and another
// person.
func TestNobodyElseIsNamed(t *testing.T) {
	t.Parallel()
	r := &events.Record{Type: events.HoldPlaced, Actor: "officer-1", Attributes: map[string]string{hold.AttrOwner: "Bob Jones", hold.AttrArticle: "GDPR 17(3)(e)"}}
	it := item(&Part{Record: r}, OfPerson)
	if len(it.Attributes) != 1 || it.Attributes[hold.AttrArticle] == "" || it.Actor != byStaff {
		t.Errorf("%+v", it)
	}
	r.Type = events.TokenIssued
	if it := item(&Part{Record: r}, OfPerson); it.Attributes[hold.AttrOwner] == "" {
		t.Error("an attribute of somebody's own is lost")
	}
}
