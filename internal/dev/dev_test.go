package dev_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(enginetest.M{M: m}) }

// start runs a stack in dir until the test ends.
func start(t *testing.T, dir string) *dev.Stack {
	t.Helper()
	return devtest.Start(t, dev.Options{Dir: dir})
}

// TestDoors tries each way in, of a stack that they share.
func TestDoors(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	for name, test := range map[string]func(*testing.T, *dev.Stack){
		"a plain client": testPlainClient, "too large on NATS": testTooLargeOnNATS, "unauthorised publishers": testUnauthorisedPublishers,
		"bad bodies over HTTP": testBadBodiesOverHTTP, "bad access tokens": testBadAccessTokens, "prefer wait": testPreferWait,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

// standing is what the log and ClickHouse hold, as one query says.
type standing struct{ rows, ids, first, next uint64 }

func read(t *testing.T, db driver.Conn) (s standing, err error) {
	t.Helper()
	err = db.QueryRow(t.Context(), "SELECT count(), uniqExact(tenant, source, id), min(index), max(index) + 1 FROM events").Scan(&s.rows, &s.ids, &s.first, &s.next)
	return s, err
}

// whole fails the test unless every record is there once and the index has no
// hole.
func whole(t *testing.T, s standing) {
	t.Helper()
	if s.rows != s.ids || s.first != 0 || s.next != s.rows {
		t.Errorf("rows %d, ids %d, index %d to %d: want each once and no hole", s.rows, s.ids, s.first, s.next)
	}
}

func tokens(t *testing.T, db driver.Conn) (n uint64, err error) {
	t.Helper()
	err = db.QueryRow(t.Context(), "SELECT count() FROM events WHERE type LIKE 'dev.rescind.token.%'").Scan(&n)
	return n, err
}

// testPlainClient publishes as a client does that knows CloudEvents and NATS
// and has never heard of our SDK.
func testPlainClient(t *testing.T, s *dev.Stack) {
	nc, err := nats.Connect(s.File.NATS, nats.UserCredentials(s.File.NATSCreds["issuer"]))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"specversion":"1.0","id":"e-1","source":"https://id.example","type":"dev.rescind.token.issued.v1","time":%q,
		"data":{"iss":"https://id.example","sub":"alice","jti":"t-1","iat":%d,"exp":%d,"alg":"ES256","kid":"k1"}}`,
		time.Now().UTC().Format(time.RFC3339), time.Now().Unix(), time.Now().Add(time.Minute).Unix())
	if _, err := js.Publish(t.Context(), "rescind.events.acme.token.issued", []byte(body)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	officer := client.New(s.File.HTTP, s.File.Tokens["officer"])
	devtest.Eventually(t, "the event in a search", func() (bool, error) {
		var got client.Trail
		err := officer.Call(t.Context(), "POST", "/v1/audit/search", map[string]any{"tenant": "acme", "issuer": "https://id.example", "subject": "alice"}, &got)
		return len(got.Events) > 0 && got.Events[0].ID == "e-1", err
	})
	t.Logf("found after %s", time.Since(began))
}

// arrive waits until there are n rows of tokens, for as long as more come.
func arrive(t *testing.T, db driver.Conn, n uint64) {
	t.Helper()
	devtest.Arrives(t, fmt.Sprint(n, " rows"), func() (uint64, bool, error) {
		got, err := tokens(t, db)
		return got, got >= n, err
	})
}

// TestThousandsOnce sends the same events twice.
func TestThousandsOnce(t *testing.T) {
	t.Parallel()
	const n = 4000
	s := start(t, t.TempDir())
	db := devtest.Database(t, s)
	gen := workload.New(workload.Config{Seed: 1, Subjects: 1000})
	evs := gen.Batch(n)
	for range 2 {
		devtest.Publish(t, s, evs)
		arrive(t, db, n)
	}
	// Something behind the repeated events shows that they were read.
	devtest.Publish(t, s, []events.Event{gen.Next()})
	devtest.Drained(t, s)
	arrive(t, db, n+1)
	if got, err := tokens(t, db); err != nil || got != n+1 {
		t.Errorf("rows: %d, %v; want %d", got, err, n+1)
	}
	got, err := read(t, db)
	if err != nil {
		t.Fatal(err)
	}
	whole(t, got)
}

// TestClickHouseAway takes ClickHouse away under load: first it hangs, then it
// dies. Revocations reach a verifier all the while, and afterwards every row
// is there once.
func TestClickHouseAway(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	view := follow(t, s)
	gen := workload.New(workload.Config{Seed: 2, Subjects: 100})
	sent := 0
	load := func() {
		devtest.Publish(t, s, gen.Batch(500))
		sent += 500
	}
	load()
	if err := s.Engine.Pause(); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		load()
		revokeAndSee(t, s, view, fmt.Sprintf("away-%d", n))
	}
	if err := s.Engine.Resume(); err != nil {
		t.Fatal(err)
	}
	load()
	if err := s.Engine.Kill(); err != nil {
		t.Fatal(err)
	}
	load()
	revokeAndSee(t, s, view, "dead")
	db := devtest.Database(t, s)
	devtest.Drained(t, s)
	arrive(t, db, uint64(sent)+6)
	if got, err := tokens(t, db); err != nil || got != uint64(sent)+6 {
		t.Errorf("rows: %d, %v; want %d", got, err, sent+6)
	}
	got, err := read(t, db)
	if err != nil {
		t.Fatal(err)
	}
	whole(t, got)
}

// follow is a verifier's view of the revocation set.
func follow(t *testing.T, s *dev.Stack) *feed.Feed {
	t.Helper()
	public, err := s.Keys.FeedPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	f := feed.New(feed.Config{Conn: natsdtest.Connect(t, s.NATS, natsd.Verifier), PublicKey: public})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-f.Ready():
	case <-time.After(devtest.Patience):
		t.Fatal("the feed is not ready")
	}
	return f
}

// staysRevoked has a view that is new say so of a token: it may not know its
// tenant's key for a moment, but must never call it active.
func staysRevoked(t *testing.T, view *feed.Feed, c revocation.Claims) {
	t.Helper()
	devtest.Eventually(t, "the refusal of what was revoked before", func() (bool, error) {
		d := view.Decide(c)
		if d.State == revocation.Active {
			t.Fatalf("%s: %+v", c.Tenant, d)
		}
		return d.State == revocation.Revoked, nil
	})
}

func revokeAndSee(t *testing.T, s *dev.Stack, view *feed.Feed, jti string) {
	t.Helper()
	admin := client.New(s.File.HTTP, s.File.Tokens["admin"])
	in := map[string]string{"tenant": "acme", "scope": "token", "iss": workload.Issuer, "jti": jti, "reason": "logout"}
	if err := admin.Call(t.Context(), "POST", "/v1/revocations", in, nil); err != nil {
		t.Fatal(err)
	}
	devtest.Eventually(t, "the refusal of "+jti, func() (bool, error) {
		d := view.Decide(revocation.Claims{Tenant: "acme", Issuer: workload.Issuer, TokenID: jti, IssuedAt: events.TimestampOf(time.Now())})
		return d.State == revocation.Revoked, nil
	})
}

// TestSecondStart stops a stack and starts it again in its folder.
func TestSecondStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir)
	devtest.Publish(t, first, workload.New(workload.Config{Seed: 3}).Batch(100))
	revokeAndSee(t, first, follow(t, first), "before")
	if _, err := dev.Start(t.Context(), dev.Options{Dir: dir}); err == nil {
		t.Fatal("a second stack started in the folder of a running one")
	}
	if _, err := dev.ReadFile(dir); err != nil {
		t.Fatalf("the second stack took away dev.json: %v", err)
	}
	devtest.Stop(t, first)
	if _, err := dev.ReadFile(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("dev.json of a stopped stack: %v", err)
	}
	again := start(t, dir)
	db := devtest.Database(t, again)
	devtest.Eventually(t, "the rows of before", func() (bool, error) {
		got, err := tokens(t, db)
		return got == 101, err
	})
	want := []string{string(events.SystemStarted), string(events.SystemStopped), string(events.SystemStarted)}
	devtest.Eventually(t, "the system's own events, the first of them first of all", func() (bool, error) {
		var kinds []string
		err := db.QueryRow(t.Context(), "SELECT groupArray(type) FROM (SELECT type FROM events WHERE tenant = 'rescind' OR index = 0 ORDER BY index)").Scan(&kinds)
		return slices.Equal(kinds, want), err
	})
	view := follow(t, again)
	staysRevoked(t, view, revocation.Claims{Tenant: "acme", Issuer: workload.Issuer, TokenID: "before", IssuedAt: events.TimestampOf(time.Now())})
	if old, now := first.File.Tokens["admin"], again.File.Tokens["admin"]; old == now {
		t.Error("the same token again") // tokens are minted at each start; both are valid
	}
	if err := client.New(again.File.HTTP, first.File.Tokens["officer"]).Call(t.Context(), "GET", "/v1/findings?tenant=acme", nil, nil); err != nil {
		t.Errorf("a token of before: %v", err)
	}
}
