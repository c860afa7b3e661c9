package stream_test

import (
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// A replay puts the same bytes on the same subject, and is noted beside the
// entry without being one.
func TestReplayIsNoted(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	js := natsdtest.JetStream(t, s, natsd.API)
	kept, err := stream.OpenQuarantine(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	const subject = "rescind.events.acme.token.issued"
	if err := kept.Put(t.Context(), stream.Quarantined{Tenant: "acme", Source: "s", ID: "e-1", Reason: events.ReasonDefect, Subject: subject}); err != nil {
		t.Fatal(err)
	}
	all, err := kept.List(t.Context(), 0, 10)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if r, err := kept.Replayed(t.Context(), all[0]); err != nil || r.Count != 0 {
		t.Errorf("before: %+v, %v", r, err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	for n := 1; n <= 2; n++ {
		done, err := kept.Replay(t.Context(), all[0], stream.Payload{Subject: all[0].ReplaySubject(), ContentType: events.ContentTypeEvent, Body: []byte("payload")}, "admin", now)
		if err != nil || done.Count != n || done.Event != events.EventRef("acme", "s", "e-1") {
			t.Errorf("replay %d: %+v, %v", n, done, err)
		}
		if got, err := kept.Replayed(t.Context(), all[0]); err != nil || got != done {
			t.Errorf("noted %+v, %v; want %+v", got, err, done)
		}
	}
	intake, err := natsdtest.JetStream(t, s, natsd.Operator).Stream(t.Context(), stream.IntakeStream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := intake.GetMsg(t.Context(), 1)
	if err != nil || string(m.Data) != "payload" || m.Subject != subject || m.Header.Get("Content-Type") != events.ContentTypeEvent {
		t.Errorf("in the intake: %+v, %v", m, err)
	}
	if again, err := kept.List(t.Context(), 0, 10); err != nil || len(again) != 1 {
		t.Errorf("the note is listed: %v, %v", again, err)
	}
	if n, err := kept.Entries(t.Context()); err != nil || n != 1 {
		t.Errorf("%d entries, %v; want 1", n, err)
	}
}

func TestReplaySubject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		q    stream.Quarantined
		want string
	}{
		{stream.Quarantined{Subject: "rescind.events.acme.token.issued"}, "rescind.events.acme.token.issued"},
		{stream.Quarantined{Subject: "[withheld]", Tenant: "acme", Type: string(events.TokenIssued)}, ""},
		{stream.Quarantined{Tenant: "acme", Type: string(events.TokenIssued)}, "rescind.events.acme.token.issued"},
		{stream.Quarantined{Tenant: "acme", Type: "dev.rescind.token.lost.v1"}, ""},
		{stream.Quarantined{Type: string(events.TokenIssued)}, ""},
	} {
		if got := c.q.ReplaySubject(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
}
