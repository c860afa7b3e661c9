package crash_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/crash"
	"github.com/rescindhq/rescind/revocation"
)

// replace removes a stream and has it made anew while everything runs.
func replace(t *testing.T, s *crash.Site, name string) {
	t.Helper()
	js := s.Streams()
	if err := js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := stream.Ensure(t.Context(), js, stream.Topology{}); err != nil {
		t.Fatal(err)
	}
}

// endedWith is nil once the process has ended by itself and said text.
func endedWith(p *crash.Process, text string) func() error {
	return func() error {
		ends := p.Ends()
		if !slices.ContainsFunc(ends, func(why string) bool { return strings.Contains(why, text) }) {
			return fmt.Errorf("%s ended with %q", p.Name, ends)
		}
		return nil
	}
}

// said is nil once a line of the process's log holds all texts.
func said(p *crash.Process, texts ...string) func() error {
	return func() error {
		if _, ok := p.Said(texts...); !ok {
			return fmt.Errorf("%s has not said %q", p.Name, texts)
		}
		return nil
	}
}

// TestLogReplaced: every role stops and says why, none works on the new log,
// and no verifier calls a token active that was revoked in the old one.
func TestLogReplaced(t *testing.T) {
	t.Parallel()
	s := crash.NewSite(t, crash.Options{})
	l := crash.StartLoad(s, 1)
	s.Await("records", s.Records(5))
	old := s.Follow() // a verifier that was there before
	revoked := l.Revoked()
	if len(revoked) == 0 {
		t.Fatal("nothing was revoked")
	}
	for _, c := range revoked {
		s.Await("the refusal", func() error {
			if d := old.Decide(c); d.State != revocation.Revoked {
				return fmt.Errorf("%s %s", d.State, d.Cause)
			}
			return nil
		})
	}
	replace(t, s, stream.LogStream)
	for _, p := range s.Roles {
		s.Await(p.Name+" refuses", endedWith(p, "the log was replaced"))
	}
	fresh := s.Follow()
	for _, c := range revoked {
		if d := old.Decide(c); d.State != revocation.Revoked {
			t.Errorf("a verifier that was there before says %s %s", d.State, d.Cause)
		}
		if d := fresh.Decide(c); d.State == revocation.Active {
			t.Error("a verifier that starts now says active")
		}
	}
	log, err := s.Streams().Stream(t.Context(), stream.LogStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := log.CachedInfo().State.LastSeq; n > 0 {
		t.Errorf("%d batches were appended to the new log", n)
	}
}

// TestIntakeReplaced: the intake says so, and goes on with the new stream; what
// it had not taken from the old one is gone with that, and nothing else.
func TestIntakeReplaced(t *testing.T) {
	t.Parallel()
	s := crash.NewSite(t, crash.Options{})
	l := crash.StartLoad(s, 1)
	s.Await("records", s.Records(5))
	l.Stop() // so that it is known what was taken
	s.Settle()
	replace(t, s, stream.IntakeStream)
	s.Await("the intake says so", said(s.Role("intake"), "replaced"))
	again := crash.StartLoad(s, 100)
	s.Await("events", again.More(200))
	s.Await("records", s.Records(5))
	again.Join(l.Heard())
	s.Verify(again)
	s.Sound()
}
