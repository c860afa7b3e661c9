package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"testing"

	"github.com/rescindhq/rescind/events"
)

// TestReferencesAreHMAC makes each as RFC 2104 has it, from several goroutines
// that share the keyed state.
func TestReferencesAreHMAC(t *testing.T) {
	t.Parallel()
	lookup, reference, digest := newKey(), newKey(), newKey()
	tenant := &Tenant{name: "acme", lookup: newMAC(lookup), reference: newMAC(reference), digest: newMAC(digest)}
	plainly := func(k key, message string) []byte {
		h := hmac.New(sha256.New, k[:])
		h.Write([]byte(message))
		return h.Sum(nil)
	}
	long := bytes.Repeat([]byte("canonical "), 1000)
	check := func() {
		for range 200 {
			if got, want := tenant.TokenRef("iss", "j"), plainly(reference, "token\x00\x00\x00\x00\x03iss\x00\x00\x00\x01j"); got != events.Ref(want[:16]) {
				t.Errorf("token: %s, want %x", got, want)
			}
			if got, want := tenant.SessionRef("", "s"), plainly(reference, "session\x00\x00\x00\x00\x00\x00\x00\x00\x01s"); got != events.Ref(want[:16]) {
				t.Errorf("session: %s, want %x", got, want)
			}
			if got, want := tenant.seat("i", "s"), plainly(lookup, "subject\x00\x00\x00\x00\x01i\x00\x00\x00\x01s"); got != (seat{"acme", handle(want[:16])}) {
				t.Errorf("seat: %x, want %x", got, want)
			}
			if got, want := tenant.Digest(long), plainly(digest, string(long)); got != [8]byte(want[:8]) {
				t.Errorf("digest: %x, want %x", got, want)
			}
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(check)
	}
	wg.Wait()
}

// A keyed state made for each would be 24 allocations. Under the race detector
// a pool forgets some of what it was given, otherwise there are none.
func TestReferencesReuseTheirState(t *testing.T) { // not parallel: it counts allocations
	tenant := &Tenant{name: "acme", lookup: newMAC(newKey()), reference: newMAC(newKey()), digest: newMAC(newKey())}
	canonical := make([]byte, 300)
	n := testing.AllocsPerRun(1000, func() {
		tenant.TokenRef("https://issuer.example", "jti")
		tenant.seat("https://issuer.example", "sub")
		tenant.Digest(canonical)
	})
	if n > 12 {
		t.Errorf("%.1f allocations", n)
	}
}
