package enginetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/engine"
)

// slots is how many tests of one process can hold a database at the same time.
// Accounts are fixed when an engine starts, so they are made beforehand.
const slots = 64

// startTimeout leaves room for an install over a slow line.
const startTimeout = 10 * time.Minute

// stopTimeout is for an orderly end; after it the engine is killed.
const stopTimeout = 30 * time.Second

// DB is a database that belongs to one test, and the account that owns it.
type DB struct {
	Addr     string // native protocol, 127.0.0.1:port
	HTTPAddr string // HTTP interface, 127.0.0.1:port
	User     string
	Password string
	Database string
	// Engine is shared with the other tests of the process: do not kill, pause
	// or stop it. A test that wants to uses Own.
	Engine *engine.Engine
}

// Main is what TestMain calls: it becomes the engine child if this process is
// to be one, else runs the tests, stops the shared engine and exits.
func Main(m *testing.M) {
	os.Exit(M{m}.Run())
}

// M wraps testing.M for those who need more in TestMain, such as
// goleak.VerifyTestMain(enginetest.M{m}): when Run returns, the shared engine
// is gone, and its goroutines with it.
type M struct{ *testing.M }

// Run does what Main does, short of exiting.
func (m M) Run() int {
	engine.MainIfChild()
	code := m.M.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "enginetest:", err)
		code = max(code, 1)
	}
	return code
}

// Database gives t a fresh, empty database with an account that owns it, on the
// engine that all tests of this process share. It is dropped when t ends.
// Without an engine t fails.
func Database(t testing.TB) DB {
	t.Helper()
	if err := shared.start(t); err != nil {
		t.Fatalf("enginetest: %v", err)
	}
	s, err := shared.take()
	if err != nil {
		t.Fatalf("enginetest: %v", err)
	}
	e := shared.engine
	t.Cleanup(func() {
		if err := e.Exec(context.Background(), "DROP DATABASE IF EXISTS "+s.Name+" SYNC"); err != nil {
			t.Errorf("enginetest: drop database %s: %v", s.Name, err)
			return // the slot is dirty: nobody else gets it
		}
		shared.free <- s
	})
	if err := e.Exec(t.Context(), "CREATE DATABASE "+s.Name+" ENGINE = Atomic"); err != nil {
		t.Fatalf("enginetest: create database %s: %v", s.Name, err)
	}
	return DB{
		Addr: e.Addr(), HTTPAddr: e.HTTPAddr(),
		User: s.Name, Password: s.Password, Database: s.Name, Engine: e,
	}
}

// Own starts an engine for t alone, to kill, pause or restart. An empty
// cfg.Dir means a temporary one. It is stopped when t ends.
func Own(t testing.TB, cfg engine.Config) *engine.Engine {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	e, err := engine.Start(ctx, cfg)
	if err != nil {
		t.Fatalf("enginetest: %v", err)
	}
	t.Cleanup(func() {
		if err := stop(e); err != nil {
			t.Errorf("enginetest: %v", err)
		}
	})
	return e
}

func stop(e *engine.Engine) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return e.Stop(ctx)
}

// shared is the engine of this process; lazily started, stopped by Main.
var shared = sharedEngine{}

type sharedEngine struct {
	once   sync.Once
	err    error
	engine *engine.Engine
	dir    string
	free   chan engine.User
}

func (s *sharedEngine) start(t testing.TB) error {
	s.once.Do(func() { s.err = s.open(t.Logf) })
	return s.err
}

func (s *sharedEngine) open(logf func(string, ...any)) error {
	dir, err := os.MkdirTemp("", "rescind-enginetest-")
	if err != nil {
		return err
	}
	s.dir, s.free = dir, make(chan engine.User, slots)
	users := owners()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s.engine, err = engine.Start(ctx, engine.Config{
		Dir: dir, Users: users,
		Progress: func(line string) { logf("%s", line) },
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	for _, u := range users {
		s.free <- u
	}
	return nil
}

// take hands out an account that nobody uses.
func (s *sharedEngine) take() (engine.User, error) {
	select {
	case u := <-s.free:
		return u, nil
	default:
		return engine.User{}, fmt.Errorf("all %d databases are in use at once", slots)
	}
}

func (s *sharedEngine) stop() error {
	if s.engine == nil {
		return nil
	}
	return errors.Join(stop(s.engine), os.RemoveAll(s.dir))
}

// owners are the accounts, each named like the database that it owns. Beside
// its own tables it may see what the server is doing, end queries (to fence
// them), make tables of any engine, and read from other servers.
func owners() []engine.User {
	users := make([]engine.User, slots)
	for i := range users {
		name := fmt.Sprintf("test_%02d", i)
		users[i] = engine.User{
			Name: name, Password: rand.Text(),
			Grants: []string{
				"ALL ON " + name + ".*",
				"TABLE ENGINE ON *",
				"SELECT ON system.*",
				"SELECT ON information_schema.*",
				"KILL QUERY, CREATE TEMPORARY TABLE, REMOTE, URL ON *.*",
			},
		}
	}
	return users
}
