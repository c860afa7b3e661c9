package deadline

import (
	"strings"
	"testing"
	"time"
)

// calendars are the holidays of the cases: Germany; England, with the days of
// 2026 that stand in for others; and federal ones of the United States.
var calendars = map[string][]string{
	"":   nil,
	"de": {"01-01", "easter-2", "easter+1", "05-01", "easter+39", "easter+50", "10-03", "12-25", "12-26"},
	"en": {"01-01", "easter-2", "easter+1", "2026-05-04", "2026-05-25", "2026-08-31", "12-25", "12-26", "2026-12-28"},
	"us": {"01-01", "07-04", "2026-07-03", "2026-11-26", "12-25", "2026-05-25"},
}

var starts = map[string]string{"": Receipt, "after": DayAfter}

// dated is what the law says, case by case. The days were worked out apart from
// this package.
var dated = []struct{ source, zone, start, holidays, received, regulation, what, want string }{
	{"ICO: 3 September to 3 October", "UTC", "", "", "2019-09-03T09:00:00Z", "gdpr", "answer", "2019-10-03"},                                                     // Thursday
	{"ICO: 31 January, a leap year", "UTC", "", "", "2024-01-31T09:00:00Z", "gdpr", "answer", "2024-02-29"},                                                      // Thursday
	{"ICO: 31 January, not a leap year", "UTC", "", "", "2023-01-31T09:00:00Z", "gdpr", "answer", "2023-02-28"},                                                  // Tuesday
	{"ICO: 30 January to the last of February", "UTC", "", "", "2023-01-30T09:00:00Z", "gdpr", "answer", "2023-02-28"},                                           // Tuesday
	{"ICO: 1 April, 1 May is a holiday on a Friday", "UTC", "", "de", "2026-04-01T09:00:00Z", "gdpr", "answer", "2026-05-04"},                                    // Monday
	{"ICO: 23:59 counts as the whole day", "UTC", "", "", "2019-08-01T23:59:00Z", "gdpr", "answer", "2019-09-02"},                                                // Monday
	{"ICO before August 2019: 3 September, from the day after", "UTC", "after", "", "2018-09-03T09:00:00Z", "gdpr", "answer", "2018-10-04"},                      // Thursday
	{"ICO before August 2019: 1 August to 2 September", "UTC", "after", "", "2019-08-01T09:00:00Z", "gdpr", "answer", "2019-09-02"},                              // Monday
	{"ICO before August 2019: 30 January, to the last of February", "UTC", "after", "", "2024-01-30T09:00:00Z", "gdpr", "answer", "2024-02-29"},                  // Thursday
	{"ICO before August 2019: 31 January begins on 1 February", "UTC", "after", "", "2024-01-31T09:00:00Z", "gdpr", "answer", "2024-03-01"},                      // Friday
	{"Reg 1182/71 art 3(2)(c): same date", "UTC", "", "", "2026-01-15T10:30:00Z", "gdpr", "answer", "2026-02-16"},                                                // Monday
	{"Reg 1182/71 art 3(2)(c): same date on a weekday", "UTC", "", "", "2026-01-14T10:30:00Z", "gdpr", "answer", "2026-02-16"},                                   // Monday
	{"Reg 1182/71 art 3(2)(c): 29 February to 29 March", "UTC", "", "", "2028-02-29T12:00:00Z", "gdpr", "answer", "2028-03-29"},                                  // Wednesday
	{"Reg 1182/71 art 3(2)(c): 29 January, not a leap year", "UTC", "", "", "2026-01-29T12:00:00Z", "gdpr", "answer", "2026-03-02"},                              // Monday
	{"Reg 1182/71 art 3(2)(c): 29 January, a leap year", "UTC", "", "", "2028-01-29T12:00:00Z", "gdpr", "answer", "2028-02-29"},                                  // Tuesday
	{"Reg 1182/71 art 3(2)(c): 28 February", "UTC", "", "", "2025-02-28T12:00:00Z", "gdpr", "answer", "2025-03-28"},                                              // Friday
	{"Reg 1182/71 art 3(2)(c): 31 March", "UTC", "", "", "2026-03-31T23:59:59Z", "gdpr", "answer", "2026-04-30"},                                                 // Thursday
	{"Reg 1182/71 art 3(2)(c): 31 May", "UTC", "", "", "2027-05-31T08:00:00Z", "gdpr", "answer", "2027-06-30"},                                                   // Wednesday
	{"Reg 1182/71 art 3(2)(c): 31 July to 31 August", "UTC", "", "", "2026-07-31T08:00:00Z", "gdpr", "answer", "2026-08-31"},                                     // Monday
	{"Reg 1182/71 art 3(2)(c): 31 August", "UTC", "", "", "2026-08-31T08:00:00Z", "gdpr", "answer", "2026-09-30"},                                                // Wednesday
	{"Reg 1182/71 art 3(2)(c): 31 October", "UTC", "", "", "2026-10-31T08:00:00Z", "gdpr", "answer", "2026-11-30"},                                               // Monday
	{"Reg 1182/71 art 3(2)(c): over the new year", "UTC", "", "", "2026-12-31T08:00:00Z", "gdpr", "answer", "2027-02-01"},                                        // Monday
	{"Reg 1182/71 art 3(2)(c): a century that is no leap year", "UTC", "", "", "2100-01-31T08:00:00Z", "gdpr", "answer", "2100-03-01"},                           // Monday
	{"Reg 1182/71 art 3(2)(c): a century that is", "UTC", "", "", "2000-01-31T08:00:00Z", "gdpr", "answer", "2000-02-29"},                                        // Tuesday
	{"Reg 1182/71 art 3(4): Saturday", "UTC", "", "", "2026-01-14T08:00:00Z", "gdpr", "answer", "2026-02-16"},                                                    // Monday
	{"Reg 1182/71 art 3(4): Sunday", "UTC", "", "", "2026-01-22T08:00:00Z", "gdpr", "answer", "2026-02-23"},                                                      // Monday
	{"Reg 1182/71 art 3(4): Saturday that ends a short month", "UTC", "", "", "2026-01-31T08:00:00Z", "gdpr", "answer", "2026-03-02"},                            // Monday
	{"Reg 1182/71 art 3(4): a day off within the period does not count", "UTC", "", "de", "2026-04-07T08:00:00Z", "gdpr", "answer", "2026-05-07"},                // Thursday
	{"Reg 1182/71 art 3(4): Good Friday to Easter Tuesday", "UTC", "", "de", "2026-03-03T08:00:00Z", "gdpr", "answer", "2026-04-07"},                             // Tuesday
	{"Reg 1182/71 art 3(4): Easter Monday", "UTC", "", "de", "2026-03-06T08:00:00Z", "gdpr", "answer", "2026-04-07"},                                             // Tuesday
	{"Reg 1182/71 art 3(4): Ascension", "UTC", "", "de", "2026-04-14T08:00:00Z", "gdpr", "answer", "2026-05-15"},                                                 // Friday
	{"Reg 1182/71 art 3(4): Whit Monday", "UTC", "", "de", "2026-04-25T08:00:00Z", "gdpr", "answer", "2026-05-26"},                                               // Tuesday
	{"Reg 1182/71 art 3(4): Whit Monday, from the Saturday before", "UTC", "", "de", "2026-04-23T08:00:00Z", "gdpr", "answer", "2026-05-26"},                     // Tuesday
	{"Reg 1182/71 art 3(4): German unity day on a Saturday", "UTC", "", "de", "2026-09-03T08:00:00Z", "gdpr", "answer", "2026-10-05"},                            // Monday
	{"Reg 1182/71 art 3(4): Christmas and Boxing Day and the weekend", "UTC", "", "de", "2026-11-25T08:00:00Z", "gdpr", "answer", "2026-12-28"},                  // Monday
	{"Reg 1182/71 art 3(4): Christmas where Monday stands in for Boxing Day", "Europe/London", "", "en", "2026-11-25T08:00:00Z", "gdpr", "answer", "2026-12-29"}, // Tuesday
	{"Reg 1182/71 art 3(4): New Year on a Friday", "UTC", "", "de", "2026-12-01T08:00:00Z", "gdpr", "answer", "2027-01-04"},                                      // Monday
	{"Reg 1182/71 art 3(4): the summer bank holiday", "Europe/London", "", "en", "2026-07-31T08:00:00Z", "gdpr", "answer", "2026-09-01"},                         // Tuesday
	{"Reg 1182/71 art 3(4): the same without holidays", "Europe/London", "", "", "2026-07-31T08:00:00Z", "gdpr", "answer", "2026-08-31"},                         // Monday
	{"Reg 1182/71 art 3(4): last day of a month, into the next", "UTC", "", "", "2026-04-30T08:00:00Z", "gdpr", "answer", "2026-06-01"},                          // Monday
	{"Reg 1182/71 art 3(1): the day is Berlin's, one ahead of UTC", "Europe/Berlin", "", "", "2026-03-08T23:30:00Z", "gdpr", "answer", "2026-04-09"},             // Thursday
	{"Reg 1182/71 art 3(1): at 22:30 UTC in summer too", "Europe/Berlin", "", "", "2026-07-10T22:30:00Z", "gdpr", "answer", "2026-08-11"},                        // Tuesday
	{"Reg 1182/71 art 3(1): at 22:30 UTC in winter not yet", "Europe/Berlin", "", "", "2026-02-09T22:30:00Z", "gdpr", "answer", "2026-03-09"},                    // Monday
	{"Reg 1182/71 art 3(1): the day is Auckland's", "Pacific/Auckland", "", "", "2026-06-30T12:00:00Z", "gdpr", "answer", "2026-08-03"},                          // Monday
	{"Reg 1182/71 art 3(1): the day is Los Angeles', one behind", "America/Los_Angeles", "", "", "2026-03-02T07:59:59Z", "gdpr", "answer", "2026-04-01"},         // Wednesday
	{"Reg 1182/71 art 3(1): over the change to summer time", "Europe/Berlin", "", "", "2026-03-02T08:00:00Z", "gdpr", "answer", "2026-04-02"},                    // Thursday
	{"Reg 1182/71 art 3(1): over the change to winter time", "Europe/Berlin", "", "", "2026-10-02T08:00:00Z", "gdpr", "answer", "2026-11-02"},                    // Monday
	{"Reg 1182/71 art 3(1): in the hour that comes twice", "Europe/Berlin", "", "", "2026-10-25T00:30:00Z", "gdpr", "answer", "2026-11-25"},                      // Wednesday
	{"GDPR art 12(3): two further months", "UTC", "", "", "2026-01-15T08:00:00Z", "gdpr", "extended", "2026-04-15"},                                              // Wednesday
	{"GDPR art 12(3): counted from receipt, not from 28 February", "UTC", "", "", "2026-01-31T08:00:00Z", "gdpr", "extended", "2026-04-30"},                      // Thursday
	{"GDPR art 12(3): from November to February", "UTC", "", "", "2026-11-30T08:00:00Z", "gdpr", "extended", "2027-03-01"},                                       // Monday
	{"GDPR art 12(3): from November to February of a leap year", "UTC", "", "", "2027-11-30T08:00:00Z", "gdpr", "extended", "2028-02-29"},                        // Tuesday
	{"GDPR art 12(3): extended to Easter Monday", "UTC", "", "de", "2026-01-06T08:00:00Z", "gdpr", "extended", "2026-04-07"},                                     // Tuesday
	{"GDPR art 12(3), ICO before August 2019: extended", "UTC", "after", "", "2018-09-03T08:00:00Z", "gdpr", "extended", "2018-12-04"},                           // Tuesday
	{"other, as the GDPR", "UTC", "", "", "2026-12-01T08:00:00Z", "other", "answer", "2027-01-01"},                                                               // Friday
	{"other, extended", "UTC", "", "", "2026-12-01T08:00:00Z", "other", "extended", "2027-03-01"},                                                                // Monday
	{"11 CCR § 7021(b): 45 calendar days", "UTC", "", "", "2026-01-15T10:30:00Z", "ccpa", "answer", "2026-03-01"},                                                // Sunday
	{"11 CCR § 7021(b): 45 days over 29 February", "UTC", "", "", "2028-01-31T10:30:00Z", "ccpa", "answer", "2028-03-16"},                                        // Thursday
	{"11 CCR § 7021(b): they may end on a Saturday", "America/Los_Angeles", "", "us", "2026-05-20T19:00:00Z", "ccpa", "answer", "2026-07-04"},                    // Saturday
	{"11 CCR § 7021(b): the day is California's", "America/Los_Angeles", "", "us", "2026-01-16T07:30:00Z", "ccpa", "answer", "2026-03-01"},                       // Sunday
	{"11 CCR § 7021(b): start day of months does not matter", "UTC", "after", "", "2026-01-15T10:30:00Z", "ccpa", "answer", "2026-03-01"},                        // Sunday
	{"11 CCR § 7021(b): 90 days at most", "UTC", "", "", "2026-01-15T10:30:00Z", "ccpa", "extended", "2026-04-15"},                                               // Wednesday
	{"11 CCR § 7021(b): 90 days over the new year", "UTC", "", "", "2026-11-05T10:30:00Z", "ccpa", "extended", "2027-02-03"},                                     // Wednesday
	{"11 CCR § 7021(a): ten business days", "UTC", "", "", "2026-01-05T10:30:00Z", "ccpa", "confirm", "2026-01-19"},                                              // Monday
	{"11 CCR § 7021(a): received on a Saturday", "UTC", "", "", "2026-01-10T10:30:00Z", "ccpa", "confirm", "2026-01-23"},                                         // Friday
	{"11 CCR § 7021(a): received on a Friday", "UTC", "", "", "2026-01-09T10:30:00Z", "ccpa", "confirm", "2026-01-23"},                                           // Friday
	{"11 CCR § 7021(a): over Thanksgiving", "America/Los_Angeles", "", "us", "2026-11-20T20:00:00Z", "ccpa", "confirm", "2026-12-07"},                            // Monday
	{"11 CCR § 7021(a): over Christmas and New Year", "America/Los_Angeles", "", "us", "2026-12-18T20:00:00Z", "ccpa", "confirm", "2027-01-05"},                  // Tuesday
	{"11 CCR § 7021(a): over Independence Day on a Saturday", "America/Los_Angeles", "", "us", "2026-06-26T20:00:00Z", "ccpa", "confirm", "2026-07-13"},          // Monday
}

func TestDated(t *testing.T) {
	t.Parallel()
	if len(dated) < 50 {
		t.Fatalf("%d cases", len(dated))
	}
	for _, c := range dated {
		r, err := New(Config{Zone: c.zone, Start: starts[c.start], Holidays: calendars[c.holidays]})
		if err != nil {
			t.Fatal(err)
		}
		received, err := time.Parse(time.RFC3339, c.received)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]func(time.Time, string) time.Time{"answer": r.Answer, "extended": r.Extended, "confirm": r.Confirm}[c.what](received, c.regulation)
		if day := got.In(r.Zone()).Format("2006-01-02 15:04:05"); day != c.want+" 23:59:59" {
			t.Errorf("%s: received %s: %s, want the end of %s", c.source, c.received, day, c.want)
		}
	}
}

// TestEaster against the dates that churches print.
func TestEaster(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"1961-04-02", "1999-04-04", "2000-04-23", "2008-03-23", "2019-04-21", "2024-03-31", "2025-04-20", "2026-04-05", "2027-03-28", "2028-04-16", "2038-04-25", "2285-03-22"} {
		at, err := time.Parse(time.DateOnly, want)
		if err != nil {
			t.Fatal(err)
		}
		if got := easter(at.Year()).Format(time.DateOnly); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestDaysLeft(t *testing.T) {
	t.Parallel()
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	due := at("2026-03-31T23:59:59+02:00")
	for now, want := range map[string]int{
		"2026-03-31T00:00:00+02:00": 0, "2026-03-31T23:59:59+02:00": 0, "2026-04-01T00:00:00+02:00": -1, "2026-03-30T22:30:00Z": 0,
		"2026-03-30T21:30:00Z": 1, "2026-03-24T12:00:00Z": 7, "2026-02-28T12:00:00Z": 31,
	} {
		if got := DaysLeft(due, at(now)); got != want {
			t.Errorf("%s: %d days, want %d", now, got, want)
		}
	}
}

// TestFaultsAreNamed, all at once.
func TestFaultsAreNamed(t *testing.T) {
	t.Parallel()
	weekdays := []string{}
	for day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() == 2026; day = day.AddDate(0, 0, 1) {
		weekdays = append(weekdays, day.Format("01-02"))
	}
	_, err := New(Config{Zone: "Mars/Olympus", Start: "whenever", Holidays: append(weekdays, "02-30", "25.12.", "easter+1000", "")})
	for _, want := range []string{"zone", "start", "holidays: want at most", `"02-30"`, `"25.12."`, `"easter+1000"`, `""`, "no working day"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if _, err := New(Config{Zone: "Local"}); err == nil {
		t.Error("the zone of whatever machine it is was accepted")
	}
	if _, err := New(Config{}); err != nil {
		t.Error(err)
	}
}
