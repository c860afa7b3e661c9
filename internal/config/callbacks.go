package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/rescindhq/rescind/query/callback"
	"github.com/rescindhq/rescind/query/recipient"
)

// maxAllowed is how many networks callbacks may be allowed to reach.
const maxAllowed = 100

// Prefixes is the networks of Allow.
func (c Callbacks) Prefixes() (out []netip.Prefix, err error) {
	if len(c.Allow) > maxAllowed {
		return nil, fmt.Errorf("%d networks, at most %d", len(c.Allow), maxAllowed)
	}
	for _, s := range c.Allow {
		p, err := netip.ParsePrefix(s)
		if a, single := netip.ParseAddr(s); single == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p != p.Masked() {
			return nil, fmt.Errorf("%.50q: want an address or a network, as 10.1.0.0/16", s)
		}
		out = append(out, p)
	}
	return out, nil
}

// Roots is the authorities of CA, nil for the system's.
func (c Callbacks) Roots() (*x509.CertPool, error) {
	if c.CA == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("callbacks.ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, errors.New("callbacks.ca: no certificate in " + c.CA)
	}
	return pool, nil
}

// Registry reads the recipients that Requests.Recipients names.
func (c *Config) Registry() (*recipient.Registry, error) {
	allow, err := c.Callbacks.Prefixes()
	if err != nil {
		return nil, err
	}
	return recipient.Load(c.Requests.Recipients, func(url string) error {
		return callback.CheckURL(url, c.Profile == Dev, allow)
	})
}
