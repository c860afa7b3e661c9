package crash_test

import (
	"testing"

	"github.com/rescindhq/rescind/internal/crash"
)

// room is what ClickHouse wants to be free on its disk before it takes an
// insert into one of our tables. Wanting more than there is is what it does on
// a full disk: on a file system without room inserts end with the same error,
// NOT_ENOUGH_SPACE, before anything is written.
func room(t *testing.T, s *crash.Site, change string) {
	t.Helper()
	for _, table := range []string{"events", "payloads", "batches", "fences"} {
		if err := s.Database().Exec(t.Context(), "ALTER TABLE "+table+" "+change); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskOfClickHouseIsFull: the log goes on, and its records arrive once
// there is room, without anybody doing anything.
func TestDiskOfClickHouseIsFull(t *testing.T) {
	t.Parallel()
	s := crash.NewSite(t, crash.Options{})
	l := crash.StartLoad(s, 1)
	s.Await("records", s.Records(5))
	room(t, s, "MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000000")
	s.Await("the projector says so", said(s.Role("audit"), "audit interrupted", "code: 243"))
	full := s.Records(1)
	s.Await("events although nothing is recorded", l.More(500))
	if err := full(); err == nil {
		t.Error("a full disk took records")
	}
	room(t, s, "RESET SETTING min_free_disk_bytes_to_perform_insert")
	s.Await("records again", full)
	s.Verify(l)
	s.Sound()
}
