package erasure

import (
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	t.Parallel()
	day := func(s string) time.Time {
		at, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct{ received, regulation, due, extended string }{
		{"2026-01-15 10:30", GDPR, "2026-02-15 10:30", "2026-04-15 10:30"},
		{"2026-01-31 10:30", GDPR, "2026-02-28 10:30", "2026-04-30 10:30"},
		{"2028-01-31 00:00", GDPR, "2028-02-29 00:00", "2028-04-30 00:00"},
		{"2028-02-29 12:00", GDPR, "2028-03-29 12:00", "2028-05-29 12:00"},
		{"2026-03-31 23:59", GDPR, "2026-04-30 23:59", "2026-06-30 23:59"},
		{"2026-08-31 08:00", GDPR, "2026-09-30 08:00", "2026-11-30 08:00"},
		{"2026-11-30 08:00", GDPR, "2026-12-30 08:00", "2027-02-28 08:00"},
		{"2026-12-31 08:00", GDPR, "2027-01-31 08:00", "2027-03-31 08:00"},
		{"2026-12-01 08:00", Other, "2027-01-01 08:00", "2027-03-01 08:00"},
		{"2026-01-15 10:30", CCPA, "2026-03-01 10:30", "2026-04-15 10:30"},
		{"2028-01-31 10:30", CCPA, "2028-03-16 10:30", "2028-04-30 10:30"},
	} {
		if got := Due(day(c.received), c.regulation); !got.Equal(day(c.due)) {
			t.Errorf("%s %s: due %s, want %s", c.received, c.regulation, got, c.due)
		}
		if got := extended(day(c.received), c.regulation); !got.Equal(day(c.extended)) {
			t.Errorf("%s %s: extended to %s, want %s", c.received, c.regulation, got, c.extended)
		}
	}
}
