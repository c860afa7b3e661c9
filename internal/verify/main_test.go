package verify_test

import (
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
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/verify"
	"github.com/rescindhq/rescind/internal/workload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(enginetest.M{M: m}) }

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
	s := devtest.Start(t, o)
	b := &bench{Stack: s, t: t, shards: max(o.Shards, 1)}
	var err error
	if b.feed, err = s.Keys.FeedPublicKey(); err != nil {
		t.Fatal(err)
	}
	b.db, b.nc = devtest.Database(t, s), natsdtest.Connect(t, s.NATS, natsd.Auditor)
	return b
}

// of is b in the hands of a subtest.
func (b *bench) of(t *testing.T) *bench {
	its := *b
	its.t = t
	return &its
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
	devtest.Publish(b.t, b.Stack, evs)
}

func (b *bench) call(c *client.Client, method, path string, in, out any) {
	b.t.Helper()
	if err := c.Call(b.t.Context(), method, path, in, out); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) erase(sub string) {
	b.t.Helper()
	devtest.Forget(b.t, b.Stack, "acme", workload.Issuer, sub)
}

func (b *bench) eventually(what string, done func() bool) {
	b.t.Helper()
	devtest.Eventually(b.t, what, func() (bool, error) { return done(), nil })
}

// projected waits until the log has all that was published, and ClickHouse and
// the feed have all of the log.
func (b *bench) projected() {
	b.t.Helper()
	devtest.Drained(b.t, b.Stack)
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
