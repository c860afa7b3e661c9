package events_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/dchest/siphash"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

// hashOf makes a hash as the feed's format says it, laid out anew.
func hashOf(k *events.FeedKey, scope events.Scope, issuer, id string) (r events.Ref) {
	switch scope {
	case events.ScopeTenant:
		issuer, id = "", ""
	case events.ScopeIssuer:
		id = ""
	}
	b := append([]byte{byte(len(scope))}, scope...)
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(issuer))), issuer+id...)
	lo, hi := siphash.Hash128(binary.LittleEndian.Uint64(k.Key[:8]), binary.LittleEndian.Uint64(k.Key[8:]), b)
	binary.LittleEndian.PutUint64(r[:8], lo)
	binary.LittleEndian.PutUint64(r[8:], hi)
	return r
}

// TestHashesOfOneIssuer: one hasher makes the hashes of every scope, in any
// order, whatever it made before.
func TestHashesOfOneIssuer(t *testing.T) {
	t.Parallel()
	scopes := []events.Scope{
		events.ScopeToken, events.ScopeSession, events.ScopeSubject, events.ScopeClient, events.ScopeKey, events.ScopeIssuer, events.ScopeTenant, events.ScopeGrant,
	}
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat("https://id.example/", 11)[:rapid.IntRange(0, 200).Draw(t, "bytes")]
	})
	rapid.Check(t, func(t *rapid.T) {
		k := &events.FeedKey{}
		copy(k.Key[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "key"))
		var h events.IssuerHasher
		for range rapid.IntRange(1, 3).Draw(t, "issuers") {
			issuer := text.Draw(t, "issuer")
			h.Reset(k, issuer)
			for range rapid.IntRange(1, 9).Draw(t, "hashes") {
				scope, id := rapid.SampledFrom(scopes).Draw(t, "scope"), text.Draw(t, "id")
				want := hashOf(k, scope, issuer, id)
				if got := h.Hash(scope, id); got != want {
					t.Fatalf("%s %q %q: %x, want %x", scope, issuer, id, got, want)
				}
				if got := k.Hash(scope, issuer, id); got != want {
					t.Fatalf("anew: %s %q %q: %x, want %x", scope, issuer, id, got, want)
				}
			}
		}
	})
}
