package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/internal/verify"
)

// TestMarkedDuplicates verifies a log with an event three times. A mark must
// say of which event it is a repetition, and whether that said the same. One
// that is not there yet is lag as long as nobody has searched and there is time,
// which is counted from when the event was logged: that it was recorded just now
// is no excuse.
func TestMarkedDuplicates(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.history(60)
	log := b.messages()
	log = append(log, repeat(t, log[len(log)-1], log[2]))
	log = append(log, repeat(t, log[len(log)-1], log[2]))
	first, second := header(t, log[2]).First, header(t, log[len(log)-2]).First
	nc := natsdtest.Connect(t, elsewhere(t, log), natsd.Auditor)
	mark := func(index, first uint64, content string) {
		b.exec("INSERT INTO duplicates (shard, `index`, first, content) VALUES (0, %d, %d, '%s')", index, first, content)
	}
	duplicates := func(within time.Duration, unmarked uint64, want ...string) {
		t.Helper()
		var got []string
		r := b.verify(verify.Config{NATS: nc, MarkWithin: within, Now: inAnHour})
		for _, d := range r.Differences {
			if d.Place == verify.Log || d.Place == verify.Duplicates {
				got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %d %s", d.Place, d.Kind, d.Index, d.Column)))
			}
		}
		if !slices.Equal(got, want) || r.ClickHouse.NotMarked != unmarked {
			t.Errorf("found %q and %d not marked, want %q and %d", got, r.ClickHouse.NotMarked, want, unmarked)
		}
	}
	missing := func(index uint64) string { return fmt.Sprintf("duplicates missing %d", index) }
	duplicates(time.Minute, 2) // none of them is recorded
	b.exec("INSERT INTO batches SELECT * REPLACE (toUInt64(%d) AS first, toUInt32(2) AS count, now64(6) AS recorded) FROM batches LIMIT 1", second)
	duplicates(2*time.Hour, 2)
	duplicates(time.Minute, 0, missing(second), missing(second+1))
	b.exec("INSERT INTO searches (shard, below, found) VALUES (0, %d, 0)", second+1)
	duplicates(2*time.Hour, 1, missing(second))
	mark(second, first, "same")
	mark(second+1, first, "same")
	duplicates(time.Minute, 0)
	b.exec("ALTER TABLE duplicates UPDATE first = %d WHERE `index` = %d", first+1, second)
	b.exec("ALTER TABLE duplicates UPDATE content = 'different' WHERE `index` = %d", second+1)
	duplicates(0, 0, fmt.Sprintf("duplicates changed %d first", second), fmt.Sprintf("duplicates changed %d content", second+1))
	mark(second+1, first, "same") // as it should be, and one more
	for index := second - 1; index > second-4; index-- {
		mark(index, first, "same")
	}
	mark(first, first-1, "same")
	duplicates(0, 0, fmt.Sprintf("duplicates extra %d", first), fmt.Sprintf("duplicates extra %d", second-3), fmt.Sprintf("duplicates extra %d", second-2),
		fmt.Sprintf("duplicates extra %d", second-1), fmt.Sprintf("duplicates changed %d first", second), fmt.Sprintf("duplicates extra %d", second+1))
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }
