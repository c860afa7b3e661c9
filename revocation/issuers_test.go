package revocation

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/rescindhq/rescind/events"
)

// TestManyIssuers: whichever issuers were met first, and whoever meets them at
// once, a token is decided by what was revoked of its own issuer.
func TestManyIssuers(t *testing.T) {
	key, s := feedKey("acme", 1), setOf()
	names := []string{strings.Repeat("i", events.MaxTextBytes), strings.Repeat("i", events.MaxTextBytes+1)}
	for i := range 3 * maxIssuers {
		names = append(names, fmt.Sprintf("https://%d.example", i))
	}
	of := func(i int) Claims {
		c := someone
		c.Issuer = names[i]
		return c
	}
	want := make([]events.Scope, len(names)) // of each a revocation of one scope, and of some none
	for i := range names {
		if at := i % len(scopes); scopes[at] != events.ScopeTenant {
			want[i] = scopes[at]
			s.Apply(revoke(uint64(i+1), key, scopes[at], of(i), ms(0)))
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 2 * len(names) {
				at := i % len(names)
				c := of(at)
				if d := s.Decide(&c, t0); d.Scope != want[at] {
					t.Errorf("%.40q: %+v, want it revoked by %q", c.Issuer, d, want[at])
				}
			}
		})
	}
	all.Wait()
	kept := s.tenants.Load().of["acme"].keys[0].issuers
	for i := range kept {
		if i := kept[i].Load(); i == nil || len(i.name) > events.MaxTextBytes {
			t.Errorf("%+v is kept", i)
		}
	}
	last := of(len(names) - 2)
	if n := testing.AllocsPerRun(100, func() { s.Decide(&last, t0) }); n != 0 {
		t.Errorf("%v allocations for an issuer that is not kept", n)
	}
}
