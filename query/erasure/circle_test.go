package erasure_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/recipient"
)

// receiver is a recipient: a real server that verifies what it gets, opens it
// and answers in turn, the last answer for ever.
type receiver struct {
	t       *testing.T
	id      string
	server  *httptest.Server
	private envelope.PrivateKey
	signer  ed25519.PublicKey
	answers []http.HandlerFunc

	mu  sync.Mutex
	got []erasure.Notice
}

// The answers of receivers.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func hangsUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func redirects(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/elsewhere", http.StatusPermanentRedirect)
}

func floods(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusServiceUnavailable)
	for range 1 << 12 {
		if _, err := w.Write(make([]byte, 1<<16)); err != nil {
			return
		}
	}
}

func (c *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	m, err := callback.Verify(r.Header, c.server.URL+"/rescind", body, map[string]ed25519.PublicKey{callback.KeyID(c.signer): c.signer}, time.Now())
	if err != nil || m.Kind != erasure.KindNotice {
		c.t.Errorf("%s: %+v %v", c.id, m, err)
		return
	}
	var n erasure.Notice
	sealed, err := envelope.Parse(body)
	if err == nil {
		var plain []byte
		if plain, err = sealed.Open(c.private); err == nil {
			err = json.Unmarshal(plain, &n)
		}
	}
	if err != nil || n.ID != m.ID {
		c.t.Errorf("%s: %+v %v", c.id, n, err)
	}
	c.mu.Lock()
	c.got = append(c.got, n)
	answer := c.answers[min(len(c.got), len(c.answers))-1]
	c.mu.Unlock()
	answer(w, r)
}

func (c *receiver) notices() []erasure.Notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// circle is those to whom things are disclosed.
type circle struct {
	t       *testing.T
	key     ed25519.PrivateKey
	by      map[string]*receiver
	file    strings.Builder
	sender  *callback.Sender
	patient callback.Posts        // for who is to hang for long
	refusal atomic.Pointer[error] // of the archive
	archive erasure.Disclosures
}

func newCircle(t *testing.T) *circle {
	t.Helper()
	c := &circle{t: t, key: ed25519.NewKeyFromSeed(make([]byte, 32)), by: map[string]*receiver{}}
	c.file.WriteString("own: [own]\nrecipients:\n")
	var err error
	sending := callback.Config{Key: c.key, Timeout: 3 * time.Second, Insecure: true, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	if c.sender, err = callback.New(sending); err != nil {
		t.Fatal(err)
	}
	sending.Timeout = time.Minute
	if c.patient, err = callback.New(sending); err != nil {
		t.Fatal(err)
	}
	return c
}

// Send sends to who is to hang for long, and to everybody else.
func (c *circle) Send(ctx context.Context, m callback.Message) (callback.Answer, error) {
	if s := c.by["stuck"]; s != nil && m.URL == s.server.URL+"/rescind" {
		return c.patient.Send(ctx, m)
	}
	return c.sender.Send(ctx, m)
}

// add adds a recipient whose audience is its id. Without answers it has no URL.
func (c *circle) add(id string, answers ...http.HandlerFunc) *receiver {
	c.t.Helper()
	fmt.Fprintf(&c.file, "  - {id: %s, audiences: [%s], contact: x", id, id)
	r := &receiver{t: c.t, id: id, signer: c.key.Public().(ed25519.PublicKey), answers: answers}
	if len(answers) > 0 {
		r.server = httptest.NewServer(r)
		c.t.Cleanup(r.server.Close)
		fmt.Fprintf(&c.file, ", url: %s/rescind, key: {kty: EC, crv: P-256, %s}", r.server.URL, r.makeKey())
	}
	c.file.WriteString("}\n")
	c.by[id] = r
	return r
}

func (c *receiver) makeKey() string {
	now := time.Now()
	var err error
	if c.private, err = envelope.Generate(now, now.Add(time.Hour)); err != nil {
		c.t.Fatal(err)
	}
	b, err := json.Marshal(envelope.Set{Keys: []envelope.PublicKey{c.private.PublicKey}, Now: now})
	if err != nil {
		c.t.Fatal(err)
	}
	var set struct{ Keys []struct{ X, Y string } }
	if err := json.Unmarshal(b, &set); err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("x: %s, y: %s", set.Keys[0].X, set.Keys[0].Y)
}

func (c *circle) Disclosed(ctx context.Context, tenant string, shard uint16, person events.Ref) (recipient.Disclosed, error) {
	if err := c.refusal.Load(); err != nil {
		return recipient.Disclosed{}, *err
	}
	return c.archive.Disclosed(ctx, tenant, shard, person)
}

// notifying is the configuration of one process of h.
func (c *circle) notifying(h *house) *erasure.Notifying {
	c.t.Helper()
	g, err := recipient.Parse([]byte(c.file.String()), c.sender.Check)
	if err != nil {
		c.t.Fatal(err)
	}
	c.archive = h.archive
	return &erasure.Notifying{Registry: g, Disclosures: c, Outbox: stream.NewOutbox(h.kit.JS), Sender: c, First: 5 * time.Millisecond, Most: 20 * time.Millisecond}
}
