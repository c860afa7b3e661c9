package verify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/verify"
)

// TestRowsTakenFromTheEnd takes the last rows from every table, which a
// projector at work, with nothing to do, does not notice. It looks like lag at
// first, and not for long.
func TestRowsTakenFromTheEnd(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(30)
	last := b.ask("SELECT max(first) FROM batches")
	b.exec("TRUNCATE TABLE searches")
	for _, table := range []string{"events DELETE WHERE `index`", "payloads DELETE WHERE `index`", "batches DELETE WHERE first"} {
		b.exec("ALTER TABLE %s >= %d", table, last)
	}
	lag := b.verify(verify.Config{})
	finds(t, lag)
	end, since := lag.Log.Records, lag.ClickHouse.Since
	if lag.ClickHouse.NotProjected != end-last || since == nil || time.Since(*since) > time.Minute || time.Since(*since) < 0 {
		t.Errorf("%d not projected since %v, want %d of the last minute", lag.ClickHouse.NotProjected, since, end-last)
	}

	late := b.verify(verify.Config{MaxLag: time.Nanosecond})
	finds(t, late, fmt.Sprintf("events missing %d", last))
	if d := late.Differences; len(d) == 1 && (d[0].Last != end-1 || !strings.Contains(d[0].Detail, fmt.Sprintf("%d records are not projected", end-last))) {
		t.Error(d[0])
	}

	began := time.Now()
	finds(t, b.verify(verify.Config{Wait: 300 * time.Millisecond}), missingFrom(b, last)...)
	if time.Since(began) < 300*time.Millisecond {
		t.Error("it did not wait")
	}

	b.exec("INSERT INTO searches (shard, below, found) VALUES (0, %d, 0)", end) // a projector had recorded all of it
	finds(t, b.verify(verify.Config{}), missingFrom(b, last)...)
	b.exec("INSERT INTO searches (shard, below, found) VALUES (0, %d, 0)", end+1) // none had recorded that
	finds(t, b.verify(verify.Config{}), fmt.Sprintf("duplicates extra %d", end+1))

	for _, table := range []string{"searches", "events", "payloads", "batches"} {
		b.exec("TRUNCATE TABLE %s", table)
	}
	finds(t, b.verify(verify.Config{MaxLag: time.Nanosecond}), "events missing 0")
}

// missingFrom is what all tables lack from an index on, as the log has it.
func missingFrom(b *bench, from uint64) (out []string) {
	b.t.Helper()
	for _, m := range b.messages() {
		batch, err := events.UnmarshalBatch(m.Data)
		if err != nil {
			b.t.Fatal(err)
		}
		if batch.Header.First < from {
			continue
		}
		out = append(out, fmt.Sprintf("batches missing %d", batch.Header.First))
		for i, item := range batch.Items {
			index := batch.Header.First + uint64(i)
			out = append(out, fmt.Sprintf("events missing %d", index))
			if len(item.Sealed) > 0 {
				out = append(out, fmt.Sprintf("payloads missing %d", index))
			}
		}
	}
	return out
}

// testSilentFeed: revocations that no verifier was told of are lag for a while,
// and then missing; sooner where the run has waited for them.
func testSilentFeed(t *testing.T, b *bench) {
	first := b.ask("SELECT min(`index`) FROM events WHERE revokes")
	log, logged := b.messages(), time.Now()
	nc := natsdtest.Connect(t, elsewhere(t, log), natsd.Auditor) // nobody feeds there
	r := b.verify(verify.Config{NATS: nc})
	finds(t, r)
	if r.Feed.NotInFeed < 5 || r.Feed.Since == nil || r.Feed.Since.Before(logged) || time.Since(*r.Feed.Since) < 0 {
		t.Errorf("%d not in the feed since %v", r.Feed.NotInFeed, r.Feed.Since)
	}
	finds(t, b.verify(verify.Config{NATS: nc, MaxLag: time.Nanosecond}), fmt.Sprintf("deltas missing %d", first))
	finds(t, b.verify(verify.Config{NATS: nc, Wait: time.Millisecond}), fmt.Sprintf("deltas missing %d", first))
}

// testWaitEndsWhenAllIsThere: a run that waits goes on as soon as it can.
func testWaitEndsWhenAllIsThere(t *testing.T, b *bench) {
	began := time.Now()
	finds(t, b.verify(verify.Config{Wait: time.Hour}))
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

// TestOtherClocks: what is late is late whatever the clock of its writer said,
// and where the time that it was logged at is still to come.
func TestOtherClocks(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(30)
	first := b.ask("SELECT min(`index`) FROM events WHERE revokes")
	log := b.messages()
	log[0] = rewrite(t, log[0], func(b *events.Batch) { b.Header.Written += (365 * 24 * time.Hour).Microseconds() })
	ahead := natsdtest.Connect(t, elsewhere(t, log), natsd.Auditor)
	for _, table := range []string{"searches", "events", "payloads", "batches"} {
		b.exec("TRUNCATE TABLE %s", table)
	}
	late := []string{"events missing 0", fmt.Sprintf("deltas missing %d", first)}
	finds(t, b.verify(verify.Config{NATS: ahead}))
	finds(t, b.verify(verify.Config{NATS: ahead, MaxLag: time.Nanosecond}), late...)
	anHourAgo := func() time.Time { return time.Now().Add(-time.Hour) }
	finds(t, b.verify(verify.Config{NATS: ahead, Now: anHourAgo}), late...)
}

// TestBatchesTakenFromTheEnd: rows that no batch accounts for are named, also
// where the recorded position moves while they are looked for.
func TestBatchesTakenFromTheEnd(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(30)
	end, last := b.ask("SELECT max(`index`) + 1 FROM events"), b.ask("SELECT max(first) FROM batches")
	before := b.ask("SELECT max(first) FROM batches WHERE first < %d", last)
	b.exec("TRUNCATE TABLE searches")
	b.exec("CREATE TABLE taken AS batches ENGINE = Memory")
	b.exec("INSERT INTO taken SELECT * FROM batches WHERE first = %d", before)
	b.exec("ALTER TABLE batches DELETE WHERE first >= %d", before)
	asked := 0
	r := b.verify(verify.Config{Settle: time.Millisecond, Now: func() time.Time {
		if asked++; asked == 3 { // at first for the feed, then before the position is read, then of the log
			b.exec("INSERT INTO batches SELECT * FROM taken")
		}
		return time.Now()
	}})
	finds(t, r, fmt.Sprintf("batches missing %d", last))
	if d := r.Differences; len(d) == 1 && d[0].Last != end-1 {
		t.Error(d[0])
	}
}
