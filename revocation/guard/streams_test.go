package guard

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// two is a feed with two keys, whose hashes are those of a scope each.
type two struct{}

func (two) Decide(revocation.Claims) revocation.Decision {
	return revocation.Decision{State: revocation.Active}
}

func (two) Listen(func([]revocation.Entry)) func() { return func() {} }

func (two) AppendHashes(dst []events.Ref, c revocation.Claims) []events.Ref {
	return append(dst, events.Ref{1}, events.Ref{2, c.TokenID[0]})
}

// TestNothingIsLeftOfAStream has streams that share a hash and streams that do
// not, placed twice, as after new keys.
func TestNothingIsLeftOfAStream(t *testing.T) {
	t.Parallel()
	g := &Guard{cfg: Config{Feed: two{}, Now: time.Now}, streams: newStreams(two{})}
	var all []*watch
	for _, id := range []string{"a", "b", "b"} {
		w := &watch{guard: g, token: &Token{Claims: Claims{TokenID: id}}, timer: time.NewTimer(time.Hour)}
		g.streams.place(w)
		g.streams.place(w)
		all = append(all, w)
	}
	s := g.streams
	if len(s.all) != 3 || len(s.byHash) != 3 || len(s.byHash[events.Ref{1}]) != 3 || len(s.byHash[events.Ref{2, 'b'}]) != 2 {
		t.Fatalf("%d streams, %v", len(s.all), s.byHash)
	}
	for _, w := range all {
		w.stop()
		w.look() // one that was under way
	}
	if len(s.all) != 0 || len(s.byHash) != 0 {
		t.Errorf("%d streams, %v", len(s.all), s.byHash)
	}
}
