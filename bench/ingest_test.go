package bench

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/config"
)

func TestEveryProfileMeasures(t *testing.T) {
	t.Parallel()
	report, err := Ingest(t.Context(), IngestConfig{
		Dir: t.TempDir(), Profiles: Profiles(), Events: 1000, Runs: 1, Subjects: 200, Duration: time.Second, Rate: 500,
		Serve: []string{os.Args[0], "serve"}, Progress: func(s string) { t.Log(s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Result{}
	for _, r := range report.Results {
		got[r.Name] = r
	}
	for _, name := range []string{"ingest/single", "ingest/concurrent", "ingest/batch", "ingest/batch/clickhouse", "ingest/lone", "growth/rate"} {
		if r := got[name]; r.Value <= 0 || r.Floor <= 0 || r.Ratio <= 0 || r.FloorName == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for _, name := range []string{
		"latency/from_ack", "latency/from_due", "latency/rate", "memory/rss_peak", "memory/rss", "memory/rate",
		"stored/all", "stored/events", "stored/events/projections", "stored/payloads", "stored/log",
	} {
		if r := got[name]; r.Value <= 0 || r.N < 1 || r.Unit == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if due, acked := got["latency/from_due"], got["latency/from_ack"]; due.Value < acked.Value || due.P99 < acked.P99 || due.Max < due.P99 {
		t.Errorf("latency from due %+v, from ack %+v", due, acked)
	}
	if all := got["stored/all"].Value; all <= got["stored/events"].Value || got["stored/events"].Value <= got["stored/events/projections"].Value {
		t.Errorf("parts are more than the whole of %g bytes", all)
	}
	if g := report.Growth; len(g) != growthParts || g[len(g)-1].Events != 1000 || g[0].RSS < 10 {
		t.Errorf("growth: %+v", g)
	}
}

// TestALostEventIsAnError publishes events and claims one more, and one less.
func TestALostEventIsAnError(t *testing.T) {
	t.Parallel()
	b := testIngest(t)
	from, err := b.mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.pipeline(t.Context(), b.next(1000), 1000); err != nil {
		t.Fatal(err)
	}
	b.patience = 200 * time.Millisecond
	if err := b.untilRows(t.Context(), from, 1000); err != nil {
		t.Errorf("all are there: %v", err)
	}
	if err := b.untilRows(t.Context(), from, 1001); !errors.Is(err, errLost) {
		t.Errorf("one of 1001 is missing: %v", err)
	}
	if err := b.untilRows(t.Context(), from, 999); err == nil || errors.Is(err, errLost) {
		t.Errorf("one more than 999: %v", err)
	}
	if err := b.untilRow(t.Context(), "no-such-id", 0); !errors.Is(err, errLost) {
		t.Errorf("a lone event that is not there: %v", err)
	}
}

// TestStoredIsWhatIsOnTheDisk adds up the files of a table.
func TestStoredIsWhatIsOnTheDisk(t *testing.T) {
	t.Parallel()
	b := testIngest(t)
	if _, err := b.pipeline(t.Context(), b.next(3000), 3000); err != nil {
		t.Fatal(err)
	}
	if err := b.db.Exec(t.Context(), "OPTIMIZE TABLE events FINAL"); err != nil {
		t.Fatal(err)
	}
	whole, projections, err := b.bytes(t.Context(), "events")
	if err != nil {
		t.Fatal(err)
	}
	files := 0.0
	for _, dir := range partFolders(t, b) {
		err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			files += float64(info.Size())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if projections <= 0 || whole < 0.9*files || whole > files {
		t.Errorf("%g bytes, %g of them projections, in files of %g", whole, projections, files)
	}
}

func partFolders(t *testing.T, b *ingest) (dirs []string) {
	t.Helper()
	rows, err := b.db.Query(t.Context(), "SELECT path FROM system.parts WHERE database = currentDatabase() AND table = 'events' AND active")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var dir string
		if err := rows.Scan(&dir); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	if err := rows.Err(); err != nil || len(dirs) == 0 {
		t.Fatalf("%d parts, %v", len(dirs), err)
	}
	return dirs
}

// opened is what is inside a message that r has captured.
func opened(t *testing.T, r *rig, body []byte) []byte {
	t.Helper()
	m, err := envelope.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := m.Open(r.key)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestFloorsSendWhatTheSDKSends captures a thousand events both ways.
func TestFloorsSendWhatTheSDKSends(t *testing.T) {
	t.Parallel()
	r := &rig{dir: t.TempDir()}
	evs := (&ingest{cfg: IngestConfig{}.withDefaults()}).next(1000).Batch(1000)
	one, err := r.captured(t.Context(), 1, func(pub *stream.Publisher) error {
		for _, ev := range evs {
			if err := pub.Publish(t.Context(), ev); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(one) != len(evs) {
		t.Fatalf("%d messages for %d events, %v", len(one), len(evs), err)
	}
	for i, m := range one {
		if !bytes.Contains(opened(t, r, m.Data), []byte(evs[i].ID)) || m.Subject != stream.EventSubject("acme", evs[i].Type) || m.Header.Get("Content-Type") == "" {
			t.Fatalf("message %d: subject %s, header %v", i, m.Subject, m.Header)
		}
	}
	began := time.Now()
	many, err := r.captured(t.Context(), sdkBatch, func(pub *stream.Publisher) error {
		for _, ev := range evs {
			if err := pub.Queue(t.Context(), ev); err != nil {
				return err
			}
		}
		return nil
	})
	if most := messagesOf(evs, int(time.Since(began)/captureLinger)); err != nil || len(many) > most {
		t.Fatalf("%d messages for %d events, want at most %d, %v", len(many), len(evs), most, err)
	}
	var inside []byte
	for _, m := range many {
		inside = append(inside, opened(t, r, m.Data)...)
	}
	for _, ev := range evs {
		if !bytes.Contains(inside, []byte(ev.ID)) {
			t.Fatalf("event %s is in no message", ev.ID)
		}
	}
}

// messagesOf is how many messages events make at most where each is full, or has
// lingered, or is the last of its type: of each type one more than it fills for
// every time that the SDK lingered in vain.
func messagesOf(evs []events.Event, lingered int) (n int) {
	types := map[events.Type]int{}
	for _, ev := range evs {
		types[ev.Type]++
	}
	for _, of := range types {
		n += (of+sdkBatch-1)/sdkBatch + lingered
	}
	return n
}

// TestALongRunIsStreamed yields each event once whether they are made before
// or meanwhile.
func TestALongRunIsStreamed(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, ahead + 7} {
		got := 0
		for chunk := range source(t.Context(), (&ingest{cfg: IngestConfig{}.withDefaults()}).next(n), n) {
			if got += len(chunk); n > ahead && len(chunk) > chunkEvents {
				t.Fatalf("%d of %d events at once", len(chunk), n)
			}
		}
		if got != n {
			t.Errorf("%d events of %d", got, n)
		}
	}
}

// TestTheProcessIsConfiguredAlike reads back what it is given.
func TestTheProcessIsConfiguredAlike(t *testing.T) {
	t.Parallel()
	want := config.Default()
	want.Profile, want.Environment, want.Roles = config.Dev, "dev", []string{config.RoleIntake, config.RoleAudit}
	want.NATS.URL, want.NATS.IntakeMaxBytes = "nats://127.0.0.1:1", 7
	want.ClickHouse.ProjectorPassword, want.Limits.Stale = "file:/x", 7*time.Second
	env := slices.DeleteFunc(environ(want), func(s string) bool { return !bytes.HasPrefix([]byte(s), []byte("RESCIND_")) })
	got, err := config.Load(config.Source{Environ: env})
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}
}

// TestTheProcessRunsTheProjectorAlone reads its log.
func TestTheProcessRunsTheProjectorAlone(t *testing.T) {
	t.Parallel()
	r, err := newRig(t.Context(), rigConfig{dir: t.TempDir(), serve: []string{os.Args[0], "serve"}, progress: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	r.projector.mu.Lock()
	log := strings.Join(r.projector.last, "\n")
	r.projector.mu.Unlock()
	for role, want := range map[string]bool{"intake": true, "audit": true, "revoke": true, "api": false} {
		if got := strings.Contains(log, `"msg":"role started","role":"`+role+`"`); got != want {
			t.Errorf("%s runs there: %v\n%s", role, got, log)
		}
	}
	if now, peak, err := r.projector.rss(); err != nil || now < 10 || peak < now || r.projector.pid == os.Getpid() {
		t.Errorf("%g MiB, peak %g, process %d: %v", now, peak, r.projector.pid, err)
	}
}

func TestFaultsAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []IngestConfig{
		{Profiles: []string{"no-such"}}, {Events: -1}, {Runs: -1}, {Subjects: 1}, {Duration: time.Millisecond}, {Rate: -1},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	if _, err := Ingest(t.Context(), IngestConfig{Dir: t.TempDir(), Profiles: []string{"memory"}}); err == nil {
		t.Error("memory without a command for the process was measured")
	}
	_, err := Ingest(t.Context(), IngestConfig{Dir: t.TempDir(), Profiles: []string{"memory"}, Serve: []string{"/bin/false"}})
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a process that fails: %v", err)
	}
}

func testIngest(t *testing.T) *ingest {
	t.Helper()
	r, err := newRig(t.Context(), rigConfig{dir: t.TempDir(), progress: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return &ingest{rig: r, cfg: IngestConfig{Subjects: 100, Progress: func(string) {}}.withDefaults(), report: &Report{}}
}
