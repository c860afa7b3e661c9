package stream_test

import (
	"testing"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// TestMarksStayApart: a mark outlives who set it, and is of one name and shard.
func TestMarksStayApart(t *testing.T) {
	t.Parallel()
	w := start(t)
	api := natsdtest.JetStream(t, w.Server, natsd.API)
	marks := stream.NewMarks(api, "leaks")
	for _, at := range []uint64{7, 1 << 63, 5} {
		if err := marks.Set(t.Context(), 1, at); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.NewMarks(natsdtest.JetStream(t, w.Server, natsd.API), "leaks").Get(t.Context(), 1); got != at || err != nil {
			t.Errorf("%d, %v, want %d", got, err, at)
		}
	}
	for _, other := range []struct {
		name  string
		shard uint16
	}{{"leaks", 0}, {"leaks", 11}, {"other", 1}} {
		if got, err := stream.NewMarks(api, other.name).Get(t.Context(), other.shard); got != 0 || err != nil {
			t.Errorf("%+v: %d, %v", other, got, err)
		}
	}
	if err := stream.NewMarks(api, "a.b").Set(t.Context(), 0, 1); err == nil {
		t.Error("a name that is no token was taken")
	}
}
