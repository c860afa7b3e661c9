package callback

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// special is what IANA lists as not reachable from everywhere, and the
// forms that carry an IPv4 address to whoever translates it.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
	"5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, s := range all {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// permitted reports whether an address may be dialled.
func permitted(a netip.Addr, allow []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	return a.IsValid() && (within(a, allow) || !within(a, special))
}

func within(a netip.Addr, of []netip.Prefix) bool {
	for _, p := range of {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// guard dials nothing else: it is asked for each address, after names were
// resolved and before anything is sent, so that no name that changes gets by.
func guard(allow []netip.Prefix) *net.Dialer {
	return &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !permitted(at.Addr(), allow) {
			return fmt.Errorf("%w: the address is not of the public Internet", ErrForbidden)
		}
		return nil
	}}
}

// CheckURL reports why a URL would never be called, or nil. Insecure permits http.
func CheckURL(raw string, insecure bool, allow []netip.Prefix) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return fmt.Errorf("%w: want an absolute URL", ErrForbidden)
	}
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !insecure):
		return fmt.Errorf("%w: want https", ErrForbidden)
	case u.User != nil:
		return fmt.Errorf("%w: a URL holds no password", ErrForbidden)
	case u.Fragment != "" || u.String() != raw:
		return fmt.Errorf("%w: want a URL in its plain form, without a fragment", ErrForbidden)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !permitted(a, allow) {
		return fmt.Errorf("%w: the address is not of the public Internet", ErrForbidden)
	}
	return nil
}
