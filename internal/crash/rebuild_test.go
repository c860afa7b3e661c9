package crash_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/rescindhq/rescind/internal/crash"
)

// TestRebuildKilled kills rescind rebuild at random moments, under load, and
// lets it come to its end at last. Readers see all events meanwhile, the old
// ones or the new.
func TestRebuildKilled(t *testing.T) {
	t.Parallel()
	const kills = 3
	s := crash.NewSite(t, crash.Options{})
	l := crash.StartLoad(s, 1)
	s.Await("records", s.Records(10))
	r := read(t, s)
	took := rebuilt(t, s)
	seed := setting(t, "RESCIND_CRASH_SEED", rand.Uint64())
	t.Logf("RESCIND_CRASH_SEED=%d, a rebuild takes %s", seed, took.Round(time.Millisecond))
	rnd := rand.New(rand.NewPCG(seed, 0))
	server := s.Server()
	for range kills {
		step := killed(t, s, time.Duration(rnd.Int64N(int64(took))))
		t.Logf("killed in step %q, databases %s", step, databases(t, server))
	}
	rebuilt(t, s)
	r.stop()
	s.Verify(l)
	if got := databases(t, server); got != "rescind" {
		t.Errorf("databases %s are left", got)
	}
	if out, err := s.Command("verify", "--wait", "1m").CombinedOutput(); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

// killed runs a rebuild and kills it a while after its first step has begun, and
// is the step that it was in.
func killed(t *testing.T, s *crash.Site, after time.Duration) (step string) {
	t.Helper()
	cmd := s.Command("rebuild", "--feed=false", "--drop-old")
	_ = eachStep(t, cmd, func(name string) { // it was killed
		if step == "" {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // fails where it was faster
		}
		step = name
	})
	return step
}

// rebuilt runs a rebuild to its end, and is how long that took.
func rebuilt(t *testing.T, s *crash.Site) time.Duration {
	t.Helper()
	began := time.Now()
	var said []string
	if err := eachStep(t, s.Command("rebuild", "--feed=false", "--drop-old"), func(line string) {
		said = append(said, fmt.Sprintf("%6.2fs %s", time.Since(began).Seconds(), line))
	}); err != nil {
		t.Fatalf("rebuild: %v\n%s", err, strings.Join(said, "\n"))
	}
	t.Logf("rebuilt\n%s", strings.Join(said, "\n"))
	return time.Since(began)
}

// eachStep runs a rebuild, and gives each line that it says to heard.
func eachStep(t *testing.T, cmd *exec.Cmd, heard func(line string)) error {
	t.Helper()
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); { // to its end
		heard(lines.Text())
	}
	return cmd.Wait()
}

func databases(t *testing.T, server driver.Conn) string {
	t.Helper()
	var names []string
	if err := server.QueryRow(t.Context(), "SELECT groupArray(name) FROM (SELECT name FROM system.databases WHERE startsWith(name, 'rescind') ORDER BY name)").Scan(&names); err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// reader asks how many events there are, all the time.
type reader struct {
	t       *testing.T
	end     context.CancelFunc
	running sync.WaitGroup
	answers int
	without int // answers that there is no database
}

func read(t *testing.T, s *crash.Site) *reader {
	ctx, end := context.WithCancel(t.Context())
	r := &reader{t: t, end: end}
	db := s.Database()
	r.running.Go(func() { r.run(ctx, db) })
	t.Cleanup(r.stop)
	return r
}

func (r *reader) run(ctx context.Context, db driver.Conn) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for most := uint64(0); ctx.Err() == nil; {
		var n uint64
		err := db.QueryRow(ctx, "SELECT count() FROM events").Scan(&n)
		switch refused, is := errors.AsType[*clickhouse.Exception](err); {
		case ctx.Err() != nil:
		case is && (refused.Code == unknownDatabase || refused.Code == unknownTable):
			r.without++
		case err != nil:
			r.t.Errorf("a reader: %v", err)
		case n < most:
			r.t.Errorf("a reader sees %d events, and saw %d before", n, most)
		default:
			most = n
			r.answers++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

const (
	unknownTable    = 60
	unknownDatabase = 81
)

func (r *reader) stop() {
	r.end()
	r.running.Wait()
	if r.answers < 10*r.without {
		r.t.Errorf("%d answers, and %d times there was no database", r.answers, r.without)
	}
}
