package stream

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestAnswersThatAreNotWhole: a message that got lost on the way is not taken
// for one that is not there.
func TestAnswersThatAreNotWhole(t *testing.T) {
	t.Parallel()
	message := func(headers ...string) *nats.Msg {
		m := nats.NewMsg("inbox")
		for i := 0; i < len(headers); i += 2 {
			m.Header.Set(headers[i], headers[i+1])
		}
		return m
	}
	at := func(seq, before string) *nats.Msg {
		return message("Nats-Sequence", seq, "Nats-Last-Sequence", before, "Nats-Time-Stamp", "2026-11-22T00:00:00Z", "Nats-Subject", "s")
	}
	end := func(before string) *nats.Msg { return message("Status", "204", "Nats-Last-Sequence", before) }
	for name, c := range map[string]struct {
		answer []*nats.Msg
		whole  bool
	}{
		"whole":                {[]*nats.Msg{at("3", "0"), at("7", "3"), end("7")}, true},
		"none":                 {[]*nats.Msg{message("Status", "404")}, true},
		"one in the middle":    {[]*nats.Msg{at("3", "0"), at("9", "7"), end("9")}, false},
		"the last":             {[]*nats.Msg{at("3", "0"), end("7")}, false},
		"all":                  {[]*nats.Msg{end("7")}, false},
		"the sequence":         {[]*nats.Msg{message("Nats-Time-Stamp", "2026-11-22T00:00:00Z"), end("7")}, false},
		"404 behind a message": {[]*nats.Msg{at("3", "0"), message("Status", "404")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var page []stored
			var done bool
			var err error
			for _, m := range c.answer {
				if page, done, err = addNext(page, m); done || err != nil {
					break
				}
			}
			if whole := done && err == nil; whole != c.whole || !c.whole && name != "404 behind a message" && !errors.Is(err, errBrokenAnswer) {
				t.Errorf("done %v with %d messages: %v", done, len(page), err)
			}
		})
	}
}
