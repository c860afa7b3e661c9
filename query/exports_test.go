package query_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/store"
)

// unrecording does not take what says that something was exported, while that is
// set: by the publisher, or by the log.
type unrecording struct {
	query.Publisher
	query.Lane
	publisher, log atomic.Bool
	last           atomic.Value // ref of the last one that was published

	// next is what the next one waits in, before it is published.
	next atomic.Pointer[gate]
}

// gate is where something waits until it may go on.
type gate struct{ there, open chan struct{} }

func (u *unrecording) Publish(ctx context.Context, evs ...events.Event) error {
	for _, ev := range evs {
		if ev.Type != events.AuditExported {
			continue
		}
		if u.publisher.Load() {
			return errors.New("injected")
		}
		u.last.Store(events.EventRef(ev.Tenant, ev.Source, ev.ID))
		if g := u.next.Swap(nil); g != nil {
			close(g.there)
			<-g.open
		}
	}
	return u.Publisher.Publish(ctx, evs...)
}

func (u *unrecording) Wait(ctx context.Context, ref events.Ref) (uint64, error) {
	if u.log.Load() && u.last.Load() == ref {
		return 0, context.DeadlineExceeded
	}
	return u.Lane.Wait(ctx, ref)
}

// desk is a house in which exports are handed out.
type desk struct {
	*house
	t   *testing.T
	not *unrecording
}

func openDesk(t *testing.T, shares ...query.Shares) *desk {
	t.Helper()
	d := &desk{t: t, not: new(unrecording)}
	d.house = build(t, func(c *query.Config) {
		d.not.Publisher, d.not.Lane = c.Publisher, c.Lane
		c.Publisher, c.Lane = d.not, d.not
		for _, each := range shares {
			c.Shares = each
		}
	})
	return d
}

// answered is a request of alice's, completed.
func (d *desk) answered(kind string) query.SubjectRequest {
	d.t.Helper()
	var r query.SubjectRequest
	d.post("handler", "/v1/requests", request(kind, alice), http.StatusCreated, &r)
	return d.settle(d.t, r.ID, erasure.Completed)
}

func (d *desk) issue(id string, body any) (l query.ExportLink) {
	d.t.Helper()
	d.post("handler", "/v1/requests/"+id+"/export", body, http.StatusCreated, &l)
	return l
}

func (d *desk) get(link string) answer {
	d.t.Helper()
	return d.call("", "GET", link, nil)
}

// exported is the events that say so, of a step.
func (d *desk) exported(step string, n int) []query.AuditEvent {
	d.t.Helper()
	all := d.search(map[string]any{"tenant": "acme", "type": "audit.exported"}, n).Events
	return slices.DeleteFunc(all, func(e query.AuditEvent) bool { return e.Attributes["step"] != step })
}

// TestExportsOverHTTP: an approved access is answered with a file that only its
// link and passphrase open, once each is on the log.
func TestExportsOverHTTP(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	ref := d.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1).Events[0].SubjectRef
	d.search(map[string]any{"tenant": "acme", "issuer": "https://id.acme", "jti": "j-1", "open": true, "purpose": "case 42"}, 1)
	d.search(map[string]any{"tenant": "acme", "type": "audit.accessed"}, 1)
	var open query.SubjectRequest
	d.post("handler", "/v1/requests", request("portability", alice), http.StatusCreated, &open)
	d.post("handler", "/v1/requests/"+open.ID+"/export", nil, http.StatusConflict, nil)

	r := d.answered("access")
	if r.Outcome != "exported" || r.ExportUntil.IsZero() {
		t.Fatalf("%+v", r)
	}
	path := "/v1/requests/" + r.ID + "/export"
	for _, role := range []string{"admin", "officer", "approver", "issuer", "verifier"} {
		d.post(role, path, nil, http.StatusForbidden, nil)
	}
	d.call(d.token("handler", "globex"), "POST", path, nil).want(t, http.StatusNotFound)
	d.post("handler", path, map[string]any{"to": "age1nobody"}, http.StatusUnprocessableEntity, nil)
	l := d.issue(r.ID, nil)
	got := d.get(l.Link).want(t, http.StatusOK)
	if got.header.Get("Content-Length") != fmt.Sprint(l.Bytes) || int64(len(got.body)) != l.Bytes {
		t.Errorf("%d of %d bytes, announced %s", len(got.body), l.Bytes, got.header.Get("Content-Length"))
	}
	d.wantMine(got.body, l.Passphrase)
	for step, actor := range map[string]string{"link": "handler-1", "download": "rescind:link"} {
		e := d.exported(step, 2)
		if len(e) != 1 || e[0].Actor != actor || e[0].SubjectRef != ref || e[0].Attributes["request"] != r.ID {
			t.Errorf("%s: %+v", step, e)
		}
	}
	second := d.issue(r.ID, nil)
	d.wantNowhere(r, l.Link, second)
	d.post("handler", "/v1/requests/"+open.ID+"/cancel", nil, http.StatusOK, nil)
	d.answered("erasure")
	d.wantNowhere(r, second.Link, query.ExportLink{})
	d.post("handler", path, nil, http.StatusNotFound, nil)
	for what, value := range map[string]string{"subject": alice, "passphrase": l.Passphrase, "link": l.Link, "secret": l.Link[strings.LastIndex(l.Link, "/")+1:]} {
		if strings.Contains(d.logs.String(), value) {
			t.Errorf("the %s is in our log", what)
		}
	}
}

// wantMine opens an export and looks for what alice is to find in it: also that
// somebody who did not ask for them opened theirs.
func (d *desk) wantMine(sealed []byte, passphrase string) {
	d.t.Helper()
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		d.t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		d.t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(plain), int64(len(plain)))
	if err != nil {
		d.t.Fatal(err)
	}
	f, err := z.Open("events/00001.json")
	if err != nil {
		d.t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, want := range []string{`"sub": "` + alice + `"`, `"jti": "j-1"`, `"relation": "reading"`, `"purpose": "case 42"`, `"actor": "staff or issuer"`} {
		if !strings.Contains(string(b), want) {
			d.t.Errorf("%s is not in the export", want)
		}
	}
	if strings.Contains(string(b), "officer-1") || strings.Contains(string(b), `"people`) {
		d.t.Error("who else was concerned is in the export")
	}
}

// wantNowhere: a link that ended, is wrong, or is another's gets the same answer
// as one that never was.
func (d *desk) wantNowhere(r query.SubjectRequest, ended string, living query.ExportLink) {
	d.t.Helper()
	secret := ended[strings.LastIndex(ended, "/")+1:]
	links := map[string]string{
		"ended": ended, "wrong": "/v1/exports/acme/" + r.ID + "/" + strings.Repeat("A", 43), "short": "/v1/exports/acme/" + r.ID + "/x",
		"no such request": "/v1/exports/acme/00000000-0000-0000-0000-000000000000/" + secret, "no such tenant": "/v1/exports/nobody/" + r.ID + "/" + secret,
	}
	if living.Link != "" {
		links["another tenant"] = strings.Replace(living.Link, "/acme/", "/globex/", 1)
		d.get(living.Link).want(d.t, http.StatusOK)
	}
	var first string
	for what, link := range links {
		got := d.get(link).want(d.t, http.StatusNotFound)
		var body map[string]any
		got.into(d.t, &body)
		delete(body, "instance")
		got.header.Del("X-Request-Id")
		got.header.Del("Date")
		got.header.Del("Content-Length") // the instance's
		b, err := json.Marshal([]any{body, got.header})
		if err != nil {
			d.t.Fatal(err)
		}
		if first == "" {
			first = string(b)
		}
		if diff := cmp.Diff(first, string(b)); diff != "" {
			d.t.Errorf("%s: %s", what, diff)
		}
	}
}

// TestE20NothingIsExportedUnrecorded: where the record cannot be published, or is not
// on the log, there is neither a link nor a byte of the export.
func TestE20NothingIsExportedUnrecorded(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	d.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1)
	r := d.answered("portability")
	l := d.issue(r.ID, nil)
	for _, broken := range []*atomic.Bool{&d.not.publisher, &d.not.log} {
		broken.Store(true)
		for _, got := range []answer{d.get(l.Link), d.call(d.token("handler", "acme"), "POST", "/v1/requests/"+r.ID+"/export", nil)} {
			if p := got.want(t, http.StatusServiceUnavailable).problem(t); p.Type != "urn:rescind:problem:audit-missing" || bytes.Contains(got.body, []byte("age-")) {
				t.Errorf("%+v", p)
			}
		}
		broken.Store(false)
	}
	d.get(l.Link).want(t, http.StatusOK)
	d.lasts(l)
}

// begun is a download that waits to be recorded, until goOn is called.
func (d *desk) begun(link string) (goOn func(), answered <-chan answer) {
	d.t.Helper()
	g := &gate{make(chan struct{}), make(chan struct{})}
	goOn = sync.OnceFunc(func() { close(g.open) })
	d.t.Cleanup(goOn)
	d.not.next.Store(g)
	out := make(chan answer, 1)
	go func() {
		defer close(out)
		resp, err := d.web.Get(d.url + link)
		if err != nil {
			d.t.Error(err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			d.t.Error(err)
		}
		out <- answer{resp.StatusCode, resp.Header, body}
	}()
	<-g.there
	return goOn, out
}

// TestALinkThatEndsWhileItIsRecorded leads nowhere any more: neither another link nor
// that the person is forgotten waits for the record of a download.
func TestALinkThatEndsWhileItIsRecorded(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	d.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1)
	r := d.answered("portability")
	link := d.issue(r.ID, nil)
	goOn, answered := d.begun(link.Link)
	second := d.issue(r.ID, nil)
	goOn()
	(<-answered).want(t, http.StatusNotFound)
	d.get(second.Link).want(t, http.StatusOK)
	goOn, answered = d.begun(second.Link)
	d.answered("erasure")
	goOn()
	(<-answered).want(t, http.StatusNotFound)
}

// TestSharesOfAnExport: who has a link does not take all of what is sent at once.
func TestSharesOfAnExport(t *testing.T) {
	t.Parallel()
	d := openDesk(t, query.Shares{Downloads: 1})
	d.post("issuer", "/v1/events", issued("j-1"), http.StatusAccepted, nil)
	d.search(map[string]any{"tenant": "acme", "type": "token.issued"}, 1)
	one, other := d.answered("portability"), d.answered("access")
	link, others := d.issue(one.ID, nil), d.issue(other.ID, nil)
	goOn, answered := d.begun(link.Link)
	if got := d.get(link.Link).want(t, http.StatusTooManyRequests); got.problem(t).Type != "urn:rescind:problem:share" {
		t.Errorf("%s", got.body)
	}
	d.get(others.Link).want(t, http.StatusOK)
	goOn()
	(<-answered).want(t, http.StatusOK)
	d.get(link.Link).want(t, http.StatusOK)
}

// slow is a store that takes longer for the bytes of an export than a server
// gives a request.
type slow struct{ export.Store }

const serverTimeout = time.Second

func (s slow) Get(ctx context.Context, p stream.ExportPlace, part string) ([]byte, error) {
	if part == stream.ExportChunk(0) {
		select {
		case <-time.After(2 * serverTimeout):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Store.Get(ctx, p, part)
}

// deaf is a lane that runs already.
type deaf struct{ query.Lane }

func (deaf) Handle(func(lane.Entry)) {}

// lasts fetches an export that takes longer than what the server has for a
// request and its answer.
func (d *desk) lasts(l query.ExportLink) {
	d.t.Helper()
	cfg := d.cfg
	office, err := export.New(export.Config{Archive: &store.Archive{Store: d.store}, Keyring: d.kit.Keyring, Store: slow{stream.NewExports(d.kit.JS)}})
	if err != nil {
		d.t.Fatal(err)
	}
	cfg.Exports, cfg.Lane = office, deaf{cfg.Lane}
	cfg.Auth = query.AuthConfig{Issuer: testIssuer, Audience: testAudience, Keys: []query.Key{{ID: testKeyID, Public: d.key.Public()}}}
	s, err := query.New(cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s.Handler())
	server.Config.ReadTimeout, server.Config.WriteTimeout = serverTimeout, serverTimeout
	server.Start()
	defer server.Close()
	resp, err := server.Client().Get(server.URL + l.Link)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || int64(len(b)) != l.Bytes {
		d.t.Errorf("status %d, %d of %d bytes: %v", resp.StatusCode, len(b), l.Bytes, err)
	}
}
