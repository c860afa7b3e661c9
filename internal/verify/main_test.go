package verify_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/verify"
	"github.com/rescindhq/rescind/internal/workload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(enginetest.M{M: m}) }

const patience = 40 * time.Second

// bench is a whole deployment with a history: events, revocations of every
// kind, a lift, an erasure.
type bench struct {
	*dev.Stack
	t    testing.TB
	db   driver.Conn
	nc   *nats.Conn // of the auditor
	feed ed25519.PublicKey

	shards int
}

func start(t *testing.T) *bench { return startFor(t, dev.Options{Dir: t.TempDir()}) }

func startFor(t testing.TB, o dev.Options) *bench {
	t.Helper()
	s, err := dev.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	b := &bench{Stack: s, t: t, shards: max(o.Shards, 1)}
	if b.feed, err = s.Keys.FeedPublicKey(); err != nil {
		t.Fatal(err)
	}
	b.db, b.nc = b.open(), b.connect(natsd.Auditor)
	return b
}

func (b *bench) connect(role natsd.Role) *nats.Conn {
	b.t.Helper()
	nc, err := b.NATS.Connect(role)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	return nc
}

func (b *bench) open() driver.Conn {
	b.t.Helper()
	c := b.File.ClickHouse
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{c.Addr}, Auth: clickhouse.Auth{Database: c.Database, Username: c.User, Password: c.Password}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

// history makes n token events, then revocations, a lift and an erasure, and
// waits until all of it is in the stores.
func (b *bench) history(n int) {
	b.t.Helper()
	b.publish(workload.New(workload.Config{Seed: 7, Subjects: 20}).Batch(n))
	admin := client.New(b.File.HTTP, b.File.Tokens["admin"])
	var made struct {
		ID string `json:"id"`
	}
	for _, in := range []map[string]any{
		{"scope": "subject", "sub": "user-1", "reason": "compromised"}, {"scope": "client", "client_id": "app", "reason": "policy"},
		{"scope": "key", "kid": "k9", "reason": "compromised"}, {"scope": "session", "sid": "s-1", "reason": "logout"},
		{"scope": "token", "jti": "t-9", "exp": time.Now().Add(time.Hour).Unix(), "reason": "logout"},
	} {
		in["tenant"], in["iss"] = "acme", workload.Issuer
		b.call(admin, "POST", "/v1/revocations", in, &made)
	}
	b.projected()
	b.call(admin, "POST", "/v1/revocations/"+made.ID+"/lift", map[string]any{"reason": "mistake"}, nil)
	b.erase("user-2")
	again := workload.New(workload.Config{Seed: 8, Subjects: 20})
	for range 3 {
		b.publish(again.Batch(n / 3))
	}
	b.projected()
}

func (b *bench) publish(evs []events.Event) {
	b.t.Helper()
	pub, err := stream.NewPublisher(stream.PublisherConfig{Conn: b.connect(natsd.API), Environment: dev.Environment})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, ev := range evs {
		if err := pub.Queue(b.t.Context(), ev); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := pub.Close(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) call(c *client.Client, method, path string, in, out any) {
	b.t.Helper()
	if err := c.Call(b.t.Context(), method, path, in, out); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) erase(sub string) {
	b.t.Helper()
	handler, approver := client.New(b.File.HTTP, b.File.Tokens["handler"]), client.New(b.File.HTTP, b.File.Tokens["approver"])
	var r struct {
		ID    string `json:"id"`
		State string `json:"state"`
	}
	b.call(handler, "POST", "/v1/requests", map[string]any{"type": "erasure", "regulation": "gdpr", "tenant": "acme",
		"subject": map[string]string{"iss": workload.Issuer, "sub": sub}}, &r)
	path := "/v1/requests/" + r.ID
	b.call(handler, "POST", path+"/verify", map[string]any{}, nil)
	b.call(approver, "POST", path+"/approve", map[string]any{}, nil)
	b.eventually("erasure of "+sub, func() bool {
		b.call(handler, "GET", path, nil, &r)
		return r.State == "completed"
	})
}

func (b *bench) eventually(what string, done func() bool) {
	b.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			b.t.Fatalf("%s: not within %s", what, patience)
		case <-tick.C:
		}
	}
}

// projected waits until ClickHouse and the feed have all of the log.
func (b *bench) projected() {
	b.t.Helper()
	b.eventually("the stores to catch up", func() bool {
		return !slices.ContainsFunc(b.verifyAll(verify.Config{}), func(r *verify.Report) bool {
			return r.ClickHouse.NotProjected > 0 || r.Feed.NotInFeed > 0 || r.ClickHouse.Position != r.Log.Records || r.Log.Records == 0
		})
	})
}

// verify is the report of the one shard that is verified.
func (b *bench) verify(cfg verify.Config) *verify.Report {
	b.t.Helper()
	all := b.verifyAll(cfg)
	if len(all) != 1 {
		b.t.Fatalf("%d reports", len(all))
	}
	return all[0]
}

func (b *bench) verifyAll(cfg verify.Config) verify.Reports {
	b.t.Helper()
	r, err := b.run(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) run(cfg verify.Config) (verify.Reports, error) {
	if cfg.NATS == nil {
		cfg.NATS = b.nc
	}
	if cfg.ClickHouse == nil {
		cfg.ClickHouse = b.db
	}
	if cfg.FeedKey == nil {
		cfg.FeedKey = b.feed
	}
	if cfg.Shards == 0 {
		cfg.Shards = b.shards
	}
	return verify.Run(b.t.Context(), cfg)
}

func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	ctx := clickhouse.Context(b.t.Context(), clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
	if err := b.db.Exec(ctx, fmt.Sprintf(sql, args...)); err != nil {
		b.t.Fatal(err)
	}
}

// ask is the one number that a query yields.
func (b *bench) ask(sql string, args ...any) (n uint64) {
	b.t.Helper()
	if err := b.db.QueryRow(b.t.Context(), fmt.Sprintf(sql, args...)).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// finds fails the test unless the report has exactly these differences, each
// as place, kind, index and, after a space, column; those of another shard than
// the first with "shard N" in front.
func finds(t *testing.T, r *verify.Report, want ...string) {
	t.Helper()
	var got []string
	for _, d := range r.Differences {
		line := strings.TrimSpace(fmt.Sprintf("%s %s %d %s", d.Place, d.Kind, d.Index, d.Column))
		if d.Shard > 0 {
			line = fmt.Sprintf("shard %d %s", d.Shard, line)
		}
		got = append(got, line)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		for _, d := range r.Differences {
			t.Log(d)
		}
	}
	if r.Clean != (len(want) == 0) {
		t.Errorf("clean: %v with %d differences", r.Clean, r.Total)
	}
}
