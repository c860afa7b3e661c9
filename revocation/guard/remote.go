package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// RemoteConfig says where a JWK set is published.
type RemoteConfig struct {
	// URL is where to fetch it: https, or http on loopback. Required. It is
	// never taken from a token.
	URL string
	// MaxAge is how long a set is used before it is fetched again. Default 15
	// min, 1 s to 24 h.
	MaxAge time.Duration
	// MinInterval is the shortest time from the end of a fetch to the next, so that
	// tokens with made-up key ids cannot drive them. Default 10 s, at least 100 ms.
	// A new key can take this long to be known.
	MinInterval time.Duration
	// MaxStale is how long the last set is used while it cannot be fetched.
	// Default 24 h. After that tokens are refused with 503.
	MaxStale time.Duration
	// Timeout bounds one fetch, for the token that it is made for as well. Others
	// wait no longer than their context lasts. Default 5 s.
	Timeout time.Duration
	// Client fetches. Nil means one of its own. Redirects are not followed.
	Client *http.Client
	// OnFault is told of each key of a set that ought to be of use and is left
	// out, by its place in the set, each time the set is fetched. It must not
	// block. Nil is not called.
	OnFault func(err error)
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// RemoteKeys is a KeySource that fetches a JWK set.
type RemoteKeys struct {
	cfg      RemoteConfig
	fetching chan struct{} // holds one while somebody fetches: one fetch serves all who wait for it

	mu      sync.Mutex // not held while fetching
	keys    StaticKeys
	fetched time.Time // when keys were
	tried   time.Time // when the last fetch ended
	err     error     // of the last fetch
}

// NewRemoteKeys is a KeySource for cfg. Nothing is fetched before the first
// token.
func NewRemoteKeys(cfg RemoteConfig) (*RemoteKeys, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, errors.New("remote keys: url: want https, or http on loopback")
	}
	for d, value := range map[*time.Duration]time.Duration{&cfg.MaxAge: 15 * time.Minute, &cfg.MinInterval: 10 * time.Second, &cfg.MaxStale: 24 * time.Hour, &cfg.Timeout: 5 * time.Second} {
		if *d == 0 {
			*d = value
		}
	}
	if cfg.MaxAge < time.Second || cfg.MaxAge > 24*time.Hour || cfg.MinInterval < 100*time.Millisecond || cfg.MaxStale < cfg.MaxAge || cfg.Timeout < 0 {
		return nil, errors.New("remote keys: want max age 1s to 24h, min interval from 100ms, max stale from max age, a timeout")
	}
	client := http.Client{}
	if cfg.Client != nil {
		client = *cfg.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cfg.Client = &client
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.OnFault == nil {
		cfg.OnFault = func(error) {}
	}
	return &RemoteKeys{cfg: cfg, fetching: make(chan struct{}, 1)}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Key implements KeySource. Only a token whose key is not known waits for a
// fetch, and one token when the set is due.
func (r *RemoteKeys) Key(ctx context.Context, id string) (Key, error) {
	k, due, err := r.look(id)
	if !due {
		return k, err
	}
	if err == nil {
		select {
		case r.fetching <- struct{}{}:
		default:
			return k, nil // somebody fetches
		}
	} else {
		select {
		case r.fetching <- struct{}{}:
		case <-ctx.Done():
			return Key{}, fmt.Errorf("wait for JWK set: %w", ctx.Err())
		}
	}
	defer func() { <-r.fetching }()
	if _, due, _ = r.look(id); due {
		r.fetch(ctx)
	}
	k, _, err = r.look(id)
	return k, err
}

// look answers from the last set, and says whether it should be fetched again.
func (r *RemoteKeys) look(id string) (k Key, due bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	age := now.Sub(r.fetched)
	k, err = pick(r.keys, id)
	due = (err != nil || age > r.cfg.MaxAge) && now.Sub(r.tried) >= r.cfg.MinInterval
	switch {
	case age > r.cfg.MaxStale:
		return Key{}, due, fmt.Errorf("JWK set is too old: %w", cmp.Or(r.err, errNotFetched))
	case err != nil && r.err != nil:
		return Key{}, due, fmt.Errorf("JWK set may lack new keys: %w", r.err)
	}
	return k, due, err
}

var errNotFetched = errors.New("not fetched yet")

func (r *RemoteKeys) fetch(ctx context.Context) {
	now := r.cfg.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timeout) // it serves others, too
	defer cancel()
	keys, err := r.get(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried, r.err = r.cfg.Now(), err
	if err == nil {
		r.keys, r.fetched = keys, now
	}
}

// maxSetBytes bounds a JWK set.
const maxSetBytes = 1 << 20

func (r *RemoteKeys) get(ctx context.Context) (StaticKeys, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.cfg.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch JWK set: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.cfg.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch JWK set: %w", err)
	}
	defer resp.Body.Close()
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || media != "application/json" && media != "application/jwk-set+json" {
		return nil, fmt.Errorf("fetch JWK set: status %d, content type %.60q", resp.StatusCode, media)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSetBytes+1))
	if err != nil {
		return nil, fmt.Errorf("fetch JWK set: %w", err)
	}
	if len(body) > maxSetBytes {
		return nil, fmt.Errorf("fetch JWK set: over %d bytes", maxSetBytes)
	}
	keys, faults, err := parseKeys(body)
	for _, fault := range faults {
		r.cfg.OnFault(fault)
	}
	return keys, err
}
