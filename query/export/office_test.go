package export_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/nats-io/nats.go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/query/store"
	"github.com/rescindhq/rescind/query/store/storetest"
	"github.com/rescindhq/rescind/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(enginetest.M{M: m}) }

const (
	patience = 2 * time.Minute
	issuer   = "https://id.example"
)

// house is an office over a real log and a real archive.
type house struct {
	t   *testing.T
	kit *lanetest.Kit
	cfg export.Config
	// standStill ends the projector that keeps the archive up with the log.
	standStill func()
	*export.Office
	*shared
}

// shared is what all who use a house have in common.
type shared struct {
	mu     sync.Mutex
	fences map[string]string // tenant -> handle of who was forgotten last
	now    time.Time         // zero: the real one
}

func build(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, kit: lanetest.Start(t), shared: &shared{fences: map[string]string{}}}
	conn, stop := storetest.Follow(h.kit, patience)
	h.standStill = stop
	_, err := h.kit.Conn.Subscribe(stream.LiveErasures+".>", h.fenced)
	h.check(err)
	h.cfg = export.Config{
		Archive: &store.Archive{Store: store.New(conn), Logs: []store.Log{h.kit.Log}}, Keyring: h.kit.Keyring, Store: stream.NewExports(h.kit.JS),
		Statement: "We are <b>Example</b> & sons.", Now: h.clock,
	}
	h.Office, err = export.New(h.cfg)
	h.check(err)
	return h
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now.IsZero() {
		return time.Now()
	}
	return h.now
}

func (h *house) at(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
}

func (h *house) fenced(m *nats.Msg) {
	tenant, handle, _ := strings.Cut(strings.TrimPrefix(m.Subject, stream.LiveErasures+"."), ".")
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fences[tenant] = handle
}

// person is who a subject of a tenant is.
func person(tenant, subject string) seal.Person {
	return seal.Person{Tenant: tenant, Issuer: issuer, Subject: subject}
}

func (h *house) refOf(p seal.Person) events.Ref {
	h.t.Helper()
	key, err := h.kit.Keyring.Lookup(h.t.Context(), p)
	h.check(err)
	return key.Ref
}

func (h *house) forget(p seal.Person) {
	h.t.Helper()
	_, err := h.kit.Keyring.Destroy(h.t.Context(), p.Tenant, h.refOf(p))
	h.check(err)
}

// renew makes somebody who was forgotten known again, everywhere at once.
func (h *house) renew(p seal.Person) {
	h.t.Helper()
	_, err := h.kit.Keyring.RenewFor(h.t.Context(), p, events.Ref{})
	h.check(err)
	h.check(h.kit.Conn.Flush())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kit.Keys.Evict(p.Tenant, h.fences[p.Tenant])
}

// order is a request of a person.
func (h *house) order(kind string, p seal.Person) export.Order {
	h.t.Helper()
	end, err := h.End(h.t.Context(), 0)
	h.check(err)
	return export.Order{
		End: end, Request: "request-1", Kind: kind, Regulation: "gdpr", Tenant: p.Tenant, Issuer: p.Issuer, Subject: p.Subject, Ref: h.refOf(p),
		Received: time.Now().UTC(),
		Requests: []export.Asked{{ID: "request-1", Type: kind, Regulation: "gdpr", State: "approved", Received: time.Now().UTC(), Due: time.Now().UTC()}},
		Holds:    []export.Hold{{Article: "GDPR 17(3)(e)", Placed: time.Now().UTC(), Review: time.Now().UTC()}},
	}
}

func (h *house) make(o export.Order) export.Made {
	h.t.Helper()
	m, err := h.Make(h.t.Context(), o)
	h.check(err)
	return m
}

// fetch is the bytes that a link leads to.
func (h *house) fetch(place stream.ExportPlace, secret string) []byte {
	h.t.Helper()
	d, err := h.Open(h.t.Context(), place, secret)
	h.check(err)
	var b bytes.Buffer
	h.check(d.Send(h.t.Context(), &b))
	if int64(b.Len()) != d.Bytes {
		h.t.Errorf("sent %d bytes of %d", b.Len(), d.Bytes)
	}
	return b.Bytes()
}

// unpacked is an export as its person has it.
type unpacked struct {
	document export.Document
	items    map[uint64]item
	files    map[string]string
}

// item is one event of an export, as whoever has only the schema reads it.
type item map[string]any

func (i item) text(name string) string {
	s, _ := i[name].(string)
	return s
}

// read opens the export of an order with a passphrase, and holds it to the
// schema.
func (h *house) read(place stream.ExportPlace) unpacked {
	h.t.Helper()
	l, err := h.Issue(h.t.Context(), place, "")
	h.check(err)
	identity, err := age.NewScryptIdentity(l.Passphrase)
	h.check(err)
	return unpack(h.t, h.fetch(place, l.Secret), identity)
}

func unpack(t testing.TB, sealed []byte, identity age.Identity) unpacked {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	must(err)
	plain, err := io.ReadAll(r)
	must(err)
	z, err := zip.NewReader(bytes.NewReader(plain), int64(len(plain)))
	must(err)
	out := unpacked{items: map[uint64]item{}, files: map[string]string{}}
	for _, f := range z.File {
		r, err := f.Open()
		must(err)
		b, err := io.ReadAll(r)
		must(err)
		out.files[f.Name] = string(b)
	}
	document, files := validators(t)
	must(document([]byte(out.files["export.json"])))
	must(json.Unmarshal([]byte(out.files["export.json"]), &out.document))
	for _, f := range out.document.Files {
		text := out.files[f.Name]
		must(files([]byte(text)))
		if sum := sha256.Sum256([]byte(text)); hex.EncodeToString(sum[:]) != f.SHA256 {
			t.Errorf("%s is not what export.json says", f.Name)
		}
		out.take(t, text, f.Count)
	}
	if len(out.items) != out.document.Count {
		t.Errorf("%d events of %d", len(out.items), out.document.Count)
	}
	return out
}

func (u *unpacked) take(t testing.TB, text string, count int) {
	t.Helper()
	var f struct {
		Events []item `json:"events"`
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil || len(f.Events) != count {
		t.Fatalf("%d events of %d: %v", len(f.Events), count, err)
	}
	for _, it := range f.Events {
		index := uint64(it["index"].(float64))
		if u.items[index] != nil {
			t.Errorf("index %d is there twice", index)
		}
		u.items[index] = it
	}
}

// validators hold documents and files of events to the published schema.
func validators(t testing.TB) (document, files func([]byte) error) {
	t.Helper()
	raw, err := schemas.FS.ReadFile("export.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(export.Schema, doc); err != nil {
		t.Fatal(err)
	}
	of := func(at string) func([]byte) error {
		s, err := c.Compile(export.Schema + at)
		if err != nil {
			t.Fatal(err)
		}
		return func(b []byte) error {
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
			if err == nil {
				err = s.Validate(v)
			}
			return err
		}
	}
	return of(""), of("#/$defs/events")
}

// logged is every record of the log with its sealed part, read from the first on
// until enough are there.
func (h *house) logged(enough func([]logged) bool) []logged {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	r, err := h.kit.Log.Read(ctx, 1)
	h.check(err)
	defer r.Close()
	var out []logged
	for !enough(out) {
		ms, err := r.Next(ctx, 8<<20)
		h.check(err)
		for _, m := range ms {
			b, err := events.UnmarshalBatch(m.Data)
			h.check(err)
			for i := range b.Items {
				record, err := events.UnmarshalRecord(b.Items[i].Record)
				h.check(err)
				out = append(out, logged{b.Header.First + uint64(i), record, b.Items[i].Sealed})
			}
		}
	}
	return out
}

// published is that n records are there of what this test published.
func published(n int) func([]logged) bool {
	return func(all []logged) bool {
		return len(slices.DeleteFunc(slices.Clone(all), func(l logged) bool { return l.record.Source != "test" && l.record.Source != "rescind:api" })) >= n
	}
}

type logged struct {
	index  uint64
	record *events.Record
	sealed []byte
}

// plenty is n plain events of a person.
func plenty(p seal.Person, n int) []events.Event {
	out := make([]events.Event, n)
	for i := range out {
		out[i] = events.Event{Type: events.TokenIssued, Tenant: p.Tenant, Data: events.Data{
			Issuer: p.Issuer, Subject: p.Subject, TokenID: fmt.Sprint("jti-", p.Subject, i), Algorithm: "ES256", KeyID: "k", IP: "192.0.2.7",
		}}
	}
	return out
}

// meet publishes plain events of a person and returns once they are on the log.
func (h *house) meet(p seal.Person, n int) {
	h.t.Helper()
	h.kit.Publish(plenty(p, n)...)
	h.eventually("the person is known", func() error {
		key, err := h.kit.Keyring.Lookup(h.t.Context(), p)
		if err != nil || key.Erased {
			return fmt.Errorf("erased %t: %w", key.Erased, err)
		}
		parts, err := h.cfg.Archive.Select(h.t.Context(), export.Selection{Tenant: p.Tenant, Person: key.Ref, Relation: export.OfPerson, End: 1 << 40, Limit: 1000})
		if err == nil && len(parts) < n {
			err = fmt.Errorf("%d of %d events", len(parts), n)
		}
		return err
	})
}

func (h *house) eventually(what string, holds func() error) {
	h.t.Helper()
	lanetest.Eventually(h.t, what, holds)
}

// containsWord reports whether a list of words has one.
func containsWord(list, word string) bool { return slices.Contains(strings.Fields(list), word) }
