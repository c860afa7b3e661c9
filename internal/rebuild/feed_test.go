package rebuild_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/rebuild"
	"github.com/rescindhq/rescind/internal/secrets"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/projector/revoke"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

// noKeys leaves requests for feed keys to the writer at work.
type noKeys struct{}

func (noKeys) Keys(context.Context) ([]events.FeedKey, error) { return nil, os.ErrNotExist }

func (b *bench) feed(ctx context.Context, progress func(string)) error {
	b.t.Helper()
	pem, err := os.ReadFile(b.Keys.Feed())
	if err != nil {
		b.t.Fatal(err)
	}
	key, err := secrets.ParseFeedKey(pem)
	if err != nil {
		b.t.Fatal(err)
	}
	return rebuild.Feed(ctx, rebuild.FeedConfig{
		Operator: natsdtest.Connect(b.t, b.NATS, natsd.Operator), Topology: stream.Topology{Shards: len(b.logs), IntakeMaxBytes: 128 << 20}, Progress: progress,
		Revoker: revoke.Config{Conn: natsdtest.Connect(b.t, b.NATS, natsd.Projector), Shards: len(b.logs), Key: key, Keys: noKeys{}},
	})
}

func (b *bench) revoke(jti string) {
	b.t.Helper()
	b.revokeOf("acme", jti)
}

func (b *bench) revokeOf(tenant, jti string) {
	b.t.Helper()
	in := map[string]any{"tenant": tenant, "scope": "token", "iss": workload.Issuer, "jti": jti, "reason": "logout"}
	if err := client.New(b.File.HTTP, b.File.Tokens["admin"]).Call(b.t.Context(), "POST", "/v1/revocations", in, nil); err != nil {
		b.t.Fatal(err)
	}
}

// follow is a verifier.
func (b *bench) follow() *feed.Feed {
	b.t.Helper()
	public, err := b.Keys.FeedPublicKey()
	if err != nil {
		b.t.Fatal(err)
	}
	f := feed.New(feed.Config{Conn: natsdtest.Connect(b.t, b.NATS, natsd.Verifier), PublicKey: public})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	b.t.Cleanup(func() { cancel(); <-done })
	return f
}

func (b *bench) sees(f *feed.Feed, jti string, want revocation.State) {
	b.t.Helper()
	b.seesOf("acme", f, jti, want)
}

func (b *bench) seesOf(tenant string, f *feed.Feed, jti string, want revocation.State) {
	b.t.Helper()
	devtest.Eventually(b.t, fmt.Sprintf("%s is %s", jti, want), func() (bool, error) {
		d := f.Decide(revocation.Claims{Tenant: tenant, Issuer: workload.Issuer, TokenID: jti, IssuedAt: events.TimestampOf(time.Now())})
		return d.State == want, nil
	})
}

// TestFeedIsRebuilt spoils the feed, rebuilds it while a verifier follows, and
// is killed at each step before that.
func TestFeedIsRebuilt(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, jti := range []string{"t-1", "t-2"} {
		b.revoke(jti)
	}
	view := b.follow()
	b.sees(view, "t-2", revocation.Revoked)
	b.clean()
	objects, err := b.js(natsd.Projector).ObjectStore(t.Context(), stream.SnapshotBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objects.PutBytes(t.Context(), revocation.SnapshotObject, make([]byte, 200)); err != nil {
		t.Fatal(err)
	}
	if r, err := b.verify(t.Context(), b.db); err != nil || r.Clean() {
		t.Fatalf("tampering was not found: %v", err)
	}
	for n := range 6 {
		ctx, kill := context.WithCancel(t.Context())
		seen := 0
		if err := b.feed(ctx, func(string) {
			if seen == n {
				kill()
			}
			seen++
		}); err == nil {
			t.Errorf("killed before step %d, and yet it came to its end", n)
		}
		kill()
	}
	if err := b.feed(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	b.clean()
	b.sees(view, "t-1", revocation.Revoked)
	b.sees(view, "t-3", revocation.Active)
	b.revoke("t-3")
	b.sees(view, "t-3", revocation.Revoked)
	b.sees(b.follow(), "t-2", revocation.Revoked)
	b.clean()
}

// TestAFeedThatCannotBeMade has a log that cannot be decoded: what is there stays
// where that was so before, and it is told where it came meanwhile.
func TestAFeedThatCannotBeMade(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	log, err := stream.OpenLog(t.Context(), natsdtest.JetStream(t, s, natsd.Projector))
	if err != nil {
		t.Fatal(err)
	}
	spoil := func() {
		if _, err := log.Append(t.Context(), events.Control, []byte("no batch"), 0); err != nil {
			t.Error(err)
		}
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := rebuild.FeedConfig{
		Operator: natsdtest.Connect(t, s, natsd.Operator), Topology: stream.Topology{Shards: 1, IntakeMaxBytes: 128 << 20},
		Revoker: revoke.Config{Conn: natsdtest.Connect(t, s, natsd.Projector), Key: key, Keys: noKeys{}},
	}
	if err := rebuild.Feed(t.Context(), cfg); err != nil {
		t.Fatalf("before: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg.Progress = func(step string) {
		if step == "store a snapshot" {
			spoil()
		}
	}
	if err := rebuild.Feed(ctx, cfg); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "seq=1") {
		t.Errorf("its writer stopped meanwhile: %v", err)
	}
	deltas, err := natsdtest.JetStream(t, s, natsd.API).Stream(t.Context(), stream.RevocationsStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := rebuild.Feed(ctx, cfg); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "seq=1") {
		t.Errorf("its writer cannot begin: %v", err)
	}
	if now, err := deltas.Info(t.Context()); err != nil || !now.Created.Equal(deltas.CachedInfo().Created) {
		t.Errorf("the deltas were taken away: %v", err)
	}
}
