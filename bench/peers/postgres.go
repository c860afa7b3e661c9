package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/workload"
)

//go:embed schema.sql
var schema string

const (
	// copyRows is how many events one COPY appends: as many as a message of the
	// SDK.
	copyRows = 500
	// writers append at once: as many as the SDK has lines of this workload.
	writers = 4
)

// postgres is a server of our own in a temporary folder.
type postgres struct {
	server *exec.Cmd
	pool   *pgxpool.Pool
}

// bin is where the server's programs are.
func bin(name string) string {
	dir := os.Getenv("PG_BIN")
	if dir == "" {
		dir = "/usr/lib/postgresql/15/bin"
	}
	return filepath.Join(dir, name)
}

func startPostgres(ctx context.Context, dir string) (_ *postgres, err error) {
	if _, err := os.Stat(bin("postgres")); err != nil {
		return nil, fmt.Errorf("PostgreSQL 15 is not there: run install.sh, or name its folder in PG_BIN: %w", err)
	}
	as, err := owner(dir)
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	if err := initdb(ctx, dir, password, as); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &postgres{}
	// Durable as it is by default; memory and log as one would set them for a
	// load like this on a small machine.
	p.server = exec.Command(bin("postgres"), "-D", filepath.Join(dir, "pg"), "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1",
		"-k", "", "-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on",
		"-c", "shared_buffers=1GB", "-c", "max_wal_size=4GB", "-c", "checkpoint_timeout=15min", "-c", "log_min_messages=panic")
	p.server.SysProcAttr, p.server.Dir, p.server.Stderr = as, filepath.Join(dir, "pg"), os.Stderr
	if err := p.server.Start(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	p.pool, err = pgxpool.New(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=bench password=%s dbname=postgres pool_max_conns=%d", port, password, writers))
	if err != nil {
		return nil, err
	}
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	_, err = p.pool.Exec(ctx, schema)
	return p, err
}

// owner is who the server runs as: it refuses to be root.
func owner(dir string) (*syscall.SysProcAttr, error) {
	pg := filepath.Join(dir, "pg")
	if err := os.Mkdir(pg, 0o700); err != nil || os.Getuid() != 0 {
		return nil, err
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("run this as somebody else than root, or install.sh first: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	// The folder above is ours alone: others may pass through it, not look.
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, errors.Join(os.Chmod(dir, 0o711), os.Chown(pg, uid, gid))
}

func initdb(ctx context.Context, dir, password string, as *syscall.SysProcAttr) error {
	file := filepath.Join(dir, "pg-password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(file)
	if as != nil && as.Credential != nil {
		if err := os.Chown(file, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, bin("initdb"), "-D", filepath.Join(dir, "pg"), "-U", "bench", "-A", "scram-sha-256", "--pwfile="+file, "-E", "UTF8", "--locale=C")
	cmd.SysProcAttr, cmd.Dir = as, "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (p *postgres) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.pool.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		case <-tick.C:
		}
	}
}

func (p *postgres) close() {
	if p.pool != nil {
		p.pool.Close()
	}
	_ = p.server.Process.Signal(os.Interrupt) // fast shutdown; the folder is thrown away
	_ = p.server.Wait()
}

var columns = []string{
	"tenant", "source", "id", "type", "time", "issuer", "subject", "jti", "sid", "client", "kid", "alg", "aud", "scope",
	"iat", "exp", "outcome", "reason", "view", "ip", "user_agent", "personal",
}

func values(ev *events.Event) []any {
	d := &ev.Data
	return []any{
		ev.Tenant, ev.Source, ev.ID, string(ev.Type), ev.Time, d.Issuer, text(d.Subject), text(d.TokenID), text(d.SessionID), text(d.ClientID),
		text(d.KeyID), text(d.Algorithm), []string(d.Audience), text(d.Scope), at(d.IssuedAt), at(d.Expires), text(d.Outcome), text(d.Reason),
		int64(d.View), text(d.IP), text(d.UserAgent), personal(d),
	}
}

// text is s, or NULL.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func at(t events.Timestamp) *time.Time {
	if t == 0 {
		return nil
	}
	v := t.Time()
	return &v
}

func personal(d *events.Data) map[string]any {
	if len(d.Personal) == 0 {
		return nil
	}
	return d.Personal
}

func (p *postgres) appendAll(ctx context.Context, gen *workload.Generator, n int) error {
	batches := make(chan []events.Event, writers)
	g, loading := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(batches)
		for made := 0; made < n; made += copyRows {
			select {
			case batches <- gen.Batch(min(copyRows, n-made)):
			case <-loading.Done():
				return loading.Err()
			}
		}
		return nil
	})
	for range writers {
		g.Go(func() error {
			for evs := range batches {
				if err := p.copy(loading, evs); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var got int
	err := p.pool.QueryRow(ctx, "SELECT count(*) FROM events").Scan(&got)
	if err == nil && got != n {
		err = fmt.Errorf("%d rows for %d events", got, n)
	}
	return err
}

// copy appends evs in one transaction.
func (p *postgres) copy(ctx context.Context, evs []events.Event) error {
	_, err := p.pool.CopyFrom(ctx, pgx.Identifier{"events"}, columns, pgx.CopyFromSlice(len(evs), func(i int) ([]any, error) { return values(&evs[i]), nil }))
	return err
}

var insert = func() string {
	places := make([]string, len(columns))
	for i := range places {
		places[i] = "$" + strconv.Itoa(i+1)
	}
	return "INSERT INTO events (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")"
}()

func (p *postgres) appendOne(ctx context.Context, ev events.Event) error {
	_, err := p.pool.Exec(ctx, insert, values(&ev)...)
	return err
}

// all reads every column of every row of the answer.
func (p *postgres) all(ctx context.Context, where string, args ...any) (n int, err error) {
	rows, err := p.pool.Query(ctx, "SELECT * FROM events WHERE "+where, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if _, err := rows.Values(); err != nil {
			return 0, err
		}
		n++
	}
	return n, rows.Err()
}

func (p *postgres) trail(ctx context.Context, q question) (int, error) {
	return p.all(ctx, "subject = $1 AND issuer = $2 AND tenant = 'acme' ORDER BY index LIMIT 100", q.subject, workload.Issuer)
}

func (p *postgres) byToken(ctx context.Context, q question) (int, error) {
	return p.all(ctx, "jti = $1 AND issuer = $2 AND tenant = 'acme' ORDER BY index LIMIT 100", q.jti, workload.Issuer)
}

func (p *postgres) count(ctx context.Context, q question) (n int, err error) {
	err = p.pool.QueryRow(ctx, "SELECT count(*) FROM events WHERE tenant = 'acme' AND type = $1 AND time >= $2 AND time < $3", string(q.kind), q.from, q.to).Scan(&n)
	return n, err
}

func (p *postgres) byIndex(ctx context.Context, q question) (int, error) {
	return p.all(ctx, "index = $1", q.index)
}

// stored is the table with its indices; the write-ahead log is not counted.
func (p *postgres) stored(ctx context.Context) (bytes float64, err error) {
	if _, err := p.pool.Exec(ctx, "VACUUM ANALYZE events"); err != nil {
		return 0, err
	}
	err = p.pool.QueryRow(ctx, "SELECT pg_total_relation_size('events')::float8").Scan(&bytes)
	return bytes, err
}
