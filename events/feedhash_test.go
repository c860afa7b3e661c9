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

// TestFeedHash: a hash is what the format says, made anew or from a prefix, which
// many hashes may be made from.
func TestFeedHash(t *testing.T) {
	t.Parallel()
	scopes := []events.Scope{
		events.ScopeToken, events.ScopeSession, events.ScopeGrant, events.ScopeSubject, events.ScopeClient, events.ScopeKey, events.ScopeIssuer, events.ScopeTenant,
	}
	const pair = 6 // so many begin with an issuer and an identifier
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat("https://id.example/", 32)[:rapid.OneOf(rapid.IntRange(0, 24), rapid.IntRange(0, 600)).Draw(t, "bytes")]
	})
	rapid.Check(t, func(t *rapid.T) {
		k := &events.FeedKey{}
		copy(k.Key[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "key"))
		at, issuer := rapid.IntRange(0, len(scopes)-1).Draw(t, "scope"), text.Draw(t, "issuer")
		prefix := k.Prefix(scopes[at], issuer)
		for range rapid.IntRange(1, 4).Draw(t, "hashes") {
			id := text.Draw(t, "id")
			want := hashOf(k, scopes[at], issuer, id)
			if got := k.Hash(scopes[at], issuer, id); got != want {
				t.Fatalf("%s %q %q: %x, want %x", scopes[at], issuer, id, got, want)
			}
			if got := prefix.Hash(id); at < pair && got != want {
				t.Fatalf("from a prefix: %s %q %q: %x, want %x", scopes[at], issuer, id, got, want)
			}
		}
	})
}
