package stream_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/stream"
)

func status(code, description string) *nats.Msg {
	m := nats.NewMsg("")
	m.Header.Set("Status", code)
	m.Header.Set("Description", description)
	return m
}

// answer is what the server sends for entries of sequences 3, 6 and so on.
func answer(n int) (ms []*nats.Msg) {
	for i := 1; i <= n; i++ {
		m := nats.NewMsg("")
		m.Header.Set("Nats-Subject", fmt.Sprint("s", i))
		m.Header.Set("Nats-Sequence", fmt.Sprint(3*i))
		m.Header.Set("Nats-Last-Sequence", fmt.Sprint(3*(i-1)))
		m.Header.Set("Nats-Num-Pending", fmt.Sprint(n-i))
		ms = append(ms, m)
	}
	end := status("204", "EOB")
	end.Header.Set("Nats-Last-Sequence", fmt.Sprint(3*n))
	end.Header.Set("Nats-Num-Pending", "0")
	end.Header.Set("Nats-UpTo-Sequence", fmt.Sprint(3*n+1))
	return append(ms, end)
}

// TestAnswerThatIsNotWhole takes for an error whatever could make an entry
// look as if it were not there.
func TestAnswerThatIsNotWhole(t *testing.T) {
	t.Parallel()
	whole := answer(3)
	for name, tt := range map[string]struct {
		ms   []*nats.Msg
		want int // entries; -1: an error
	}{
		"whole":                   {answer(3), 3},
		"one":                     {answer(1), 1},
		"none is there":           {[]*nats.Msg{status("404", "No Results")}, 0},
		"first lost":              {whole[1:], -1},
		"middle lost":             {[]*nats.Msg{whole[0], whole[2], whole[3]}, -1},
		"last lost":               {[]*nats.Msg{whole[0], whole[1], whole[3]}, -1},
		"all but the end lost":    {whole[3:], -1},
		"end lost":                {whole[:3], -1},
		"cut by the server":       {append(answer(3)[:2:2], answer(2)[2]), -1},
		"end of an empty answer":  {answer(0), -1},
		"no results after some":   {append(answer(2)[:2:2], status("404", "No Results")), -1},
		"one could not be read":   {append(answer(2)[:2:2], status("404", "Message Not Found")), -1},
		"first could not be read": {[]*nats.Msg{status("404", "Message Not Found")}, -1},
		"too many":                {[]*nats.Msg{status("413", "Too Many Results")}, -1},
		"malformed":               {[]*nats.Msg{status("408", "Bad Request")}, -1},
		"no responders":           {[]*nats.Msg{status("503", "")}, -1},
		"without headers":         {[]*nats.Msg{nats.NewMsg("")}, -1},
	} {
		got, err := stream.CollectMulti(func() (*nats.Msg, error) {
			if len(tt.ms) == 0 {
				return nil, errors.New("no answer")
			}
			m := tt.ms[0]
			tt.ms = tt.ms[1:]
			return m, nil
		})
		if (err != nil) != (tt.want < 0) || err == nil && len(got) != tt.want {
			t.Errorf("%s: %d entries, %v; want %d", name, len(got), err, tt.want)
		}
	}
}

func TestReplicasAreNotAskedDirectly(t *testing.T) {
	t.Parallel()
	for cfg, want := range map[struct {
		replicas int
		direct   bool
	}]bool{{1, true}: true, {1, false}: false, {3, true}: false, {3, false}: false, {5, true}: false} {
		if got := stream.OnlyCopy(jetstream.StreamConfig{Replicas: cfg.replicas, AllowDirect: cfg.direct}); got != want {
			t.Errorf("%+v: %t", cfg, got)
		}
	}
}
