package natsd_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
)

// TestDeployedServerKnowsOurRoles runs a stock server on the configuration
// that a deployment gets, and uses its credentials.
func TestDeployedServerKnowsOurRoles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := natsd.Deploy(dir, filepath.Join(dir, "data"), 1)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, d.Config, 0o600); err != nil {
		t.Fatal(err)
	}
	url := stock(t, file)
	if err := stream.Ensure(t.Context(), jetstreamAs(t, url, natsd.Operator, d), stream.Topology{}); err != nil {
		t.Fatal(err)
	}
	publisher := connectAs(t, url, natsd.Issuer, d)
	ack, err := jetstreamAs(t, url, natsd.Issuer, d).Publish(t.Context(), stream.EventSubject("acme", events.TokenIssued), []byte("{}"))
	if err != nil || ack.Stream != stream.IntakeStream {
		t.Fatalf("an issuer's event: %+v, %v", ack, err)
	}
	if _, err := publisher.Request("$JS.API.STREAM.INFO."+stream.LogStream, nil, 300*time.Millisecond); err == nil {
		t.Error("an issuer was told about the log")
	}
	live := follow(t, connectAs(t, url, natsd.Verifier, d), stream.LiveRevocations)
	if _, err := jetstreamAs(t, url, natsd.Projector, d).Publish(t.Context(), stream.RevocationsSubject, []byte("delta")); err != nil {
		t.Fatal(err)
	}
	if m, err := live.NextMsg(wait); err != nil || string(m.Data) != "delta" {
		t.Errorf("a verifier is sent %v, %v", m, err)
	}
}

// The deployed permissions reach the logs of as many shards as they were made
// for.
func TestDeployedServerKnowsOurShards(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := natsd.Deploy(dir, filepath.Join(dir, "data"), 2)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, d.Config, 0o600); err != nil {
		t.Fatal(err)
	}
	url := stock(t, file)
	if err := stream.Ensure(t.Context(), jetstreamAs(t, url, natsd.Operator, d), stream.Topology{Shards: 2}); err != nil {
		t.Fatal(err)
	}
	logs, err := stream.OpenLogs(t.Context(), jetstreamAs(t, url, natsd.Projector, d), 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := logs[1].Append(t.Context(), events.Control, []byte("batch"), 0); err != nil {
		t.Fatal(err)
	}
}

func stock(t *testing.T, file string) string {
	t.Helper()
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !opts.SyncAlways || opts.MaxPayload != natsd.MaxPayload {
		t.Errorf("sync always %v, max payload %d", opts.SyncAlways, opts.MaxPayload)
	}
	opts.Host, opts.Port, opts.HTTPPort, opts.NoSigs = "127.0.0.1", server.RANDOM_PORT, 0, true
	ns, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	go ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(2 * time.Minute) {
		t.Fatal("not ready")
	}
	return ns.ClientURL()
}

func connectAs(t *testing.T, url string, role natsd.Role, d natsd.Deployment) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, natsd.Options(role, d.Creds[role])...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func jetstreamAs(t *testing.T, url string, role natsd.Role, d natsd.Deployment) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(connectAs(t, url, role, d))
	if err != nil {
		t.Fatal(err)
	}
	return js
}
