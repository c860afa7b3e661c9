package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/workload"
)

// TestKillDev kills a whole `rescind dev` at once, under load, several times:
// whatever was acknowledged is there once afterwards, found by the next one in
// the same folder. What happens when its parts die one by one, as they do in a
// deployment, is in internal/crash.
func TestKillDev(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acked := map[string]bool{}
	gen := workload.New(workload.Config{Seed: 9, Subjects: 50})
	for round := range 3 {
		f, kill := runDev(t, dir)
		revoke := map[string]string{"tenant": "acme", "scope": "token", "iss": workload.Issuer, "jti": fmt.Sprint("killed-", round), "reason": "logout"}
		if err := client.New(f.HTTP, f.Tokens["admin"]).Call(t.Context(), "POST", "/v1/revocations", revoke, nil); err != nil {
			t.Fatal(err)
		}
		load(t, f, gen, acked, time.AfterFunc(time.Duration(300+200*round)*time.Millisecond, kill))
	}
	f, _ := runDev(t, dir)
	for id, n := range stored(t, f, acked) {
		if n != 1 {
			t.Errorf("event %s is there %d times", id, n)
		}
	}
	for round := range 3 {
		var got client.Checked
		in := map[string]any{"tenant": "acme", "claims": map[string]any{"iss": workload.Issuer, "jti": fmt.Sprint("killed-", round)}}
		if err := client.New(f.HTTP, f.Tokens["verifier"]).Call(t.Context(), "POST", "/v1/check", in, &got); err != nil || got.Decision != "revoked" {
			t.Errorf("revocation of round %d: %+v, %v", round, got, err)
		}
	}
}

// runDev starts `rescind dev` as a process of its own and returns how to kill
// it. The ClickHouse child dies with it.
func runDev(t *testing.T, dir string) (*dev.File, func()) {
	t.Helper()
	os.Remove(filepath.Join(dir, "dev.json")) // of a process that was killed
	exe, err := exec.LookPath("rescind")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "dev", "--data", dir, "--quiet")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = cmd.Process.Signal(syscall.SIGKILL) } // it may be gone
	t.Cleanup(func() { kill(); _ = cmd.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if f, err := dev.ReadFile(dir); err == nil {
			return f, kill
		}
		select {
		case <-ctx.Done():
			t.Fatal("not ready in time")
		case <-tick.C:
		}
	}
}

// load publishes one event after the other until the process is killed, and
// notes what was acknowledged.
func load(t *testing.T, f *dev.File, gen *workload.Generator, acked map[string]bool, killing *time.Timer) {
	t.Helper()
	defer killing.Stop()
	nc, err := nats.Connect(f.NATS, nats.UserCredentials(f.NATSCreds["issuer"]), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	pub, err := stream.NewPublisher(stream.PublisherConfig{Conn: nc, Environment: dev.Environment, RetryFor: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for {
		ev := gen.Next()
		if ev.Type != events.TokenIssued && ev.Type != events.TokenRefreshed { // what an issuer may publish
			continue
		}
		if err := pub.Publish(t.Context(), ev); err != nil {
			return
		}
		acked[ev.ID] = true
	}
}

// stored counts the rows of each id once all that were acknowledged are there.
// What was under way when the process died may be there, too.
func stored(t *testing.T, f *dev.File, acked map[string]bool) map[string]int {
	t.Helper()
	c := f.ClickHouse
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{c.Addr}, Auth: clickhouse.Auth{Database: c.Database, Username: c.User, Password: c.Password}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	deadline := time.After(patience)
	for {
		ids := map[string]int{}
		rows, err := conn.Query(t.Context(), "SELECT id FROM events WHERE type LIKE 'dev.rescind.token.%' AND type != 'dev.rescind.token.revoked.v1'")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			ids[id]++
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		missing := len(acked)
		for id := range acked {
			missing -= min(1, ids[id])
		}
		if missing == 0 {
			return ids
		}
		select {
		case <-deadline:
			t.Fatalf("%d of %d acknowledged events are missing", missing, len(acked))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
