package callback

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// Config is what a Sender needs.
type Config struct {
	// Key signs. Required.
	Key ed25519.PrivateKey

	// Timeout is how long one attempt takes at most: resolving, connecting, and
	// reading the answer. Default 10 s, 100 ms to 1 min.
	Timeout time.Duration

	// Allow is addresses that are dialled although they are not of the public
	// Internet. Default none: a URL that somebody names would reach what only we
	// reach, a cloud's metadata for one.
	Allow []netip.Prefix

	// Insecure permits http: for profile dev. It allows no address.
	Insecure bool

	// Roots are the authorities whose certificates are believed. Default the
	// system's.
	Roots *x509.CertPool

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Sender posts messages.
type Sender struct {
	cfg    Config
	client *http.Client
}

// New is a sender, or all that is wrong with cfg.
func New(cfg Config) (*Sender, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var faults []error
	if len(cfg.Key) != ed25519.PrivateKeySize {
		faults = append(faults, errors.New("key: want an Ed25519 private key"))
	}
	if cfg.Timeout < 100*time.Millisecond || cfg.Timeout > time.Minute {
		faults = append(faults, fmt.Errorf("timeout: %s, want 100ms to 1m", cfg.Timeout))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("callback: %w", err)
	}
	s := &Sender{cfg: cfg}
	s.client = &http.Client{Transport: s.transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s, nil
}

// transport keeps no connection: a day may pass between two messages, and each
// dial is looked at.
func (s *Sender) transport() *http.Transport {
	return &http.Transport{
		DialContext: guard(s.cfg.Allow).DialContext, DisableKeepAlives: true, ForceAttemptHTTP2: true, DisableCompression: true,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.cfg.Roots},
		MaxResponseHeaderBytes: MaxHeader,
	}
}

// PublicKey is what receivers verify with.
func (s *Sender) PublicKey() ed25519.PublicKey { return s.cfg.Key.Public().(ed25519.PublicKey) }

// Check reports why a URL would never be called: what New was told, and what is
// plain from the URL alone. What a name resolves to is seen when it is dialled.
func (s *Sender) Check(raw string) error { return CheckURL(raw, s.cfg.Insecure, s.cfg.Allow) }

// Send makes one attempt.
func (s *Sender) Send(ctx context.Context, m Message) (Answer, error) {
	if err := s.Check(m.URL); err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	req, err := s.request(ctx, m)
	if err != nil {
		return Answer{}, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("callback: %w", plain(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer))
	if err != nil {
		return Answer{}, fmt.Errorf("callback: read the answer: %w", plain(err))
	}
	return Answer{Status: resp.StatusCode, Body: body, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), s.cfg.Now())}, nil
}

func (s *Sender) request(ctx context.Context, m Message) (*http.Request, error) {
	if m.ContentType == "" {
		m.ContentType = "application/json"
	}
	if err := m.validate(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, plain(err))
	}
	for name, values := range m.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("User-Agent", "rescind")
	sign(req.Header, s.cfg.Key, m, s.cfg.Now())
	return req, nil
}

// validate holds what is signed as text to what cannot be read in two ways.
func (m *Message) validate() error {
	switch {
	case !isName(m.ID) || !isName(m.Kind):
		return fmt.Errorf("%w: id and kind want 1 to 128 of A-Z a-z 0-9 . _ -", ErrInvalid)
	case len(m.Body) > MaxBody:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrInvalid, len(m.Body), MaxBody)
	case !isFieldValue(m.ContentType):
		return fmt.Errorf("%w: content type", ErrInvalid)
	}
	for name := range m.Header {
		if made[http.CanonicalHeaderKey(name)] {
			return fmt.Errorf("%w: the field %s is made here", ErrInvalid, http.CanonicalHeaderKey(name))
		}
	}
	return nil
}

func isName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// isFieldValue reports whether s is a value that no receiver trims or folds.
func isFieldValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return s != "" && s[0] != ' ' && s[len(s)-1] != ' '
}

// plain is err without the URL that net/http puts before it, whose query is
// nobody's but the receiver's.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// retryAfter reads RFC 9110, section 10.2.3: seconds or a date.
func retryAfter(field string, now time.Time) time.Duration {
	const longest = 24 * time.Hour
	if n, err := strconv.ParseUint(field, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, longest)
	}
	if at, err := http.ParseTime(field); err == nil {
		return min(max(0, at.Sub(now)), longest)
	}
	return 0
}

// Backoff is how long to wait after so many attempts that failed, at least 1:
// it doubles from first to most.
func Backoff(failed int, first, most time.Duration) time.Duration {
	d := first
	for range failed - 1 {
		if d >= most/2 {
			return most
		}
		d *= 2
	}
	return min(d, most)
}
