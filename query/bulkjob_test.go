package query

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
)

func jobNo(n int) jobKey {
	return jobKey{"acme", jobOf(uuid.MustParse(fmt.Sprintf("01a2020a-0712-739d-8f8b-%012x", n)))}
}

// TestBulkJobsAreForgotten, the oldest of a tenant first, and never one that is being read.
// One that was forgotten begins at its first line.
func TestBulkJobsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBulk()
	j, _, _, err := b.begin(jobNo(0), uuid.UUID{}, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	second, _, _, err := b.begin(jobNo(1), uuid.UUID{}, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	b.done(second, &bulkLot{last: 1000, accepted: 1000, read: noLines(uuid.UUID{})})
	b.end(second, false)
	for n := range bulkJobs {
		last, _, _, err := b.begin(jobNo(n+2), uuid.UUID{}, 1, "")
		if err != nil {
			t.Fatal(err)
		}
		b.end(last, true)
	}
	if len(b.jobs) != bulkJobs || len(b.order) != bulkJobs {
		t.Errorf("%d jobs are remembered", len(b.jobs))
	}
	if _, _, ok := b.show(jobNo(0)); !ok {
		t.Error("a job that is being read was forgotten")
	}
	if _, _, ok := b.show(jobNo(1)); ok {
		t.Error("the oldest job was not forgotten")
	}
	if _, _, _, err := b.begin(jobNo(1), uuid.UUID{}, 1001, ""); err == nil {
		t.Error("a job that is not known goes on in its middle")
	}
	if again, skip, _, err := b.begin(jobNo(1), uuid.UUID{}, 1, ""); err != nil || skip != 0 || again.durable != 0 {
		t.Errorf("%d %v", skip, err)
	}
	b.end(j, true)
}

// TestBulkJobsOfOthersAreRemembered, whatever a tenant makes.
func TestBulkJobsOfOthersAreRemembered(t *testing.T) {
	t.Parallel()
	b := newBulk()
	other := jobKey{"globex", jobNo(0).id}
	for _, k := range []jobKey{other, jobNo(1), jobNo(2)} {
		j, _, _, err := b.begin(k, uuid.UUID{}, 1, "")
		if err != nil {
			t.Fatal(err)
		}
		if k != jobNo(2) {
			b.end(j, true)
		}
	}
	for n := range bulkJobs {
		b.get(jobNo(n + 3))
	}
	for k, want := range map[jobKey]bool{other: true, jobNo(1): false, jobNo(2): true} {
		if _, _, ok := b.show(k); ok != want {
			t.Errorf("%v: %t", k, ok)
		}
	}
	if _, _, _, err := b.begin(jobNo(1), uuid.UUID{}, 7, ""); err == nil || len(b.jobs) != bulkJobs {
		t.Errorf("%d, %v", len(b.jobs), err)
	}
	if _, _, ok := b.show(jobNo(1)); ok {
		t.Error("a job that was not begun is remembered")
	}
}

// TestLineIDs: a line's id is a UUID of version 7 of the job's time that says
// which line it is; of another job, number or content it is another.
func TestLineIDs(t *testing.T) {
	t.Parallel()
	job := uuid.Must(uuid.NewV7())
	seen := map[string]string{}
	for _, n := range []uint32{1, 2, 1000, 1 << 20, bulkLines} {
		for _, content := range []string{"a", "b"} {
			for _, of := range []uuid.UUID{job, uuid.Must(uuid.NewV7())} {
				id := jobOf(of).line(n, sumOf(of, []byte(content)))
				u, err := uuid.Parse(id)
				if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 || u.Time() != of.Time() {
					t.Errorf("%s of %s: %v", id, of, err)
				}
				if is, line, ok := lineOf(id); !ok || is != jobOf(of) || line != n {
					t.Errorf("%s: line %d, want %d", id, line, n)
				}
				what := fmt.Sprint(of, n, content)
				if other, taken := seen[id]; taken {
					t.Errorf("%s and %s have one id", other, what)
				}
				seen[id] = what
			}
		}
	}
}

// TestLineIDsTellNothing of what a line says, to who does not know the job: a
// guess cannot be held against them.
func TestLineIDsTellNothing(t *testing.T) {
	t.Parallel()
	line := []byte(`{"scope":"subject","iss":"i","sub":"alice","reason":"r"}`)
	plain := sha256.Sum256(line)
	job, other := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	sums := map[lineSum]bool{lineSum(plain[:16]): true, sumOf(job, line): true, sumOf(other, line): true}
	if len(sums) != 3 {
		t.Errorf("of one line, in two jobs and by itself: %v", sums)
	}
}

// TestBulkWaitsForTheLog: a job is not far ahead of the log, but where that
// stands still.
func TestBulkWaitsForTheLog(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(t.Context())
	cancel() // so that who waits is told at once
	long := time.Hour
	for name, c := range map[string]struct {
		accepted, logged, looked uint32
		moved                    time.Duration // ago, when it was looked at
		waits                    bool
	}{
		"near the log":            {bulkUnlogged + 5, 5, 5, -long, false},
		"far before it":           {bulkUnlogged + 6, 5, 5, -long, true},
		"it stands still":         {bulkUnlogged + 6, 5, 5, long, false},
		"it has moved since":      {bulkUnlogged + 6, 5, 4, long, true},
		"the log was there first": {10, 30, 30, -long, false},
	} {
		b := newBulk()
		j, _, _, err := b.begin(jobNo(0), uuid.UUID{}, 1, "")
		if err != nil {
			t.Fatal(err)
		}
		j.accepted, j.logged = c.accepted, c.logged
		r := &bulkRun{s: &Server{bulk: b}, job: j, logged: c.looked, moved: time.Now().Add(-c.moved)}
		if err := r.pace(over); (err != nil) != c.waits {
			t.Errorf("%s: %v", name, err)
		}
	}
}
