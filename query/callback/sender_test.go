package callback

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// loopback is where the tests' receivers are.
var loopback = prefixes("127.0.0.0/8", "::1/128")

// receiver is a real server over TLS that answers as told, and a sender that
// may reach it.
func receiver(t *testing.T, answer http.HandlerFunc) (*Sender, Message) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // or it would not notice that we hang up
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	s, err := New(Config{Key: vectorKey(t), Timeout: time.Second, Allow: loopback, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	return s, Message{ID: "m-1", URL: server.URL + "/hook?x=1", Kind: "erasure.notice", Body: []byte(`{"a":1}`)}
}

// TestSend: what arrives is verified by its receiver, and the answer is told.
func TestSend(t *testing.T) {
	t.Parallel()
	var url atomic.Value
	s, m := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		keys := map[string]ed25519.PublicKey{KeyID(vectorKey(t).Public().(ed25519.PublicKey)): vectorKey(t).Public().(ed25519.PublicKey)}
		got, err := Verify(r.Header, url.Load().(string), body, keys, time.Now())
		if err != nil || got.ID != "m-1" || got.Kind != "erasure.notice" || r.Method != http.MethodPost || r.Header.Get("X-Theirs") != "1" {
			t.Errorf("%+v, %v", got, err)
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("thanks"))
	})
	url.Store(m.URL)
	m.Header = http.Header{"x-theirs": {"1"}}
	a, err := s.Send(t.Context(), m)
	if err != nil || a.Status != http.StatusAccepted || string(a.Body) != "thanks" || a.RetryAfter != 7*time.Second || a.Verdict() != Accepted {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestNoRedirectIsFollowed, not to the same server either: what it answers is all
// there is.
func TestNoRedirectIsFollowed(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s, m := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	if a, err := s.Send(t.Context(), m); err != nil || a.Verdict() != Again || calls.Load() != 1 {
		t.Errorf("%+v, %v, %d calls", a, err, calls.Load())
	}
}

// TestAnswersAreBounded in time and bytes.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		s, m := receiver(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		s.cfg.Timeout = 150 * time.Millisecond
		if _, err := s.Send(patient(t), m); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	t.Run("hangs in its body", func(t *testing.T) {
		t.Parallel()
		s, m := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write([]byte("so"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		s.cfg.Timeout = 150 * time.Millisecond
		if a, err := s.Send(patient(t), m); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", a, err)
		}
	})
	t.Run("huge", func(t *testing.T) {
		t.Parallel()
		s, m := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			for range 1 << 16 {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		})
		if a, err := s.Send(t.Context(), m); err != nil || len(a.Body) != MaxAnswer {
			t.Errorf("%d bytes, %v", len(a.Body), err)
		}
	})
	t.Run("huge header", func(t *testing.T) {
		t.Parallel()
		s, m := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			for i := range 64 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 4<<10))
			}
		})
		if _, err := s.Send(t.Context(), m); err == nil {
			t.Error("it was read")
		}
	})
	t.Run("cut off", func(t *testing.T) {
		t.Parallel()
		s, m := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
		})
		if a, err := s.Send(t.Context(), m); err == nil {
			t.Errorf("%+v", a)
		}
	})
}

// patient is a context that ends by itself long after a sender's time is up, and
// not by a deadline.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(10*time.Second, cancel)
	t.Cleanup(func() { timer.Stop(); cancel() })
	return ctx
}

// TestAddresses is which addresses are dialled.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, a := range []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:1::", "fc00::1", "fd12::1",
		"fe80::1", "fe80::1%eth0", "ff02::1", "fec0::1",
	} {
		if permitted(netip.MustParseAddr(a), nil) {
			t.Errorf("%s is dialled", a)
		}
	}
	for _, a := range []string{"1.1.1.1", "8.8.8.8", "2606:4700::1", "2a00:1450::1", "::ffff:1.1.1.1"} {
		if !permitted(netip.MustParseAddr(a), nil) {
			t.Errorf("%s is not", a)
		}
	}
	if !permitted(netip.MustParseAddr("::ffff:10.1.2.3"), prefixes("10.0.0.0/8")) || permitted(netip.MustParseAddr("10.1.2.3"), prefixes("10.2.0.0/16")) {
		t.Error("what is allowed is not what was said")
	}
}

// TestURLs is what is called at all.
func TestURLs(t *testing.T) {
	t.Parallel()
	for _, u := range []string{
		"", "/x", "crm.example", "http://crm.example/", "ftp://crm.example/", "https://", "https:///x", "https://u:p@crm.example/", "https://crm.example/#x",
		"https://127.0.0.1/", "https://[::1]/", "https://[fe80::1%25eth0]/", "https://169.254.169.254/latest", "mailto:a@b", "https://crm.example/a b", "https:crm.example",
	} {
		if err := CheckURL(u, false, nil); !errors.Is(err, ErrForbidden) {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, u := range []string{"https://crm.example", "https://crm.example:8443/a?b=c", "https://1.1.1.1/"} {
		if err := CheckURL(u, false, nil); err != nil {
			t.Errorf("%q: %v", u, err)
		}
	}
	if CheckURL("http://crm.example/", true, nil) != nil || CheckURL("http://127.0.0.1/", true, nil) == nil || CheckURL("https://127.0.0.1/", false, loopback) != nil {
		t.Error("insecure and allow are not what they say")
	}
}

// TestTheAddressIsLookedAtWhenItIsDialled: a name that leads to us is not
// called, whatever it resolved to when it was registered; nothing is sent.
func TestTheAddressIsLookedAtWhenItIsDialled(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	touched := make(chan struct{})
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
			close(touched)
		}
	}()
	s, err := New(Config{Key: vectorKey(t), Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	url := "https://localhost:" + port + "/secret-path?token=secret-query" // a name: nothing is wrong with it before it is resolved
	if err := s.Check(url); err != nil {
		t.Fatal(err)
	}
	_, err = s.Send(t.Context(), Message{ID: "m", URL: url, Kind: "k"})
	if !errors.Is(err, ErrForbidden) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	select {
	case <-touched:
		t.Error("it was connected to")
	default:
	}
}

// TestOnlyWhoIsTrustedIsTold: a certificate of nobody's is no receiver's.
func TestOnlyWhoIsTrustedIsTold(t *testing.T) {
	t.Parallel()
	s, m := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("it was told") })
	s.client.Transport.(*http.Transport).TLSClientConfig.RootCAs = x509.NewCertPool()
	if _, err := s.Send(t.Context(), m); err == nil {
		t.Error("no error")
	}
}

// TestVerdicts is what a status comes to.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]Verdict{
		200: Accepted, 202: Accepted, 204: Accepted, 299: Accepted, 301: Again, 304: Again, 308: Again, 400: Refused, 401: Again, 403: Refused,
		404: Again, 407: Again, 408: Again, 410: Refused, 421: Again, 422: Refused, 425: Again, 429: Again, 500: Again, 503: Again, 600: Again,
	} {
		if got := (Answer{Status: status}).Verdict(); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}

// TestNoMessage is what is not sent.
func TestNoMessage(t *testing.T) {
	t.Parallel()
	s, m := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	for name, change := range map[string]func(*Message){
		"id":     func(m *Message) { m.ID = "a\"b" },
		"kind":   func(m *Message) { m.Kind = "a\nb" },
		"empty":  func(m *Message) { m.ID = "" },
		"type":   func(m *Message) { m.ContentType = "text/plain\r\nX: y" },
		"trim":   func(m *Message) { m.ContentType = "text/plain " },
		"body":   func(m *Message) { m.Body = bytes.Repeat([]byte("x"), MaxBody+1) },
		"header": func(m *Message) { m.Header = http.Header{"signature": {"mine"}} },
	} {
		bad := m
		change(&bad)
		if _, err := s.Send(t.Context(), bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBackoff is how long to wait.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for failed, want := range map[int]time.Duration{1: 1, 2: 2, 3: 4, 4: 8, 5: 10, 60: 10, 1 << 20: 10} {
		if got := Backoff(failed, 1*time.Minute, 10*time.Minute); got != want*time.Minute {
			t.Errorf("%d: %s", failed, got)
		}
	}
	now := time.Unix(1_800_000_000, 0)
	for field, want := range map[string]time.Duration{
		"": 0, "x": 0, "-1": 0, "60": time.Minute, "99999999": 24 * time.Hour, "99999999999999999999": 0,
		now.Add(time.Hour).UTC().Format(http.TimeFormat): time.Hour, now.Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(field, now); got != want {
			t.Errorf("%q: %s", field, got)
		}
	}
}

// TestKeyFrom is asked until it answers, and then no more.
func TestKeyFrom(t *testing.T) {
	t.Parallel()
	s, m := receiver(t, says(http.StatusOK))
	derived, err := DeriveKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	other, err := DeriveKey(bytes.Repeat([]byte{8}, 32))
	if _, short := DeriveKey(make([]byte, 31)); err != nil || short == nil || derived.Equal(other) || derived.Equal(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))) {
		t.Error("not derived as it should be")
	}
	asked, away := 0, errors.New("away")
	s.key, s.cfg.KeyFrom = nil, func(context.Context) (ed25519.PrivateKey, error) {
		if asked++; asked == 1 {
			return nil, away
		}
		return derived, nil
	}
	if _, err := s.Send(t.Context(), m); !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
	for range 2 {
		if _, err := s.Send(t.Context(), m); err != nil {
			t.Error(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

func says(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// TestConfig: all that is wrong is said.
func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Timeout: time.Hour})
	if err == nil || !strings.Contains(err.Error(), "key") || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("%v", err)
	}
}
