package guard_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rescindhq/rescind/revocation/guard"
)

// published is a JWK set on a server that a test can break.
type published struct {
	*httptest.Server
	fetches atomic.Int64
	answer  atomic.Pointer[http.HandlerFunc]
}

func publish(t *testing.T) *published {
	t.Helper()
	p := &published{}
	p.serve(jwkSet(t))
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		(*p.answer.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *published) serve(set []byte) {
	p.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(set)
	})
}

func (p *published) respond(f http.HandlerFunc) { p.answer.Store(&f) }

// clock is a clock that a test moves.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return now.Add(time.Duration(c.at.Load())) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func remote(t *testing.T, p *published) (*guard.Guard, *clock) {
	t.Helper()
	c := &clock{}
	keys, err := guard.NewRemoteKeys(guard.RemoteConfig{URL: p.URL, Client: p.Client(), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return newGuard(t, func(cfg *guard.Config) { cfg.Keys = keys }), c
}

// A set with a bad key is used, and each fetch tells of the bad one.
func TestRemoteKeysTellOfABadOne(t *testing.T) {
	t.Parallel()
	p := publish(t)
	p.serve(jwkSet(t, map[string]any{"kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB"}, map[string]any{"kty": "oct", "kid": "secret", "k": "AAAA"}))
	var faults []string
	keys, err := guard.NewRemoteKeys(guard.RemoteConfig{URL: p.URL, Client: p.Client(), OnFault: func(err error) { faults = append(faults, err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	if k, err := keys.Key(t.Context(), "ec"); err != nil || k.ID != "ec" {
		t.Errorf("got %v, %v", k, err)
	}
	if _, err := keys.Key(t.Context(), "weak"); !errors.Is(err, guard.ErrNoKey) {
		t.Errorf("got %v", err)
	}
	if len(faults) != 1 || !strings.HasPrefix(faults[0], "key 3: RSA key") {
		t.Errorf("told of %q", faults)
	}
}

func TestRemoteKeys(t *testing.T) {
	t.Parallel()
	p := publish(t)
	g, c := remote(t, p)
	known, unknown := good(t, claims()), good(t, claims(), header("kid", "new"))
	steps := []struct {
		name    string
		do      func()
		raw     string
		want    guard.Reason
		fetches int64
	}{
		{"first token fetches", func() {}, known, "", 1},
		{"the next does not", func() {}, known, "", 1},
		{"unknown key, asked for just now", func() {}, unknown, guard.ReasonKey, 1},
		{"unknown key", func() { c.advance(10 * time.Second) }, unknown, guard.ReasonKey, 2},
		{"again, at once", func() {}, unknown, guard.ReasonKey, 2},
		{"down", func() {
			c.advance(16 * time.Minute)
			p.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		}, known, "", 3},
		{"down, unknown key", func() {}, unknown, guard.ReasonKeys, 3},
		{"down for too long", func() { c.advance(24 * time.Hour) }, known, guard.ReasonKeys, 4},
		{"back", func() { c.advance(time.Minute); p.serve(jwkSet(t)) }, known, "", 5},
		{"an answer that is no set", func() {
			c.advance(16 * time.Minute)
			p.serve([]byte(`{"error":"try again"}`))
		}, known, "", 6},
		{"key is gone", func() {
			c.advance(16 * time.Minute)
			p.serve([]byte(`{"keys":[]}`))
		}, known, guard.ReasonKey, 7},
	}
	for _, s := range steps {
		s.do()
		// the token is judged at a time that stands still
		if got := reasonOf(t, g, s.raw); got != s.want {
			t.Errorf("%s: got %q, want %q", s.name, got, s.want)
		}
		if n := p.fetches.Load(); n != s.fetches {
			t.Errorf("%s: %d fetches, want %d", s.name, n, s.fetches)
		}
	}
}

func TestOneFetchServesAllWhoWait(t *testing.T) {
	t.Parallel()
	p := publish(t)
	g, _ := remote(t, p)
	raw := good(t, claims())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := g.Check(t.Context(), raw); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestThoseWhoWaitedDoNotFetchAgain: where a fetch takes as long as MinInterval
// and fails, whoever waited for it is told so.
func TestThoseWhoWaitedDoNotFetchAgain(t *testing.T) {
	t.Parallel()
	p := publish(t)
	g, c := remote(t, p)
	p.respond(func(w http.ResponseWriter, _ *http.Request) {
		c.advance(10 * time.Second)
		w.WriteHeader(500)
	})
	for range 3 {
		if r := reasonOf(t, g, good(t, claims())); r != guard.ReasonKeys {
			t.Errorf("got %q", r)
		}
	}
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestWhoWaitsForKeysMayLeave: while another fetches.
func TestWhoWaitsForKeysMayLeave(t *testing.T) {
	t.Parallel()
	p := publish(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	p.respond(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-answer
	})
	keys, err := guard.NewRemoteKeys(guard.RemoteConfig{URL: p.URL, Client: p.Client(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var first sync.WaitGroup
	first.Go(func() { _, _ = keys.Key(t.Context(), "ec") })
	<-asked
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := keys.Key(ctx, "ec"); !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(answer)
	first.Wait()
}

func TestAnswersThatAreNoKeys(t *testing.T) {
	t.Parallel()
	p := publish(t)
	set := jwkSet(t)
	for name, f := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, p.URL+"/other", http.StatusFound) },
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Write(set)
		},
		"not found": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"no JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte("{"))
		},
		"no JWK set": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"error":"try again"}`))
		},
		"without end": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write(make([]byte, 2<<20))
		},
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "9999")
			w.Write(set[:20])
		},
	} {
		p.respond(f)
		g, _ := remote(t, p)
		if r := reasonOf(t, g, good(t, claims())); r != guard.ReasonKeys {
			t.Errorf("%s: got %q", name, r)
		}
	}
}

func TestRemoteConfigIsValidated(t *testing.T) {
	t.Parallel()
	for _, cfg := range []guard.RemoteConfig{
		{}, {URL: "http://keys.example/jwks"}, {URL: "file:///etc/keys"}, {URL: "://"}, {URL: "https://"},
		{URL: "https://keys.example", MaxAge: time.Millisecond}, {URL: "https://keys.example", MinInterval: 1}, {URL: "https://keys.example", MaxStale: time.Second},
	} {
		if _, err := guard.NewRemoteKeys(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
	if _, err := guard.NewRemoteKeys(guard.RemoteConfig{URL: "https://keys.example/jwks"}); err != nil {
		t.Error(err)
	}
}

// TestAddressesInTokensAreNotFetched has tokens that name a server of ours
// under every name by which a verifier could be had to call it.
func TestAddressesInTokensAreNotFetched(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	evil := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	defer evil.Close()
	p := publish(t)
	g, _ := remote(t, p)
	for _, name := range []string{"jku", "x5u", "kid", "iss"} {
		raw := good(t, claims(), header(name, evil.URL+"/"+name))
		if name == "iss" {
			raw = good(t, claims(set("iss", evil.URL+"/iss")))
		}
		reasonOf(t, g, raw)
	}
	if n := p.fetches.Load(); len(asked) > 0 || n != 1 {
		t.Errorf("asked %d times, and the issuer %d", len(asked), n)
	}
}
