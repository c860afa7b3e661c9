package crash_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sabotage is a fault that is put into the code on purpose, to see this
// package's tests find it. They are run by hand, as doc.go says.
type sabotage struct {
	name   string
	pkg    string // whose test has to fail; "" is this one
	test   string // which
	file   string // from the root of the module
	was    string // there once in the file
	broken string // put in its place
}

const (
	killEverything = "^TestKillEverything$"
	powerLoss      = "^TestPowerLoss$"
	standsStill    = "^TestStandsStill$"
)

var sabotages = []sabotage{
	{
		name: "publisher does not wait for the answer", test: killEverything, file: "events/stream/line.go",
		was:    "_, err := p.js.PublishMsg(ctx, out.msg, jetstream.WithExpectStream(IntakeStream), jetstream.WithRetryAttempts(0))",
		broken: "err := p.cfg.Conn.PublishMsg(out.msg)\n_ = ctx",
	},
	{
		name: "intake acknowledges what it takes", test: killEverything, file: "projector/intake/lane.go",
		was:    "\t\tc.arrivals[i].IntakeMessage = &messages[i]\n",
		broken: "\t\tc.arrivals[i].IntakeMessage = &messages[i]\n\t\t_ = messages[i].Ack()\n",
	},
	{ // both leave in one write: only a failure on purpose comes between
		name: "intake acknowledges before it appends", pkg: "projector/intake", test: "^TestTwoWritersNeverInterleave$|^TestGraceEnds$", file: "projector/intake/writer.go",
		was:    "\tw.pending = p\n",
		broken: "\tw.pending = p\n\tfor _, a := range w.draft.from {\n\t\tw.acknowledge(a)\n\t}\n",
	},
	{
		name: "append without the expected sequence", test: standsStill, file: "events/stream/log.go",
		was:    "jetstream.WithExpectStream(l.stream), jetstream.WithExpectLastSequence(expectLast))",
		broken: "jetstream.WithExpectStream(l.stream))",
	},
	{
		name: "append without an answer is taken for done", test: killEverything, file: "projector/intake/append.go",
		was:    "\t\t\terr = w.settle(ctx)\n",
		broken: "\t\t\terr = nil\n",
	},
	{
		name: "a new writer does not remember what is in the log", test: killEverything, file: "projector/intake/state.go",
		was:    "\t\ts.window.add(r.Ref(), digest(b.Items[i].Digest))\n",
		broken: "",
	},
	{
		name: "batches are recorded before their records", test: killEverything, file: "projector/audit/insert.go",
		was:    "\terr := both(ctx,\n",
		broken: "\tearly, err := batchBlock(c.batches)\n\tif err := insert(ctx, f, insertBatches, early, err); err != nil {\n\t\treturn err\n\t}\n\tc.batches = nil\n\terr = both(ctx,\n",
	},
	{
		name: "inserts are not read back", test: killEverything, file: "projector/audit/readback.go",
		was:    "\treturn s, nil\n}\n\nfunc position",
		broken: "\ts.events, s.payloads = nil, nil\n\treturn s, nil\n}\n\nfunc position",
	},
	{
		name: "inserts without their fence", test: killEverything, file: "projector/audit/fence.go",
		was:    "!= {holder:String}, 'fenced') = 0`",
		broken: "!= {holder:String}, 'fenced') < 2 OR 1`",
	},
	{
		name: "earlier inserts are not waited for", pkg: "projector/audit", test: "^TestTheFence", file: "projector/audit/fence.go",
		was:    "\tif err := f.quiet(ctx); err != nil {",
		broken: "\tif err := ctx.Err(); err != nil {",
	},
	{
		name: "the projector resumes one batch too late", test: killEverything, file: "projector/audit/projector.go",
		was:    "log, err := p.cfg.Read(ctx, there.Seq+1)",
		broken: "log, err := p.cfg.Read(ctx, there.Seq+1+min(there.Seq, 1))",
	},
	{
		name: "the feed resumes one batch too late", test: killEverything, file: "projector/revoke/recover.go",
		was:    "reader, err := log.Read(ctx, covered+1, events.Control)",
		broken: "reader, err := log.Read(ctx, covered+1+min(covered, 1), events.Control)",
	},
	{
		name: "the feed skips what it had not published", test: killEverything, file: "projector/revoke/recover.go",
		was:    "\t\t\t\tw.pending = append(w.pending, batches[i:]...)\n",
		broken: "\t\t\t\t_ = i\n",
	},
	{
		name: "JetStream answers before it syncs", test: powerLoss, file: "internal/natsd/identity.go",
		was:    "SyncAlways: cfg.SyncEvery == 0,",
		broken: "SyncAlways: false,",
	},
	{
		name: "ClickHouse answers before it syncs events", test: powerLoss, file: "schemas/clickhouse/0001_events.sql",
		was:    "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1,",
		broken: "SETTINGS fsync_after_insert = 0, fsync_part_directory = 0,",
	},
}

// moduleRoot is from where the files of sabotages are named.
const moduleRoot = "../.."

// TestSabotagesApply: what each one breaks is still there, so that none is run
// in vain.
func TestSabotagesApply(t *testing.T) {
	t.Parallel()
	for _, s := range sabotages {
		b, err := os.ReadFile(filepath.Join(moduleRoot, s.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), s.was); n != 1 {
			t.Errorf("%s: what it breaks is %d times in %s, want once", s.name, n, s.file)
		}
	}
}
