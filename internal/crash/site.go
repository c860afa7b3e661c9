package crash

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/deployment"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/secrets"
	"github.com/rescindhq/rescind/query"
)

const (
	environment = "crash"
	database    = "rescind"
	owner       = "owner" // of the database, beside the accounts of the roles; it rebuilds
	tenant      = "acme"
)

// patience is how long the site may take for what it will do in the end, on two
// cores that other tests want as well.
const patience = 2 * time.Minute

// Options say how a site is run.
type Options struct {
	// Dir is where everything is kept. Default: a folder of the test's own. A
	// folder in which a site was is found again.
	Dir string
	// Copies is how many processes run of each role of which one works at a time
	// and the others stand by: intake, audit and revoke. Default 1.
	Copies int
	// Wires puts a Wire between the roles and NATS, and one between them and
	// ClickHouse.
	Wires bool
	// Latency is how long what roles and publishers say to NATS and ClickHouse is
	// on its way, and the answer again. It makes Wires. What is under way when a
	// process is struck is then some of it, most of the time. Default 0.
	Latency time.Duration
	// IntakeMaxBytes bounds what waits in the intake. Default 64 MiB.
	IntakeMaxBytes int64
}

// Site is a deployment: NATS, ClickHouse and each role in a process of its own.
type Site struct {
	Dir        string
	NATS       *Process
	ClickHouse *Process
	Roles      []*Process

	NATSWire, ClickHouseWire *Wire // nil without Options.Wires

	t     testing.TB
	opts  Options
	keys  *secrets.Folder
	ports ports
	exe   string
	db    driver.Conn // as the owner
}

// ports are those of the servers. They stay over restarts, so they are not of
// the range that connections take theirs from: there a client that tries again
// and again would one day be connected to itself.
type ports struct{ nats, clickHouse, clickHouseHTTP, api int }

func freePorts() (p ports, err error) {
	for _, port := range []*int{&p.nats, &p.clickHouse, &p.clickHouseHTTP, &p.api} {
		if *port, err = freePort(); err != nil {
			return p, err
		}
	}
	return p, nil
}

func freePort() (int, error) {
	const low, high, attempts = 12_000, 32_000, 100
	var last error
	for range attempts {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", addr(port))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("no port is free: %w", last)
}

func addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// NewSite starts a site and returns when it takes events and answers.
func NewSite(t testing.TB, o Options) *Site {
	t.Helper()
	s := &Site{t: t, opts: o, Dir: o.Dir}
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	if s.opts.Copies == 0 {
		s.opts.Copies = 1
	}
	if s.opts.IntakeMaxBytes == 0 {
		s.opts.IntakeMaxBytes = 64 << 20
	}
	s.opts.Wires = s.opts.Wires || s.opts.Latency > 0
	s.must(s.prepare())
	s.startServers()
	s.must(s.migrate())
	s.startRoles()
	s.Await("the api", s.apiReady)
	return s
}

func (s *Site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *Site) prepare() (err error) {
	if _, err = deployment.Init(deployment.Config{Secrets: s.Dir, Database: database}); err != nil {
		return err
	}
	if s.keys, err = secrets.Open(s.Dir); err != nil {
		return err
	}
	if s.exe, err = executable("rescind"); err != nil {
		return err
	}
	s.ports, err = freePorts()
	return err
}

// startServers starts NATS and ClickHouse.
func (s *Site) startServers() {
	s.t.Helper()
	s.NATS = s.server(child{Server: natsServer, Dir: s.Dir, Port: s.ports.nats})
	s.ClickHouse = s.server(child{Server: clickHouseServer, Dir: s.Dir, Port: s.ports.clickHouse, HTTPPort: s.ports.clickHouseHTTP})
	if s.opts.Wires {
		s.NATSWire, s.ClickHouseWire = NewWire(s.t, addr(s.ports.nats)), NewWire(s.t, addr(s.ports.clickHouse))
		s.NATSWire.Delay(s.opts.Latency)
		s.ClickHouseWire.Delay(s.opts.Latency)
	}
}

func (s *Site) server(c child) *Process {
	s.t.Helper()
	command, err := c.command()
	s.must(err)
	return startProcess(s.t, c.Server, s.Dir, command)
}

// startRoles starts each role in processes of their own.
func (s *Site) startRoles() {
	for _, role := range []string{config.RoleIntake, config.RoleAudit, config.RoleRevoke} {
		for i := range s.opts.Copies {
			name := role
			if s.opts.Copies > 1 {
				name = fmt.Sprint(name, "-", i+1)
			}
			s.start(name, role)
		}
	}
	s.start(config.RoleAPI, config.RoleAPI)
}

func (s *Site) start(name, role string) {
	s.Roles = append(s.Roles, startProcess(s.t, name, s.Dir, func() *exec.Cmd { return s.Command("serve", "--roles", role) }))
}

// processes is every process of the site, in an order that does not change.
func (s *Site) processes() []*Process {
	return append([]*Process{s.ClickHouse, s.NATS}, s.Roles...)
}

// Role is the process of that name.
func (s *Site) Role(name string) *Process {
	s.t.Helper()
	for _, p := range s.processes() {
		if p.Name == name {
			return p
		}
	}
	s.t.Fatalf("no process is named %s", name)
	return nil
}

// Command is the rescind command with the settings of this site.
func (s *Site) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.exe, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, s.environ()...)
	return cmd
}

func (s *Site) environ() []string {
	clickHouse := addr(s.ports.clickHouse)
	if s.opts.Wires {
		clickHouse = s.ClickHouseWire.Addr()
	}
	creds := func(role natsd.Role) string { return s.creds(role) }
	password := func(user string) string { return "file:" + s.keys.ClickHousePassword(user) }
	var env []string
	for name, value := range map[string]string{
		"PROFILE": config.Dev, "ENVIRONMENT": environment, "NATS_URL": "nats://" + s.natsAddr(),
		"NATS_OPERATOR_CREDS": creds(natsd.Operator), "NATS_PROJECTOR_CREDS": creds(natsd.Projector), "NATS_API_CREDS": creds(natsd.API),
		"NATS_INTAKE_MAX_BYTES": strconv.FormatInt(s.opts.IntakeMaxBytes, 10),
		"CLICKHOUSE_ADDR":       clickHouse, "CLICKHOUSE_DATABASE": database,
		"CLICKHOUSE_MIGRATOR_USER": "migrator", "CLICKHOUSE_MIGRATOR_PASSWORD": password("migrator"),
		"CLICKHOUSE_PROJECTOR_USER": "projector", "CLICKHOUSE_PROJECTOR_PASSWORD": password("projector"),
		"CLICKHOUSE_API_USER": "api", "CLICKHOUSE_API_PASSWORD": password("api"),
		"CLICKHOUSE_REBUILDER_USER": owner, "CLICKHOUSE_REBUILDER_PASSWORD": password(owner),
		"HTTP_ADDR": addr(s.ports.api), "HTTP_OPERATION_ADDR": "127.0.0.1:0", "AUTH_ISSUER": "idp", "AUTH_JWKS": s.keys.JWKS(),
		"KEYS_ROOT": "dir:" + s.keys.Root(), "KEYS_FEED": "file:" + s.keys.Feed(),
	} {
		env = append(env, "RESCIND_"+name+"="+value)
	}
	return env
}

func (s *Site) natsAddr() string {
	if s.opts.Wires {
		return s.NATSWire.Addr()
	}
	return addr(s.ports.nats)
}

func (s *Site) creds(role natsd.Role) string {
	return filepath.Join(s.Dir, "nats", string(role)+".creds")
}

// migrate makes streams and tables, as a deployment does before it starts, and
// waits for the servers with that.
func (s *Site) migrate() error {
	for began := time.Now(); ; {
		out, err := s.Command("migrate").CombinedOutput()
		if err == nil {
			return nil
		}
		if time.Since(began) > patience {
			return fmt.Errorf("migrate: %w\n%s", err, out)
		}
	}
}

// Connect connects to NATS, through the wire if there is one, until the test
// ends.
func (s *Site) Connect(role natsd.Role) *nats.Conn {
	s.t.Helper()
	return s.connect(role, s.natsAddr())
}

// Beside is Connect past the wire.
func (s *Site) Beside(role natsd.Role) *nats.Conn {
	s.t.Helper()
	return s.connect(role, addr(s.ports.nats))
}

func (s *Site) connect(role natsd.Role, addr string) *nats.Conn {
	s.t.Helper()
	opts := append(natsd.Options(role, s.creds(role)), nats.RetryOnFailedConnect(true), nats.ReconnectWait(50*time.Millisecond), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	nc, err := nats.Connect("nats://"+addr, opts...)
	s.must(err)
	s.t.Cleanup(nc.Close)
	return nc
}

// Streams is JetStream as the operator.
func (s *Site) Streams() jetstream.JetStream {
	s.t.Helper()
	js, err := jetstream.New(s.Connect(natsd.Operator))
	s.must(err)
	return js
}

// Database is a connection to ClickHouse as its owner, past the wires.
func (s *Site) Database() driver.Conn {
	s.t.Helper()
	if s.db == nil {
		s.db = s.open(database)
	}
	return s.db
}

// Server is Database outside any database.
func (s *Site) Server() driver.Conn {
	s.t.Helper()
	return s.open("")
}

func (s *Site) open(database string) driver.Conn {
	s.t.Helper()
	password, err := secrets.ReadPassword(s.keys.ClickHousePassword(owner))
	s.must(err)
	db, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{addr(s.ports.clickHouse)}, Auth: clickhouse.Auth{Database: database, Username: owner, Password: password},
	})
	s.must(err)
	s.t.Cleanup(func() { db.Close() })
	return db
}

// Client calls the API in a role.
func (s *Site) Client(role string) *client.Client {
	s.t.Helper()
	key, kid, err := s.keys.APIKey()
	s.must(err)
	token, err := query.Mint(query.MintConfig{Key: key, KeyID: kid, Issuer: "idp", Audience: "rescind", Subject: role, Role: role, Tenants: []string{query.AllTenants}, TTL: 24 * time.Hour})
	s.must(err)
	c := client.New("http://"+addr(s.ports.api), token)
	c.HTTP = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return c
}

func (s *Site) apiReady() error {
	c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + addr(s.ports.api) + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s", resp.Status)
	}
	return nil
}

// Await asks until the answer is nil.
func (s *Site) Await(what string, met func() error) {
	s.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		err := met()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("%s: not within %s: %v", what, patience, err)
		case <-s.t.Context().Done():
			s.t.Fatalf("%s: the test is over: %v", what, err)
		}
	}
}
