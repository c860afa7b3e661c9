package verify_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/client"
	"github.com/rescindhq/rescind/internal/dev"
	"github.com/rescindhq/rescind/internal/dev/devtest"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/verify"
	"github.com/rescindhq/rescind/internal/workload"
	"github.com/rescindhq/rescind/revocation"
)

const shards = 3

// startShards is a deployment whose tenants are split over three logs, each
// with another number of events and with revocations, one of them lifted.
func startShards(t *testing.T) *bench {
	t.Helper()
	b := startFor(t, dev.Options{Dir: t.TempDir(), Shards: shards})
	admin := client.New(b.File.HTTP, b.File.Tokens["admin"])
	lift := make([]string, shards)
	for k := range shards {
		b.publish(workload.New(workload.Config{Seed: uint64(k), Subjects: 20, Tenant: tenantOf(k)}).Batch(40 + 10*k))
	}
	devtest.Drained(t, b.Stack)
	for k := range shards {
		for _, in := range []map[string]any{
			{"scope": "subject", "sub": "user-1", "reason": "compromised"},
			{"scope": "token", "jti": "t-9", "reason": "logout"},
		} {
			in["tenant"], in["iss"] = tenantOf(k), workload.Issuer
			var made struct {
				ID string `json:"id"`
			}
			b.call(admin, "POST", "/v1/revocations", in, &made)
			lift[k] = made.ID
		}
	}
	b.projected()
	for _, id := range lift {
		b.call(admin, "POST", "/v1/revocations/"+id+"/lift", map[string]any{"reason": "mistake"}, nil)
	}
	b.projected()
	return b
}

// tenantOf is a tenant of the shard.
func tenantOf(shard int) string {
	for i := 0; ; i++ {
		if name := fmt.Sprint("tenant-", i); events.ShardOf(name, shards) == uint16(shard) {
			return name
		}
	}
}

// findsAll is finds of all reports, which are those of these shards.
func findsAll(t *testing.T, all verify.Reports, of []uint16, want ...string) {
	t.Helper()
	sum := &verify.Report{Clean: all.Clean()}
	var got []uint16
	for _, r := range all {
		got = append(got, r.Shard)
		sum.Total += r.Total
		sum.Differences = append(sum.Differences, r.Differences...)
		if r.Clean != (r.Total == 0) {
			t.Errorf("shard %d: clean %v with %d differences", r.Shard, r.Clean, r.Total)
		}
	}
	finds(t, sum, want...)
	if !slices.Equal(got, of) {
		t.Errorf("reports of %v, want %v", got, of)
	}
}

var every = []uint16{0, 1, 2}

// TestTamperedShards verifies a deployment of several shards, whole and by
// shard, and then with rows that were changed, put into another shard, or under
// one that there is not.
func TestTamperedShards(t *testing.T) {
	t.Parallel()
	b := startShards(t)
	all := b.verifyAll(verify.Config{})
	findsAll(t, all, every)
	for k, r := range all {
		if r.Log.Records < uint64(40+10*k) || r.ClickHouse.Events != r.Log.Records || r.Feed.Entries != 2 || r.Feed.Position == 0 || r.Feed.Position >= r.Log.Records || len(r.Log.Root) != 64 {
			t.Errorf("shard %d: it looked at %+v", k, r)
		}
	}
	if all[0].Log.Root == all[1].Log.Root {
		t.Error("two logs with one root")
	}
	findsAll(t, b.verifyAll(verify.Config{Only: []uint16{1}}), []uint16{1})

	end := all[1].Log.Records
	b.exec("ALTER TABLE events UPDATE ticket = 'x' WHERE shard = 2 AND `index` = 7")
	b.exec("ALTER TABLE events DELETE WHERE shard = 0 AND `index` = 8")
	b.exec("INSERT INTO events SELECT * REPLACE (toUInt16(1) AS shard, toUInt64(%d) AS `index`) FROM (SELECT * FROM events WHERE shard = 0 AND `index` = 9)", end+5)
	for _, table := range []string{"events", "payloads", "batches"} {
		b.exec("INSERT INTO %[1]s SELECT * REPLACE (toUInt16(3) AS shard) FROM (SELECT * FROM %[1]s WHERE shard = 2 ORDER BY ALL LIMIT 1)", table)
	}
	b.exec("INSERT INTO duplicates (shard, `index`) VALUES (64, 12)")
	under := func(table, index string) uint64 { return b.ask("SELECT %s FROM %s WHERE shard = 3", index, table) }
	strays := []string{fmt.Sprintf("shard 3 events extra %d", under("events", "`index`")), fmt.Sprintf("shard 3 payloads extra %d", under("payloads", "`index`")),
		fmt.Sprintf("shard 3 batches extra %d", under("batches", "first")), "shard 64 duplicates extra 12"}
	want := append(strays, "shard 2 events changed 7 ticket", "events missing 8", fmt.Sprintf("shard 1 events extra %d", end+5))
	all = b.verifyAll(verify.Config{})
	findsAll(t, all, every, want...)
	findsAll(t, b.verifyAll(verify.Config{Only: []uint16{2}}), []uint16{2}, "shard 2 events changed 7 ticket")
	findsAll(t, b.verifyAll(verify.Config{Only: []uint16{0}}), []uint16{0}, "events missing 8")
	for _, d := range all[2].Differences {
		if !strings.HasPrefix(d.String(), "shard 2 index 7  changed  events column ticket: ") {
			t.Errorf("for people: %s", d)
		}
	}
	checkJSON(t, all)
}

// checkJSON reads reports as a script does.
func checkJSON(t *testing.T, all verify.Reports) {
	t.Helper()
	type summary struct {
		Clean  bool
		Total  uint64 `json:"differences_total"`
		Shards []struct {
			Shard       int
			Differences []verify.Difference
		}
		Shard int
	}
	read := func(r verify.Reports) (s summary) {
		b, err := json.Marshal(r)
		if err == nil {
			err = json.Unmarshal(b, &s)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := read(all); s.Clean || s.Total != 7 || len(s.Shards) != shards || s.Shards[2].Shard != 2 || s.Shards[2].Differences[0].Shard != 2 {
		t.Errorf("as JSON: %+v", s)
	}
	if (verify.Reports{{Clean: true}, all[2]}).Clean() {
		t.Error("clean, although the last is not")
	}
	if s := read(all[2:]); s.Clean || s.Total != 1 || len(s.Shards) != 0 || s.Shard != 2 {
		t.Errorf("one report as JSON: %+v", s)
	}
}

// TestCopiesOfShards verifies copies of a deployment's logs and feed that were
// tampered with. The deployment itself stays as it was.
func TestCopiesOfShards(t *testing.T) {
	t.Parallel()
	b := startShards(t)
	t.Run("logs", func(t *testing.T) { t.Parallel(); testTamperedLogsOfShards(t, b.of(t)) })
	t.Run("feed", func(t *testing.T) { t.Parallel(); testTamperedFeedOfShards(t, b.of(t)) })
}

// testTamperedLogsOfShards verifies copies of three logs, of which one has a
// fault, against the tables of the logs as they were.
func testTamperedLogsOfShards(t *testing.T, b *bench) {
	logs := [][]*jetstream.RawStreamMsg{b.messagesOf(0), b.messagesOf(1), b.messagesOf(2)}
	at := slices.IndexFunc(logs[1], func(m *jetstream.RawStreamMsg) bool { return header(t, m).Lane == events.Access })
	if at < 0 || at+1 == len(logs[1]) {
		t.Fatalf("batch %d of %d", at, len(logs[1]))
	}
	h := header(t, logs[1][at])
	of1 := func(log []*jetstream.RawStreamMsg) [][]*jetstream.RawStreamMsg {
		return [][]*jetstream.RawStreamMsg{logs[0], log, logs[2]}
	}
	with := func(change func(*events.Batch)) [][]*jetstream.RawStreamMsg {
		log := slices.Clone(logs[1])
		log[at] = rewrite(t, log[at], change)
		return of1(log)
	}
	for _, c := range []struct {
		name string
		logs [][]*jetstream.RawStreamMsg
		want []string
	}{
		{"as they were", logs, nil},
		{"a root", with(func(b *events.Batch) { b.Header.Root[3] ^= 1 }),
			[]string{fmt.Sprintf("shard 1 log changed %d", h.First), fmt.Sprintf("shard 1 batches changed %d root", h.First)}},
		{"another shard in its header", with(func(b *events.Batch) { b.Header.Shard = 0 }), []string{fmt.Sprintf("shard 1 log changed %d", h.First)}},
		{"the last batch missing", of1(logs[1][:len(logs[1])-1]), cut(t, logs[1])},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc := natsdtest.Connect(t, elsewhere(t, c.logs...), natsd.Auditor)
			all := b.verifyAll(verify.Config{NATS: nc, Limit: 10_000})
			all[1].Differences = slices.DeleteFunc(all[1].Differences, func(d verify.Difference) bool { return d.Place == verify.Payloads })
			findsAll(t, all, every, c.want...)
			findsAll(t, b.verifyAll(verify.Config{NATS: nc, Only: []uint16{0, 2}}), []uint16{0, 2})
		})
	}
	// A tenant's records in another log than its own: there each is named.
	nc := natsdtest.Connect(t, elsewhere(t, logs[0], logs[2], logs[2]), natsd.Auditor)
	all := b.verifyAll(verify.Config{NATS: nc, Limit: 10_000})
	moved := 0
	for _, d := range all[1].Differences {
		if d.Detail == "the record's tenant is of shard 2" {
			moved++
		}
	}
	if n := all[2].Log.Records; n == 0 || uint64(moved) != n || !all[0].Clean || !all[2].Clean {
		t.Errorf("%d of %d records are named, clean %v %v", moved, n, all[0].Clean, all[2].Clean)
	}
}

// cut is what the tables of shard 1 have too much where its log has lost its
// last batch.
func cut(t *testing.T, log []*jetstream.RawStreamMsg) (out []string) {
	for _, line := range hole(header(t, log[len(log)-1])) {
		out = append(out, "shard 1 "+line)
	}
	return out
}

// testTamperedFeedOfShards has the feed's own key say something else of one
// shard than its log.
func testTamperedFeedOfShards(t *testing.T, b *bench) {
	logs := [][]*jetstream.RawStreamMsg{b.messagesOf(0), b.messagesOf(1), b.messagesOf(2)}
	model := b.copy(logs...)
	of2 := slices.IndexFunc(model.entries, func(e revocation.Entry) bool { return e.Scope == events.ScopeSubject && e.Key.Tenant == tenantOf(2) })
	if of2 < 0 || model.shards[of2] != 2 {
		t.Fatalf("no revocation of shard 2 in %d", len(model.entries))
	}
	at, end1, end2 := model.indices[of2], model.head.Place(1).Position, model.head.Place(2).Position
	say := func(c *copied, head func(*revocation.Head), change func([]revocation.Entry) []revocation.Entry) {
		h, entries := c.head, slices.Clone(c.entries)
		h.Others = slices.Clone(h.Others)
		if head != nil {
			head(&h)
		}
		if change != nil {
			entries = change(entries)
		}
		c.tell(h, entries)
	}
	for _, c := range []struct {
		name string
		say  func(*copied)
		want []string // all of shard 2, or of the feed itself
	}{
		{"as it is", func(c *copied) { say(c, nil, nil) }, nil},
		{"lifts before what they lift", func(c *copied) {
			say(c, nil, func(e []revocation.Entry) []revocation.Entry { slices.Reverse(e); return e })
		}, nil},
		{"a revocation missing", func(c *copied) {
			say(c, nil, func(e []revocation.Entry) []revocation.Entry { return slices.Delete(e, of2, of2+1) })
		}, []string{fmt.Sprintf("shard 2 revocations missing %d", at)}},
		{"a revocation too many", func(c *copied) {
			say(c, nil, func(e []revocation.Entry) []revocation.Entry {
				more := e[of2]
				more.Index += 1000
				return append(e, more)
			})
		}, []string{fmt.Sprintf("shard 2 revocations extra %d", at+1000)}},
		{"an earlier cut-off", func(c *copied) {
			say(c, nil, func(e []revocation.Entry) []revocation.Entry { e[of2].IssuedBefore--; return e })
		}, []string{fmt.Sprintf("shard 2 revocations changed %d issued_before", at)}},
		{"another position", func(c *copied) {
			say(c, func(h *revocation.Head) { h.Others[1].Position++ }, nil)
		}, []string{fmt.Sprintf("shard 2 deltas changed %d", end2+1)}},
		{"ahead of its log", func(c *copied) {
			say(c, func(h *revocation.Head) { h.Others[1].LogSeq, h.Others[1].Position = 1_000, 10_000 }, nil)
		}, []string{"shard 2 deltas extra 10000"}},
		{"another log", func(c *copied) { say(c, func(h *revocation.Head) { h.Others[1].Epoch++ }, nil) }, []string{fmt.Sprintf("deltas changed %d", model.head.Position)}},
		{"a shard too few", func(c *copied) { say(c, func(h *revocation.Head) { h.Others = h.Others[:1] }, nil) }, []string{fmt.Sprintf("deltas changed %d", model.head.Position)}},
		{"a shard too many", func(c *copied) { say(c, func(h *revocation.Head) { h.Others = append(h.Others, h.Others[0]) }, nil) }, []string{fmt.Sprintf("deltas changed %d", model.head.Position)}},
		{"a shard that goes back", func(c *copied) {
			first := c.tell(c.head, c.entries)
			d := revocation.Delta{Head: c.head, Prev: 1, PrevSum: revocation.Sum(first)}
			d.Seq = 2
			d.Others = slices.Clone(d.Others)
			d.Others[1].Position--
			data, err := d.Sign(c.key)
			if err != nil {
				t.Fatal(err)
			}
			c.publish(data)
		}, []string{fmt.Sprintf("shard 2 deltas reordered %d", end2-1), fmt.Sprintf("shard 2 deltas changed %d", end2-1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			copied := b.of(t).copy(logs...)
			c.say(copied)
			nc := natsdtest.Connect(t, copied.server, natsd.Auditor)
			findsAll(t, b.verifyAll(verify.Config{NATS: nc}), every, slices.Clone(c.want)...)
			findsAll(t, b.verifyAll(verify.Config{NATS: nc, Only: []uint16{2}}), []uint16{2}, slices.Clone(c.want)...)
			others := slices.DeleteFunc(slices.Clone(c.want), func(s string) bool { return strings.HasPrefix(s, "shard 2 ") })
			findsAll(t, b.verifyAll(verify.Config{NATS: nc, Only: []uint16{0}}), []uint16{0}, others...)
		})
	}
	if end1 == end2 || at == model.indices[0] {
		t.Error("two shards are alike: a position could stand for another's")
	}
}
