package stream_test

import (
	"context"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// A reader that is behind has a message in hand that finds no room. Where the
// connection breaks then, that message comes again like those behind it.
func TestFullReaderLosesNothingWhenItsConnectionBreaks(t *testing.T) {
	t.Parallel()
	w := start(t)
	l := w.log(t)
	const last = 60
	for seq := range uint64(last) {
		if _, err := l.Append(t.Context(), events.Control, make([]byte, 500_000), seq); err != nil {
			t.Fatal(err)
		}
	}
	known := map[string]bool{}
	for name, lanes := range map[string][]events.Lane{"all": nil, "control": {events.Control}} {
		t.Run(name, func(t *testing.T) {
			proxy := natsdtest.Proxy(t, w.Server)
			behindIt, err := stream.OpenLog(t.Context(), behind(t, proxy, w, natsd.Projector))
			if err != nil {
				t.Fatal(err)
			}
			r := read(t, behindIt, 1, lanes...)
			for range 3 {
				eventually(t, "a full reader was sent more", func() bool { return r.Full() && w.deliveredToAnother(t, known) })
				proxy.Cut()
			}
			wantSizes(t, r, last)
		})
	}
}

// deliveredToAnother reports whether a consumer of the log that is not known has
// delivered something. From then on it is known.
func (w world) deliveredToAnother(t *testing.T, known map[string]bool) bool {
	t.Helper()
	s, err := w.operator.Stream(t.Context(), stream.LogStream)
	if err != nil {
		t.Fatal(err)
	}
	another := false
	list := s.ListConsumers(t.Context())
	for info := range list.Info() {
		if info.Delivered.Consumer > 0 && !known[info.Name] {
			known[info.Name], another = true, true
		}
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	return another
}

// wantSizes reads all messages up to last, which must be there once and in order.
func wantSizes(t *testing.T, r *stream.Reader, last uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for want := uint64(1); want <= last; {
		ms, err := r.Next(ctx, 1<<20)
		if err != nil {
			t.Fatalf("waiting for seq %d: %v", want, err)
		}
		for _, m := range ms {
			if m.Seq != want {
				t.Fatalf("seq %d, want %d", m.Seq, want)
			}
			want++
		}
	}
}
