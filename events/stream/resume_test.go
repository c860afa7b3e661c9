package stream_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/events/stream"
)

// ahead puts a consumer of the intake where it would be if it had delivered and
// acknowledged everything before seq: as it is when it outlived its messages.
func (w world) ahead(t *testing.T, consumer string, seq uint64) {
	t.Helper()
	if _, err := w.operator.ResetConsumerToSequence(t.Context(), stream.IntakeStream, consumer, seq); err != nil {
		t.Fatal(err)
	}
}

// A consumer whose state is ahead of the stream skips nothing: not what is there when the intake is opened, and not what is published after.
func TestConsumerAheadOfItsStreamSkipsNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		consumer []string
		seq      uint64 // the next that it would deliver
		said     int
	}{
		{"access beyond the end", []string{stream.AccessConsumer}, 1000, 1},
		{"control beyond the end", []string{stream.ControlConsumer}, 1000, 1},
		{"both beyond the end", []string{stream.ControlConsumer, stream.AccessConsumer}, 1000, 2},
		{"one beyond the end", []string{stream.ControlConsumer, stream.AccessConsumer}, 22, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			put := func() (seqs []uint64) {
				for i := range 10 {
					seqs = append(seqs, w.put(t, "rescind.events.acme.token.issued", fmt.Appendf(nil, "%d", i)),
						w.put(t, "rescind.events.acme.token.revoked", fmt.Appendf(nil, "%d", i)))
				}
				return seqs
			}
			want := put()
			for _, name := range c.consumer {
				w.ahead(t, name, c.seq)
			}
			var log bytes.Buffer
			in, err := stream.OpenIntakeWith(t.Context(), w.projector, stream.IntakeConfig{Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			got := sequences(collect(t, in, 20))
			want = append(want, put()...)
			got = append(got, sequences(collect(t, in, 20))...)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("delivered %v, want %v", got, want)
			}
			eventually(t, "the intake is empty", func() bool { return w.state(t, stream.IntakeStream).Msgs == 0 })
			in.Close()
			if n := strings.Count(log.String(), "ahead of its stream"); n != c.said {
				t.Errorf("said %d times, want %d: %s", n, c.said, &log)
			}
		})
	}
}

func sequences(ms []stream.IntakeMessage) (seqs []uint64) {
	for _, m := range ms {
		seqs = append(seqs, m.Seq)
	}
	return seqs
}
