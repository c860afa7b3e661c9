package erasure

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// receiver is where somebody is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []told
	answer func(told) int // default 202
}

type told struct {
	Path, Kind, Key string
	said
}

type said struct {
	ID    string
	State State
}

func listen(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewTLSServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	b, _ := io.ReadAll(req.Body)
	m := told{Path: req.URL.Path, Kind: req.Header.Get("Rescind-Kind"), Key: req.Header.Get("Idempotency-Key")}
	_ = json.Unmarshal(b, &m.said)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, m)
	if r.answer != nil {
		w.WriteHeader(r.answer(m))
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// states is what path was told, in order, without what was repeated.
func (r *receiver) states(path string) (out []State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.got {
		if m.Path == path {
			out = append(out, m.State)
		}
	}
	return slices.Compact(out)
}

// calls is how often it was called.
func (r *receiver) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// telling has an office tell r.
func telling(t *testing.T, kit *lanetest.Kit, r *receiver) func(*Config) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(r.Certificate())
	sender, err := callback.New(callback.Config{Key: key, Roots: roots, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) {
		c.Held = stream.NewHeld(kit.JS)
		c.Telling = &Telling{Posts: sender, Retry: 5 * time.Millisecond, Most: 20 * time.Millisecond,
			Message: func(r *Request, s Step, id, url string) (callback.Message, error) {
				b, err := json.Marshal(said{id, s.State})
				return callback.Message{Kind: "test.status", Body: b}, err
			}}
	}
}

// askFor asks, and fails the test where that cannot be done.
func (o *office) askFor(in Input, a Ask) (Request, Asked) {
	o.t.Helper()
	r, got, err := o.AskFor(o.t.Context(), in, a)
	if err != nil {
		o.t.Fatal(err)
	}
	return r, got
}

// answers is what telling came to, by URL, as the log says.
func (o *office) answers(n string) (out []string) {
	for _, e := range o.of(events.RequestReported) {
		if e.Record.Attributes[attrCallback] == n {
			out = append(out, e.Record.Attributes[attrAnswer])
		}
	}
	return out
}

// wantNoTarget checks that nothing can say any more where a is told.
func (o *office) wantNoTarget(r *Request, a *Asked) {
	o.t.Helper()
	if _, err := o.kit.Keyring.HoldKey(o.t.Context(), r.Tenant, a.Ref); !errors.Is(err, seal.ErrDestroyed) {
		o.t.Errorf("the key of the callbacks: %v", err)
	}
	if _, err := o.cfg.Held.Get(o.t.Context(), a.place(r)); !errors.Is(err, stream.ErrNotFound) {
		o.t.Errorf("the sealed callbacks: %v", err)
	}
}

// TestReported: whoever asked is told of each step, once it is on the log, also
// of those behind the erasure; then nobody knows where they were told.
func TestReported(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	hears := listen(t)
	book := openLedger(t, t.TempDir())
	change := func(c *Config) { telling(t, kit, hears)(c); c.Ledger = book }
	o := open(t, kit, change)
	stop := kit.Run(o.Run)
	r, a := o.askFor(input("alice"), ask("agent", "id-1", "erase alice", hears.URL+"/a?who=alice", hears.URL+"/b"))
	_, b := o.askFor(input("alice"), ask("another", "id-9", "erase alice", hears.URL+"/c"))
	o.act(r.ID, Verified, "handler")
	o.act(r.ID, Approved, "approver")
	r = o.until(r.ID, Completed)
	want := []State{Verified, Approved, Executing, Completed}
	for _, path := range []string{"/a", "/b", "/c"} {
		o.eventually(func() bool { return slices.Equal(hears.states(path), want) })
	}
	o.eventually(func() bool { return len(o.of(events.RequestReported)) == 3*len(want) })
	o.wantNoTarget(&r, &a)
	o.wantNoTarget(&r, &b)
	if keys := enteredKeys(t, book); !slices.Contains(keys, a.Ref) || !slices.Contains(keys, b.Ref) {
		t.Errorf("a restored keyring may bring back where they were told: in the ledger is %v", keys)
	}
	if m := hears.got[0]; m.Kind != "test.status" || !strings.HasPrefix(m.Key, `"callback-`) || m.ID != "id-1" && m.ID != "id-9" {
		t.Errorf("%+v", m)
	}
	for _, e := range append(o.of(events.RequestReported), o.of(events.RequestReceived)...) {
		for _, v := range e.Record.Attributes {
			if strings.Contains(v, "id-") || strings.Contains(v, "http") || strings.Contains(v, "agent") {
				t.Errorf("the log says %q", v)
			}
		}
	}

	stop()
	heard := len(hears.got)
	o = open(t, kit, change)
	kit.Run(o.Run)
	r = o.until(o.approved("bob").ID, Completed)
	if o.called() != 0 || len(hears.got) != heard {
		t.Errorf("%d requests are told of after a restart, and %d messages came", o.called(), len(hears.got)-heard)
	}
}

func (w *Workflow) called() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return len(w.book.called)
}

// TestReceiverFails: what did not arrive is tried again under the same id, until
// there is something newer or it took too long.
func TestReceiverFails(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "known")
	hears := listen(t)
	keys := map[string]bool{}
	hears.answer = func(m told) int {
		failed := keys[m.Key]
		keys[m.Key] = true
		switch {
		case m.Path == "/refuses":
			return http.StatusBadRequest
		case m.Path == "/late" && failed, m.Path == "/late" && m.State == Approved:
			return http.StatusOK
		default:
			return http.StatusServiceUnavailable
		}
	}
	o := open(t, kit, telling(t, kit, hears))
	in := input("alice")
	in.Type = Access // approved, and not carried out here
	r, _ := o.askFor(in, ask("agent", "id-1", "x", hears.URL+"/late", hears.URL+"/never", hears.URL+"/refuses"))
	stop := kit.Run(o.Run)
	o.act(r.ID, Verified, "handler")
	o.eventually(func() bool {
		return slices.Equal(o.answers("0"), []string{"accepted"}) && slices.Equal(o.answers("2"), []string{"refused"})
	})
	if len(o.answers("1")) != 0 {
		t.Errorf("given up at once: %v", o.answers("1"))
	}
	o.act(r.ID, Approved, "approver")
	o.eventually(func() bool { return slices.Equal(o.answers("1"), []string{answerOvertaken}) })
	stop()
	o.cfg.Telling.For = time.Nanosecond
	kit.Run(o.Run)
	o.eventually(func() bool { return slices.Equal(o.answers("1"), []string{answerOvertaken, answerGivenUp}) })
	o.eventually(func() bool { return slices.Equal(hears.states("/late"), []State{Verified, Approved}) })
}

// TestErasureEndsCallbacks: of what else was asked for the person nobody is told
// any more, and what was said of where is destroyed.
func TestErasureEndsCallbacks(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	hears := listen(t)
	book := openLedger(t, t.TempDir())
	o := open(t, kit, func(c *Config) { telling(t, kit, hears)(c); c.Ledger = book })
	in := input("alice")
	in.Type = Access
	access, a := o.askFor(in, ask("agent", "id-1", "x", hears.URL+"/access"))
	in.Subject = "bob"
	other, b := o.askFor(in, ask("agent", "id-2", "y", hears.URL+"/other"))
	if err := o.dropTargets(t.Context(), &access); err != nil {
		t.Fatal(err)
	}
	if _, err := o.target(t.Context(), &access, &a); err != nil {
		t.Errorf("of the request itself: %v", err)
	}
	r := o.approved("alice")
	kit.Run(o.Run)
	o.until(r.ID, Completed)
	o.wantNoTarget(&access, &a)
	if keys := enteredKeys(t, book); !slices.Equal(keys, []events.Ref{a.Ref}) {
		t.Errorf("in the ledger is %v, want %v", keys, a.Ref)
	}
	o.act(access.ID, Denied, "approver")
	o.eventually(func() bool { return slices.Equal(o.answers("0"), []string{answerGone}) })
	if got := hears.states("/access"); got != nil {
		t.Errorf("told of %v", got)
	}
	o.act(other.ID, Denied, "approver")
	o.eventually(func() bool { return slices.Equal(hears.states("/other"), []State{Denied}) })
	o.eventually(func() bool { return o.called() == 0 })
	o.wantNoTarget(&other, &b)
}

// TestForgottenIsToldToo: what is asked for somebody who was forgotten has its own
// answer.
func TestForgottenIsToldToo(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	hears := listen(t)
	o := open(t, kit, telling(t, kit, hears))
	kit.Run(o.Run)
	o.until(o.approved("alice").ID, Completed)
	r, a := o.askFor(input("alice"), ask("agent", "id-1", "x", hears.URL+"/again"))
	again, _ := o.askFor(input("alice"), ask("agent", "id-1", "x", hears.URL+"/again"))
	if again.ID != r.ID {
		t.Errorf("asked again, %s became %s", r.ID, again.ID)
	}
	if _, _, err := o.AskFor(t.Context(), input("bob"), ask("agent", "id-1", "y")); !errors.Is(err, ErrTaken) {
		t.Errorf("another request under the same id, after the erasure: %v", err)
	}
	o.act(r.ID, Verified, "handler")
	o.act(r.ID, Approved, "approver")
	if r = o.until(r.ID, Completed); r.Outcome != AlreadyErased {
		t.Errorf("outcome %s", r.Outcome)
	}
	o.eventually(func() bool { return slices.Equal(hears.states("/again"), []State{Verified, Approved, Completed}) })
	o.eventually(func() bool { return o.called() == 0 })
	o.wantNoTarget(&r, &a)
}

// TestStoppedBeforeTheLastReport: where somebody was told is destroyed before the log says
// that they were told the last of it. Whoever goes on after a stop in between says
// that it is not known any more, and calls nobody.
func TestStoppedBeforeTheLastReport(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	hears := listen(t)
	reporting := make(chan struct{})
	once := sync.OnceFunc(func() { close(reporting) })
	o := open(t, kit, func(c *Config) {
		telling(t, kit, hears)(c)
		c.Publisher = &faultyPublisher{c.Publisher, events.RequestReported, func() error { once(); return errors.New("injected") }, nil}
	})
	in := input("alice")
	in.Type = Access
	r, a := o.askFor(in, ask("agent", "id-1", "x", hears.URL+"/a"))
	stop := kit.Run(o.Run)
	o.act(r.ID, Denied, "approver") // the one step that they are told
	<-reporting
	stop()
	o.wantNoTarget(&r, &a)
	heard := hears.calls()
	o = open(t, kit, telling(t, kit, hears))
	kit.Run(o.Run)
	o.eventually(func() bool { return o.called() == 0 && len(o.of(events.RequestReported)) == 1 })
	if got := o.answers("0"); !slices.Equal(got, []string{answerGone}) || heard == 0 || hears.calls() != heard {
		t.Errorf("the log says %v; %d calls before the stop, %d after", got, heard, hears.calls()-heard)
	}
	o.wantNoTarget(&r, &a)
}

// TestNobodyIsCalledWithoutTheLock: whose lock is lost calls nobody any more, and does not
// wait for an answer that is still to come.
func TestNobodyIsCalledWithoutTheLock(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	hears := listen(t)
	hangs, letGo, released := make(chan struct{}), make(chan struct{}), make(chan struct{})
	hears.answer = func(m told) int {
		if m.Path == "/hangs" {
			close(hangs)
			<-letGo
		}
		return http.StatusAccepted
	}
	term, lose := context.WithCancel(t.Context())
	o := open(t, kit, func(c *Config) {
		telling(t, kit, hears)(c)
		held := false // of the teller's goroutine
		c.Telling.Lock = func(ctx context.Context) (context.Context, func(), error) {
			if held { // by another, from then on
				<-ctx.Done()
				return nil, nil, ctx.Err()
			}
			held = true
			return term, func() { close(released) }, nil
		}
	})
	kit.Run(o.Run)
	r, _ := o.askFor(input("alice"), ask("agent", "id-1", "x", hears.URL+"/hangs", hears.URL+"/after"))
	o.act(r.ID, Verified, "handler")
	<-hangs
	lose()
	<-released
	close(letGo)
	hears.Close() // when it has answered all
	if got := hears.states("/after"); got != nil {
		t.Errorf("it tells on: %v", got)
	}
}

// needsItsParts: a workflow that could not tell is not made.
func needsItsParts(t *testing.T, kit *lanetest.Kit, good func(*Config)) {
	t.Helper()
	for name, change := range map[string]func(*Config){
		"nowhere to keep":   func(c *Config) { c.Held = nil },
		"nobody to send":    func(c *Config) { c.Telling.Posts = nil },
		"nothing to say":    func(c *Config) { c.Telling.Message = nil },
		"less than no time": func(c *Config) { c.Telling.For = -1 },
	} {
		cfg := Config{Lane: kit.Follower(), Publisher: kit.Publisher, Keyring: kit.Keyring, Policy: kit.Policy}
		good(&cfg)
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCallbacksThatAreRefused(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "known")
	hears := listen(t)
	o := open(t, kit, telling(t, kit, hears))
	needsItsParts(t, kit, telling(t, kit, hears))
	for name, urls := range map[string][]string{
		"not https":         {"http://agent.example/"},
		"private":           {"https://10.0.0.1/"},
		"cloud metadata":    {"https://169.254.169.254/latest/"},
		"with a password":   {"https://u:p@agent.example/"},
		"one of them":       {"https://agent.example/", "ftp://agent.example"},
		"more than allowed": {"https://a.example/", "https://b.example/", "https://c.example/", "https://d.example/"},
	} {
		var member *MemberError
		if _, _, err := o.AskFor(t.Context(), input("alice"), ask("agent", "id-1", name, urls...)); !errors.As(err, &member) || member.Member != "status_callback_urls" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range MaxAsks {
		o.askFor(input("alice"), ask("agent", "id-"+string(rune('a'+n)), "x", "https://agent.example/"))
	}
	if _, _, err := o.AskFor(t.Context(), input("alice"), ask("agent", "id-z", "x", "https://agent.example/")); !errors.Is(err, ErrManyAsks) {
		t.Errorf("one too many: %v", err)
	}
}
