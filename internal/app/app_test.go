package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/app"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/deployment"
	"github.com/rescindhq/rescind/internal/engine"
	"github.com/rescindhq/rescind/internal/engine/enginetest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/secrets"
	"github.com/rescindhq/rescind/query"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(enginetest.M{M: m}) }

const patience = 2 * time.Minute

// site is a NATS and a ClickHouse as a user would have them, with the accounts
// of deployment, and no stream or table yet.
type site struct {
	nats   *natsd.Server
	keys   *secrets.Folder
	engine *engine.Engine
	port   int // of ClickHouse
	dir    string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	if _, err := deployment.Init(deployment.Config{Secrets: s.dir, Database: "rescind"}); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.keys, err = secrets.Open(s.dir); err != nil {
		t.Fatal(err)
	}
	if s.nats, err = natsd.Start(t.Context(), natsd.Config{Dir: s.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.nats.Shutdown(context.Background()) })
	s.port = freePort(t)
	return s
}

// freePort is a port below those that systems give away by themselves: nobody
// else gets it before ClickHouse comes, which may be late.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(10_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// clickHouse starts ClickHouse, with the accounts that a deployment gets.
func (s *site) clickHouse(t *testing.T) {
	t.Helper()
	users, err := deployment.Users(s.keys, "rescind")
	if err != nil {
		t.Fatal(err)
	}
	s.engine = enginetest.Own(t, engine.Config{TCPPort: s.port, Users: users})
}

func (s *site) config(roles ...string) config.Config {
	c := config.Default()
	c.Profile, c.Environment, c.Roles = config.Dev, "test", roles
	c.NATS.URL = s.nats.URL()
	c.NATS.OperatorCreds, c.NATS.ProjectorCreds, c.NATS.APICreds = s.nats.CredsFile(natsd.Operator), s.nats.CredsFile(natsd.Projector), s.nats.CredsFile(natsd.API)
	password := func(user string) config.Secret { return config.Secret("file:" + s.keys.ClickHousePassword(user)) }
	c.ClickHouse.Addr = fmt.Sprintf("127.0.0.1:%d", s.port)
	c.ClickHouse.MigratorUser, c.ClickHouse.MigratorPassword = "migrator", password("migrator")
	c.ClickHouse.ProjectorUser, c.ClickHouse.ProjectorPassword = "projector", password("projector")
	c.ClickHouse.APIUser, c.ClickHouse.APIPassword = "api", password("api")
	c.HTTP.OperationAddr = "127.0.0.1:0"
	c.Auth = config.Auth{Issuer: "idp", Audience: "rescind", JWKS: s.keys.JWKS()}
	c.Keys.Root, c.Keys.Feed = config.Root("dir:"+s.keys.Root()), config.Secret("file:"+s.keys.Feed())
	return c
}

// run runs the roles until the test ends and returns once they are at work.
func run(t *testing.T, c config.Config) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- app.Run(ctx, app.Config{Config: c, Log: slog.New(slog.DiscardHandler), Listener: l, Ready: func() { close(ready) }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("roles %v: %v", c.Roles, err)
		}
		l.Close()
	})
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("roles %v ended: %v", c.Roles, err)
	case <-time.After(patience):
		t.Fatalf("roles %v are not ready", c.Roles)
	}
	return "http://" + l.Addr().String()
}

func (s *site) client(t *testing.T, base, role string) *client.Client {
	t.Helper()
	key, kid, err := s.keys.APIKey()
	if err != nil {
		t.Fatal(err)
	}
	token, err := query.Mint(query.MintConfig{Key: key, KeyID: kid, Issuer: "idp", Audience: "rescind", Subject: role, Role: role, Tenants: []string{"acme"}, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return client.New(base, token)
}

// TestRolesApart runs each role in a process of its own, all started at once
// on servers that have nothing yet.
func TestRolesApart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.clickHouse(t)
	var migrations sync.WaitGroup
	for range 3 {
		migrations.Go(func() {
			if err := app.Migrate(t.Context(), app.Config{Config: s.config(config.AllRoles()...), Log: slog.New(slog.DiscardHandler)}); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	migrations.Wait()
	for _, role := range []string{config.RoleIntake, config.RoleAudit, config.RoleRevoke} {
		run(t, s.config(role))
	}
	base := run(t, s.config(config.RoleAPI))
	publishOne(t, s, "e-1")
	officer := s.client(t, base, "officer")
	eventually(t, "the event", func() (bool, error) {
		var got client.Trail
		err := officer.Call(t.Context(), "POST", "/v1/audit/search", map[string]any{"tenant": "acme", "type": "token.issued"}, &got)
		return len(got.Events) == 1, err
	})
}

// TestStandbyIsReady runs two intakes: the one that does not write says so, and
// is ready all the same.
func TestStandbyIsReady(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	run(t, s.config(config.RoleIntake))
	base := run(t, s.config(config.RoleIntake, config.RoleRevoke, config.RoleAPI))
	publishOne(t, s, "e-1")
	eventually(t, "a standby that has read the event", func() (bool, error) {
		resp, err := http.Get(base + "/readyz")
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		var got query.Readiness
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
			return false, err
		}
		for _, c := range got.Checks {
			if c.Name == "intake" && c.Ok && c.Detail == "standby" && c.Position >= 3 {
				return true, nil
			}
		}
		return false, fmt.Errorf("%+v", got)
	})
}

func publishOne(t *testing.T, s *site, id string) {
	t.Helper()
	nc, err := s.nats.Connect(natsd.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	pub, err := stream.NewPublisher(stream.PublisherConfig{Conn: nc, Tenant: "acme", Environment: "test", Source: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Publish(t.Context(), events.Event{ID: id, Type: events.TokenIssued, Data: events.Data{Issuer: "i", TokenID: "t", Subject: "u"}}); err != nil {
		t.Fatal(err)
	}
}

// publishPlain publishes in clear, as profile dev permits: where no intake has run
// there is no key.
func publishPlain(t *testing.T, s *site, id string) {
	t.Helper()
	nc, err := s.nats.Connect(natsd.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	body, err := events.MarshalEvent(&events.Event{
		ID: id, Source: "s", Type: events.TokenIssued, Time: time.Now().UTC(), Tenant: "acme", Environment: "test",
		Data: events.Data{Issuer: "i", TokenID: "t", Subject: "u"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), stream.EventSubject("acme", events.TokenIssued), body); err != nil {
		t.Fatal(err)
	}
}

// TestStartWithoutClickHouse starts everything while ClickHouse is not there:
// revocation works, and the records arrive once it comes.
func TestStartWithoutClickHouse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	base := run(t, s.config(config.AllRoles()...))
	admin := s.client(t, base, "admin")
	in := map[string]string{"tenant": "acme", "scope": "token", "iss": "i", "jti": "t", "reason": "logout"}
	if err := admin.Call(t.Context(), "POST", "/v1/revocations", in, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refusal", func() (bool, error) {
		var got client.Checked
		err := admin.Call(t.Context(), "POST", "/v1/check", map[string]any{"tenant": "acme", "claims": map[string]string{"iss": "i", "jti": "t"}}, &got)
		return got.Decision == "revoked", err
	})
	search := map[string]any{"tenant": "acme"}
	if err := s.client(t, base, "officer").Call(t.Context(), "POST", "/v1/audit/search", search, nil); err == nil {
		t.Error("a search without ClickHouse was answered")
	}
	s.clickHouse(t)
	eventually(t, "the record", func() (bool, error) {
		var got client.Trail
		err := s.client(t, base, "officer").Call(t.Context(), "POST", "/v1/audit/search", search, &got)
		return len(got.Events) == 1, err
	})
}

// TestNothingIsLostWithoutAConsumer takes a consumer of the intake away while
// events come in: it is put back, and they are delivered.
func TestNothingIsLostWithoutAConsumer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.clickHouse(t)
	migrate := app.Config{Config: s.config(config.AllRoles()...), Log: slog.New(slog.DiscardHandler)}
	if err := app.Migrate(t.Context(), migrate); err != nil {
		t.Fatal(err)
	}
	nc, err := s.nats.Connect(natsd.Operator)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(t.Context(), stream.IntakeStream, stream.AccessConsumer); err != nil {
		t.Fatal(err)
	}
	publishPlain(t, s, "kept")
	if err := app.Migrate(t.Context(), migrate); err != nil {
		t.Fatal(err)
	}
	base := run(t, s.config(config.AllRoles()...))
	eventually(t, "the record", func() (bool, error) {
		var got client.Trail
		err := s.client(t, base, "officer").Call(t.Context(), "POST", "/v1/audit/search", map[string]any{"tenant": "acme"}, &got)
		return len(got.Events) == 1, err
	})
}

// TestRefusals lists configurations that must not start.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, fault := range map[string]func(*config.Config){
		"no environment": func(c *config.Config) { c.Environment = "" },
		"wrong creds":    func(c *config.Config) { c.NATS.OperatorCreds = s.nats.CredsFile(natsd.Issuer) },
		"no creds":       func(c *config.Config) { c.NATS.ProjectorCreds = filepath.Join(s.dir, "none.creds") },
		"bad kek":        func(c *config.Config) { c.Keys.Root = config.Root("file:" + s.keys.Feed()) },
		"bad feed key":   func(c *config.Config) { c.Keys.Feed = config.Secret("file:" + s.keys.ClickHousePassword("api")) },
		"bad jwks":       func(c *config.Config) { c.Auth.JWKS = s.keys.Feed() },
		"plaintext":      func(c *config.Config) { c.Profile = config.Production },
	} {
		t.Run(name, func(t *testing.T) {
			c := s.config(config.AllRoles()...)
			fault(&c)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := app.Run(ctx, app.Config{Config: c, Log: slog.New(slog.DiscardHandler), Listener: listener(t)})
			if err == nil || ctx.Err() != nil {
				t.Errorf("got %v", err)
			}
			t.Log(err)
		})
	}
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func eventually(t *testing.T, what string, done func() (bool, error)) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok && err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: not within %s (last error: %v)", what, patience, err)
		case <-tick.C:
		}
	}
}
