package query_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/envelope/envelopetest"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/history"
	"github.com/rescindhq/rescind/query/hold"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/receipt"
	"github.com/rescindhq/rescind/revocation"
)

const (
	testIssuer   = "https://tokens.test"
	testAudience = "rescind"
	testKeyID    = "k1"
)

// parts stands in for everything behind the API, in tests of what the API does
// by itself.
type parts struct {
	mu         sync.Mutex
	published  []events.Event
	quarantine []stream.Quarantined
	rows       []query.Row
	sealed     map[uint64][]byte
	opened     []seal.OpenRequest
	searches   []query.Search
	findings   []query.FindingSearch
	publishErr error
	position   uint64
	decision   revocation.Decision
	asked      revocation.Claims
	handlers   []func(lane.Entry)
	panics     bool
	stream     func(http.ResponseWriter, *http.Request, time.Time) error
	keysAsked  []revocation.KeysRequest

	hits         query.Hits
	hitsErr      error
	refused      uint64
	refusedErr   error
	hitSearches  []query.HitSearch
	leaks        query.LeakPage
	leakSearches []query.LeakSearch
	sealing      *envelopetest.Keys // nil: there is no key
	moment       history.Moment
	pastErr      error
}

func (p *parts) Publish(_ context.Context, evs ...events.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.panics {
		panic("a secret value")
	}
	if p.publishErr != nil {
		return p.publishErr
	}
	p.published = append(p.published, evs...)
	return nil
}

func (p *parts) Handle(fn func(lane.Entry)) { p.handlers = append(p.handlers, fn) }

func (p *parts) Wait(ctx context.Context, _ events.Ref) (uint64, error) {
	if p.position == 0 {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return p.position, nil
}

func (p *parts) Search(_ context.Context, s query.Search) ([]query.Row, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.panics {
		panic("a secret value")
	}
	p.searches = append(p.searches, s)
	var out []query.Row
	for _, r := range p.rows {
		if s.ID != "" && r.Record.ID != s.ID || !s.Lifts.IsZero() && (r.Record.Revocation == nil || r.Record.Revocation.Lifts != s.Lifts) {
			continue
		}
		if r.Shard == s.Shard && (s.AllTenants || r.Record.Tenant == s.Tenant) && (s.After == nil || r.Index > *s.After) && len(out) < s.Limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (p *parts) Count(_ context.Context, _ query.Search) (uint64, error) {
	return uint64(len(p.rows)), nil
}

func (p *parts) Issuers(context.Context, string, uint16, int) ([]string, error) {
	return []string{"i"}, nil
}

func (p *parts) Event(_ context.Context, tenant string, shard uint16, index uint64) (query.Row, error) {
	for _, r := range p.rows {
		if r.Shard == shard && r.Index == index && (tenant == "" || tenant == r.Record.Tenant) {
			return r, nil
		}
	}
	return query.Row{}, query.ErrNotFound
}

func (p *parts) Sealed(_ context.Context, _ string, _ uint16, indices []uint64, _ []events.Ref) (map[uint64][]byte, error) {
	out := map[uint64][]byte{}
	for _, i := range indices {
		if b := p.sealed[i]; b != nil {
			out[i] = b
		}
	}
	return out, nil
}

func (p *parts) Findings(_ context.Context, s query.FindingSearch) ([]query.Finding, error) {
	p.findings = append(p.findings, s)
	of := []string{s.Tenant}
	if s.AllTenants {
		of = []string{"globex", "acme"}
	}
	var out []query.Finding
	for _, t := range of {
		out = append(out, query.Finding{ID: "f-" + t, Tenant: t, Index: uint64(len(t)), State: query.FindingOpen})
	}
	return out, nil
}

func (p *parts) Lookup(_ context.Context, who seal.Person) (seal.SubjectKey, error) {
	switch who.Subject {
	case "known-subject":
		return seal.SubjectKey{Ref: events.Ref{1}, Generation: 1}, nil
	case "erased-subject":
		return seal.SubjectKey{Erased: true}, nil
	default:
		return seal.SubjectKey{}, seal.ErrNotFound
	}
}

func (p *parts) LookupTenant(context.Context, string) (*seal.Tenant, error) {
	return nil, seal.ErrNotFound
}

func (p *parts) TenantKey(context.Context, string) (seal.SubjectKey, error) {
	return seal.SubjectKey{}, errors.New("not reached")
}

func (p *parts) Open(_ context.Context, r seal.OpenRequest) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = append(p.opened, r)
	personal := events.Personal{Subject: "known-subject"}
	return personal.Marshal()
}

func (p *parts) Published(ctx context.Context) (envelope.Set, error) {
	if p.sealing == nil {
		return envelope.Set{Now: time.Now()}, nil
	}
	return p.sealing.Set(ctx)
}

func (p *parts) FindIntakeKeys(_ context.Context, ids ...string) (map[string]envelope.PrivateKey, error) {
	found := map[string]envelope.PrivateKey{}
	for _, id := range ids {
		if p.sealing != nil && p.sealing.Private.ID == id {
			found[id] = p.sealing.Private
		}
	}
	return found, nil
}

func (p *parts) Decide(c revocation.Claims) revocation.Decision {
	p.asked = c
	return p.decision
}

func (p *parts) Hits(ctx context.Context, s query.HitSearch) (query.Hits, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hitSearches = append(p.hitSearches, s)
	if p.hitsErr != nil {
		return query.Hits{}, p.hitsErr
	}
	return p.hits, nil
}

func (p *parts) Reach(ctx context.Context, s query.HitSearch, limit uint64) (uint64, error) {
	h, err := p.Hits(ctx, s)
	return min(h.Reach, limit), err
}

func (p *parts) Refused(ctx context.Context, s query.HitSearch, _ uint64) (uint64, error) {
	return p.refused, p.refusedErr
}

func (p *parts) Leaks(_ context.Context, s query.LeakSearch) (query.LeakPage, error) {
	p.leakSearches = append(p.leakSearches, s)
	return p.leaks, nil
}

// past is the history of parts.
type past struct{ *parts }

func (p past) Decide(_ context.Context, c revocation.Claims, at history.Moment) (revocation.Decision, history.Moment, error) {
	p.asked, p.moment = c, at
	if at.Time.IsZero() {
		at.Time = time.Unix(1_700_000_000, 0)
	}
	return p.decision, at, p.pastErr
}

func (p *parts) Put(_ context.Context, q stream.Quarantined) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	q.Seq = uint64(len(p.quarantine) + 1)
	p.quarantine = append(p.quarantine, q)
	return nil
}

func (p *parts) List(_ context.Context, after uint64, limit int) ([]stream.Quarantined, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.quarantine[min(int(after), len(p.quarantine)):]
	return left[:min(limit, len(left))], nil
}

func (p *parts) Get(_ context.Context, seq uint64) (stream.Quarantined, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if seq == 0 || seq > uint64(len(p.quarantine)) {
		return stream.Quarantined{}, stream.ErrNotFound
	}
	return p.quarantine[seq-1], nil
}

func (p *parts) Replayed(context.Context, stream.Quarantined) (stream.Replay, error) {
	return stream.Replay{}, nil
}

func (p *parts) Replay(context.Context, stream.Quarantined, stream.Payload, string, time.Time) (stream.Replay, error) {
	return stream.Replay{}, errors.New("not reached")
}

func (p *parts) Stream(w http.ResponseWriter, r *http.Request, until time.Time) error {
	if p.stream == nil {
		return errors.New("not reached")
	}
	return p.stream(w, r, until)
}

func (p *parts) Snapshot(w http.ResponseWriter, r *http.Request) error {
	return p.Stream(w, r, time.Time{})
}

func (p *parts) Keys(_ context.Context, r revocation.KeysRequest) (body, signature []byte, err error) {
	p.keysAsked = append(p.keysAsked, r)
	return []byte(`{"keys":[],"time":1}`), []byte("signature"), nil
}

// requests is a workflow without requests.
type requests struct{}

func (requests) Receive(context.Context, erasure.Input) (erasure.Request, bool, error) {
	return erasure.Request{}, false, erasure.ErrPending
}

func (requests) AskFor(context.Context, erasure.Input, erasure.Ask) (erasure.Request, erasure.Asked, error) {
	return erasure.Request{}, erasure.Asked{}, erasure.ErrPending
}

func (requests) FindAsk(context.Context, string, string, string) (erasure.Request, erasure.Asked, error) {
	return erasure.Request{}, erasure.Asked{}, erasure.ErrNotFound
}

func (requests) Withdraw(context.Context, string, string, string) (erasure.Request, erasure.Asked, error) {
	return erasure.Request{}, erasure.Asked{}, erasure.ErrNotFound
}

func (requests) Act(context.Context, erasure.Act) (erasure.Request, error) {
	return erasure.Request{}, erasure.ErrNotFound
}

func (requests) Lift(context.Context, erasure.Act) (erasure.Request, error) {
	return erasure.Request{}, erasure.ErrNotFound
}

func (requests) OpenHeld(context.Context, uint16, uint64, *events.Record, []byte) ([]byte, string, error) {
	return nil, "", seal.ErrDestroyed
}

func (requests) PlaceHold(context.Context, erasure.HoldInput) (hold.Hold, error) {
	return hold.Hold{}, erasure.ErrPending
}

func (requests) ReleaseHold(context.Context, erasure.HoldRelease) (hold.Hold, error) {
	return hold.Hold{}, hold.ErrNotFound
}

func (requests) GetHold(string, func(string) bool) (hold.Hold, error) {
	return hold.Hold{}, hold.ErrNotFound
}

func (requests) Settle(context.Context, erasure.Settlement) (erasure.Request, error) {
	return erasure.Request{}, erasure.ErrNotFound
}

func (requests) Attempts(context.Context, *erasure.Request) (map[string]erasure.Tried, error) {
	return nil, nil
}

func (requests) ListHolds(func(string) bool, bool) []hold.Hold { return nil }

func (requests) Renew(context.Context, erasure.Renewal) (erasure.Renewed, error) {
	return erasure.Renewed{}, seal.ErrNotFound
}

func (requests) Restrictions(context.Context, string, []events.Ref) (map[events.Ref]string, error) {
	return nil, nil
}

func (requests) Export(string, func(string) bool) (stream.ExportPlace, error) {
	return stream.ExportPlace{}, erasure.ErrNotFound
}

func (requests) Get(string, func(string) bool) (erasure.Request, error) {
	return erasure.Request{}, erasure.ErrNotFound
}

func (requests) List(erasure.Filter) []erasure.Request { return nil }

func (requests) Receipt(context.Context, string, func(string) bool) (receipt.JWS, error) {
	return receipt.JWS{}, erasure.ErrNotFound
}

func (requests) ReceiptKeys(context.Context) ([]receipt.Key, error) { return nil, nil }

// api is an API under test, and who calls it.
type api struct {
	t    testing.TB
	url  string
	web  *http.Client
	key  crypto.Signer
	spec *spec
	logs *syncBuffer
}

// syncBuffer is a buffer that many may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// config is a configuration over p.
func (p *parts) config() query.Config {
	return query.Config{
		Policy: events.Policy{Environment: "test"}, Publisher: p, Lane: p, Events: p, Findings: p, Reach: p, History: past{p}, Keyring: p, IntakeKeys: p,
		Decider: p, Requests: requests{}, Quarantine: p, Feed: p, WaitFor: 50 * time.Millisecond,
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serve serves cfg until the test ends.
func serve(t testing.TB, cfg query.Config) *api {
	t.Helper()
	return serveWithin(t, cfg, 0)
}

// serveWithin serves by a server that has so long for a request and its answer.
func serveWithin(t testing.TB, cfg query.Config, limit time.Duration) *api {
	t.Helper()
	key := newKey(t)
	a := &api{t: t, key: key, spec: loadSpec(t), logs: new(syncBuffer)}
	cfg.Auth.Issuer, cfg.Auth.Audience = testIssuer, testAudience
	cfg.Auth.Keys = append(cfg.Auth.Keys, query.Key{ID: testKeyID, Public: key.Public()})
	cfg.Logger = slog.New(slog.NewTextHandler(a.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := query.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s.Handler())
	server.Config.ReadTimeout, server.Config.WriteTimeout = limit, limit
	server.Start()
	t.Cleanup(server.Close)
	a.url, a.web = server.URL, server.Client()
	return a
}

// token is an access token of role for the tenants.
func (a *api) token(role string, tenants ...string) string {
	a.t.Helper()
	raw, err := query.Mint(query.MintConfig{
		Key: a.key, KeyID: testKeyID, Issuer: testIssuer, Audience: testAudience, Subject: role + "-1", Role: role,
		Tenants: tenants, TTL: time.Minute,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return raw
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (r answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
}

func (r answer) problem(t testing.TB) query.Problem {
	t.Helper()
	var p query.Problem
	r.into(t, &p)
	return p
}

// call sends body, a string as it is and all else as JSON, and holds the
// answer to the specification.
func (a *api) call(token, method, path string, body any, headers ...string) answer {
	a.t.Helper()
	var raw []byte
	switch b := body.(type) {
	case nil:
	case string:
		raw = []byte(b)
	default:
		var err error
		if raw, err = json.Marshal(b); err != nil {
			a.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, bytes.NewReader(raw))
	if err != nil {
		a.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return a.do(req)
}

func (a *api) do(req *http.Request) answer {
	a.t.Helper()
	resp, err := a.web.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	op := a.spec.find(a.t, req.Method, req.URL.Path)
	if req.Method != http.MethodHead { // it has no body
		a.spec.checkAnswer(a.t, op, resp.StatusCode, resp.Header.Get("Content-Type"), b)
	}
	cached := "no-store"
	if resp.StatusCode == http.StatusOK && req.URL.Path == "/v1/keys/intake" { // public by nature
		cached = "public, max-age=300"
	}
	if got := resp.Header.Get("Cache-Control"); got != cached {
		a.t.Errorf("%s %s: Cache-Control %q", req.Method, req.URL.Path, got)
	}
	return answer{resp.StatusCode, resp.Header, b}
}

// want fails the test where the status is another.
func (r answer) want(t testing.TB, status int) answer {
	t.Helper()
	if r.status != status {
		t.Fatalf("got status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}
