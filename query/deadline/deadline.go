package deadline

import "time"

// The regulations that a request can be made under.
const (
	GDPR  = "gdpr"
	CCPA  = "ccpa"
	Other = "other" // counted as under the GDPR
)

// Regulations lists them.
func Regulations() []string { return []string{GDPR, CCPA, Other} }

// The days that a period of months can begin with.
const (
	// Receipt ends it on the day of the month on which the request came:
	// Regulation 1182/71, and the ICO since August 2019.
	Receipt = "receipt"
	// DayAfter ends it on that of the day after, as the ICO said before.
	DayAfter = "day_after"
)

const (
	months         = 1  // GDPR article 12(3)
	extendedMonths = 3  // "two further months"
	days           = 45 // CCPA § 7021(b)
	extendedDays   = 90 // "maximum total"
	businessDays   = 10 // CCPA § 7021(a)
)

// Rules are how one controller counts.
type Rules struct {
	zone     *time.Location
	dayAfter bool
	holidays []holiday
}

// Answer is when a request that was received then has to be answered.
func (r *Rules) Answer(received time.Time, regulation string) time.Time {
	if regulation == CCPA {
		return r.end(r.day(received).AddDate(0, 0, days))
	}
	return r.end(r.working(addMonths(r.start(received), months)))
}

// Extended is when it has to be answered after an extension.
func (r *Rules) Extended(received time.Time, regulation string) time.Time {
	if regulation == CCPA {
		return r.end(r.day(received).AddDate(0, 0, extendedDays))
	}
	return r.end(r.working(addMonths(r.start(received), extendedMonths)))
}

// Confirm is when its receipt has to be confirmed; zero where no rule says so.
func (r *Rules) Confirm(received time.Time, regulation string) time.Time {
	if regulation != CCPA {
		return time.Time{}
	}
	at := r.day(received)
	for range businessDays {
		at = r.working(at.AddDate(0, 0, 1))
	}
	return r.end(at)
}

// DaysLeft is how many days there are from now to due, as a calendar shows them
// where due is: 0 on the day itself, less when it has passed.
func DaysLeft(due, now time.Time) int {
	return int(dateIn(due, due.Location()).Sub(dateIn(now, due.Location())) / (24 * time.Hour))
}

// Zone is the controller's.
func (r *Rules) Zone() *time.Location { return r.zone }

// start is the day that a period of months is counted from.
func (r *Rules) start(received time.Time) time.Time {
	at := r.day(received)
	if r.dayAfter {
		return at.AddDate(0, 0, 1)
	}
	return at
}

// day is the date at that time in the zone, as a day of 24 hours: in UTC, so
// that no change of clocks moves it.
func (r *Rules) day(at time.Time) time.Time { return dateIn(at, r.zone) }

func dateIn(at time.Time, zone *time.Location) time.Time {
	y, m, d := at.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// end is the last second of a day in the zone.
func (r *Rules) end(day time.Time) time.Time {
	y, m, d := day.Date()
	return time.Date(y, m, d, 23, 59, 59, 0, r.zone)
}

// working is the day itself, or the next working day.
func (r *Rules) working(day time.Time) time.Time {
	for r.rest(day) {
		day = day.AddDate(0, 0, 1)
	}
	return day
}

func (r *Rules) rest(day time.Time) bool {
	if w := day.Weekday(); w == time.Saturday || w == time.Sunday {
		return true
	}
	for _, h := range r.holidays {
		if h.is(day) {
			return true
		}
	}
	return false
}

// addMonths ends at the last day of a month that is too short for the day,
// where time.AddDate would run into the next.
func addMonths(day time.Time, n int) time.Time {
	end := day.AddDate(0, n, 0)
	if end.Day() != day.Day() {
		return end.AddDate(0, 0, -end.Day())
	}
	return end
}
