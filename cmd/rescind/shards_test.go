package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/deployment"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/secrets"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
)

const shards = 3

// plant is a NATS server with a writer process for each shard and one revoker.
type plant struct {
	nats    *natsd.Server
	keys    *secrets.Folder
	tenants []string // one of each shard
	logs    []*stream.Log
	pub     *stream.Publisher
	sent    int
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	dir := t.TempDir()
	if _, err := deployment.Init(deployment.Config{Secrets: dir, Shards: shards, Database: "rescind"}); err != nil {
		t.Fatal(err)
	}
	keys, err := secrets.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{keys: keys, nats: natsdtest.StartIn(t, natsd.Config{Dir: dir, Shards: shards}), tenants: make([]string, shards)}
	for i := 0; slices.Contains(p.tenants, ""); i++ {
		name := fmt.Sprintf("tenant-%d", i)
		p.tenants[events.ShardOf(name, shards)] = name
	}
	js := natsdtest.JetStream(t, p.nats, natsd.Projector)
	if p.logs, err = stream.OpenLogs(t.Context(), js, shards); err != nil {
		t.Fatal(err)
	}
	p.pub, err = stream.NewPublisher(stream.PublisherConfig{Conn: natsdtest.Connect(t, p.nats, natsd.Issuer), Environment: "test", Source: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.pub.Close(t.Context()) })
	return p
}

// serve runs roles in a process of their own until the test ends or the
// function that it returns is called, which is kill -9.
func (p *plant) serve(t *testing.T, args ...string) (kill func()) {
	t.Helper()
	exe, err := exec.LookPath("rescind")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, append([]string{
		"serve", "--profile", "dev", "--environment", "test", "--log", "warn", "--http-operation-addr", "127.0.0.1:0", "--shards", fmt.Sprint(shards), "--nats-url", p.nats.URL(),
		"--nats-projector-creds", p.nats.CredsFile(natsd.Projector), "--keys-root", "dir:" + p.keys.Root(), "--keys-feed", "file:" + p.keys.Feed(),
	}, args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { _ = cmd.Process.Signal(syscall.SIGKILL); _ = cmd.Wait() } // it may be gone
	t.Cleanup(kill)
	return kill
}

// revoke revokes a token in the tenant of each shard and returns its id.
func (p *plant) revoke(t *testing.T) (jti string) {
	t.Helper()
	p.sent++
	jti = fmt.Sprint("token-", p.sent)
	for _, tenant := range p.tenants {
		err := p.pub.Publish(t.Context(), events.Event{ID: jti, Type: events.TokenRevoked, Tenant: tenant, Data: events.Data{
			Issuer: "https://id.example", TokenID: jti, Reason: "logout",
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return jti
}

// logged counts the records with the id jti in a log.
func (p *plant) logged(t *testing.T, shard int, jti string) (n int) {
	t.Helper()
	last, err := p.logs[shard].Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= last.Seq; seq++ {
		m, err := p.logs[shard].Get(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		b, err := events.UnmarshalBatch(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range b.Items {
			if r, err := events.UnmarshalRecord(item.Record); err != nil || r.ID == jti {
				n++
			}
		}
	}
	return n
}

func (p *plant) state(t *testing.T, view *feed.Feed, shard int, jti string) revocation.State {
	t.Helper()
	return view.Decide(revocation.Claims{Tenant: p.tenants[shard], Issuer: "https://id.example", TokenID: jti, IssuedAt: events.TimestampOf(time.Now())}).State
}

// TestKillOfOneShardsWriter kills the writer of one shard: the others go on, up
// to the verifiers, what is of its tenants waits, and comes once it is back.
func TestKillOfOneShardsWriter(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	writers := make([]func(), shards)
	for k := range writers {
		writers[k] = p.serve(t, "--roles", "intake", "--shard", fmt.Sprint(k))
	}
	p.serve(t, "--roles", "revoke")
	public, err := p.keys.FeedPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	view := feed.New(feed.Config{Conn: natsdtest.Connect(t, p.nats, natsd.Verifier), PublicKey: public})
	feedtest.Go(t, view.Run)
	first := p.revoke(t)
	for k := range shards {
		feedtest.Eventually(t, "the first revocation", func() bool { return p.state(t, view, k, first) == revocation.Revoked })
	}

	writers[1]()
	second := p.revoke(t)
	for _, k := range []int{0, 2} {
		feedtest.Eventually(t, "the revocation in the other shards", func() bool { return p.state(t, view, k, second) == revocation.Revoked })
	}
	if p.logged(t, 1, second) != 0 || p.state(t, view, 1, second) == revocation.Revoked {
		t.Error("somebody wrote the shard whose writer is dead")
	}

	p.serve(t, "--roles", "intake", "--shard", "1")
	feedtest.Eventually(t, "the revocation that waited", func() bool { return p.state(t, view, 1, second) == revocation.Revoked })
	for k := range shards {
		for _, jti := range []string{first, second} {
			if n := p.logged(t, k, jti); n != 1 {
				t.Errorf("shard %d has %s %d times", k, jti, n)
			}
		}
	}
}

// TestServeRefusesAnotherNumberOfShards, whatever role it is and whether or not
// it may change the streams.
func TestServeRefusesAnotherNumberOfShards(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	exe, err := exec.LookPath("rescind")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--roles", "intake"}, {"--roles", "revoke"}, {"--roles", "audit", "--clickhouse-addr", "127.0.0.1:1"},
		{"--roles", "intake", "--nats-operator-creds", p.nats.CredsFile(natsd.Operator)},
	} {
		out, err := exec.Command(exe, append([]string{
			"serve", "--profile", "dev", "--environment", "test", "--shards", "2", "--nats-url", p.nats.URL(),
			"--nats-projector-creds", p.nats.CredsFile(natsd.Projector), "--keys-root", "dir:" + p.keys.Root(), "--keys-feed", "file:" + p.keys.Feed(),
		}, args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "made for shards: 3") || !strings.Contains(string(out), "without their past") {
			t.Errorf("%v: %v, %s", args, err, out)
		}
	}
}
