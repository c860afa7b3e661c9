package stream_test

import (
	"fmt"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func issuedMany(n int) (evs []events.Event) {
	for i := range n {
		evs = append(evs, issued(fmt.Sprint(i)))
	}
	return evs
}

// TestWhatIsPublishedTogetherTravelsTogether: no sender takes the first of them
// before the others are there.
func TestWhatIsPublishedTogetherTravelsTogether(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.BatchEvents, c.MaxPendingEvents = 100, 150 })
	for round := range 20 {
		if err := p.Publish(t.Context(), issuedMany(250)...); err != nil {
			t.Fatal(err)
		}
		if n := int(w.state(t, stream.IntakeStream).Msgs); n != 3*(round+1) {
			t.Fatalf("250 events travelled in %d messages of 100", n-3*round)
		}
	}
}

// TestMixedEventsTravelTogether: what alternates shares as few messages as what
// does not, each kind in its order.
func TestMixedEventsTravelTogether(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) { c.BatchEvents = 100 })
	for round := range 20 {
		var mixed []events.Event
		for _, ev := range issuedMany(200) {
			other := ev
			other.ID, other.Type = ev.ID+"-r", events.TokenRefreshed
			mixed = append(mixed, ev, other)
		}
		if err := p.Publish(t.Context(), mixed...); err != nil {
			t.Fatal(err)
		}
		if n := int(w.state(t, stream.IntakeStream).Msgs); n != 4*(round+1) {
			t.Fatalf("400 events of two kinds travelled in %d messages of 100", n-4*round)
		}
	}
}

// TestMessagesAbreast: so many messages of one kind are under way while none is
// acknowledged, and each event arrives once.
func TestMessagesAbreast(t *testing.T) {
	t.Parallel()
	for abreast, want := range map[int]uint64{0: 1, 3: 3} {
		t.Run(fmt.Sprint(abreast), func(t *testing.T) {
			t.Parallel()
			w := start(t)
			proxy := natsdtest.Proxy(t, w.Server)
			conn := behind(t, proxy, w, natsd.Issuer).Conn()
			p := w.publisher(t, natsd.Issuer, func(c *stream.PublisherConfig) {
				c.Conn, c.Keys, c.BatchEvents, c.Abreast = conn, w.sealing.Set, 10, abreast
			})
			proxy.HoldReplies()
			published := make(chan error, 1)
			go func() { published <- p.Publish(t.Context(), issuedMany(100)...) }()
			eventually(t, "the server has stored them", func() bool { return w.state(t, stream.IntakeStream).Msgs == want })
			proxy.PassReplies()
			if err := <-published; err != nil {
				t.Fatal(err)
			}
			if n := w.state(t, stream.IntakeStream).Msgs; n != 10 {
				t.Errorf("%d messages of 10, want 10", n)
			}
			seen := map[string]bool{}
			for _, id := range w.ids(t, collect(t, w.intake(t), 10)) {
				seen[id] = true
			}
			if len(seen) != 100 {
				t.Errorf("%d events arrived, want 100", len(seen))
			}
		})
	}
}
