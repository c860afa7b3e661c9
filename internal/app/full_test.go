package app_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/app"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// TestAFullIntakeIsDrained starts an intake where publishers have filled the
// stream that its own start is published to: only the intake can empty it.
func TestAFullIntakeIsDrained(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.config(config.RoleIntake)
	c.NATS.IntakeMaxBytes = 8 << 20
	js := natsdtest.JetStream(t, s.nats, natsd.Operator)
	started := func(n int) func() (bool, error) {
		return func() (bool, error) { return s.starts(t, js) == n, nil }
	}
	t.Run("before", func(t *testing.T) {
		run(t, c)
		eventually(t, "the first start on the log", started(1))
	})
	fill(t, natsdtest.JetStream(t, s.nats, natsd.Issuer))

	run(t, c)
	eventually(t, "an empty intake", func() (bool, error) {
		in, err := js.Stream(t.Context(), stream.IntakeStream)
		return err == nil && in.CachedInfo().State.Msgs == 0, err
	})
	eventually(t, "the second start on the log", started(2))
}

// TestAFullIntakeOfAnEmptyLog says what to do where nothing was ever logged: the
// first record of a log has to be the start of its writer.
func TestAFullIntakeOfAnEmptyLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.config(config.RoleIntake)
	c.NATS.IntakeMaxBytes = 8 << 20
	log := slog.New(slog.DiscardHandler)
	c.ClickHouse.MigratorUser = "" // only the streams
	if err := app.Migrate(t.Context(), app.Config{Config: c, Log: log}); err != nil {
		t.Fatal(err)
	}
	fill(t, natsdtest.JetStream(t, s.nats, natsd.Issuer))
	err := app.Run(t.Context(), app.Config{Config: c, Log: log})
	if err == nil || !strings.Contains(err.Error(), "nats.intake_max_bytes") {
		t.Fatalf("got %v, want what to do", err)
	}
	c.NATS.IntakeMaxBytes = 16 << 20
	run(t, c)
}

// fill publishes batches until the intake takes no more, not even an empty one.
func fill(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for n, size := 0, 1000; ; n++ {
		m := nats.NewMsg(stream.EventSubject("acme", events.TokenIssued))
		m.Header.Set("Content-Type", "application/cloudevents-batch+json")
		m.Data = issuedBatch(t, n, size)
		_, err := js.PublishMsg(t.Context(), m)
		full := (*jetstream.APIError)(nil)
		switch {
		case errors.As(err, &full) && size == 0:
			return
		case errors.As(err, &full):
			size /= 10
		case err != nil:
			t.Fatal(err)
		}
	}
}

func issuedBatch(t *testing.T, n, size int) []byte {
	t.Helper()
	all := make([]string, size)
	for i := range all {
		body, err := events.MarshalEvent(&events.Event{
			ID: fmt.Sprintf("e-%d-%d", n, i), Source: "s", Type: events.TokenIssued, Time: time.Now().UTC(), Tenant: "acme", Environment: "test",
			Data: events.Data{Issuer: "i", TokenID: fmt.Sprintf("t-%d-%d", n, i), Subject: "u"},
		})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = string(body)
	}
	return []byte("[" + strings.Join(all, ",") + "]")
}

// starts is how many starts of a writer are on the log.
func (s *site) starts(t *testing.T, js jetstream.JetStream) (n int) {
	t.Helper()
	log, err := stream.OpenLog(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	last, err := log.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= last.Seq; seq++ {
		m, err := log.Get(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := events.UnmarshalBatch(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch.Items {
			r, err := events.UnmarshalRecord(e.Record)
			if err != nil {
				t.Fatal(err)
			}
			if r.Type == events.SystemStarted {
				n++
			}
		}
	}
	return n
}
