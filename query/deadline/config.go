package deadline

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container may have no zones, and a deadline must not depend on that
)

// Config is how a controller counts. The zero value is UTC without holidays.
type Config struct {
	// Zone is the IANA name of the controller's time zone. Default UTC.
	Zone string
	// Holidays are the days beside Saturday and Sunday on which no period of
	// months ends. At most 366. Default none.
	Holidays []string
	// Start is Receipt or DayAfter. Default Receipt, which is never the later.
	Start string
}

// maxHolidays is as many as a year has days.
const maxHolidays = 366

// New is the rules that c describes, or every fault of it.
func New(c Config) (*Rules, error) {
	var faults []error
	zone, err := time.LoadLocation(c.Zone)
	if err != nil || c.Zone == "Local" { // what that is depends on the machine
		faults = append(faults, fmt.Errorf("zone %.40q: want an IANA name as Europe/Berlin", c.Zone))
	}
	if c.Start != "" && c.Start != Receipt && c.Start != DayAfter {
		faults = append(faults, fmt.Errorf("start %.40q: want %s or %s", c.Start, Receipt, DayAfter))
	}
	if len(c.Holidays) > maxHolidays {
		faults = append(faults, fmt.Errorf("%d holidays: want at most %d", len(c.Holidays), maxHolidays))
	}
	r := &Rules{zone: zone, dayAfter: c.Start == DayAfter}
	for _, s := range c.Holidays {
		h, err := parseHoliday(strings.TrimSpace(s))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		r.holidays = append(r.holidays, h)
	}
	if r.alwaysRest() {
		faults = append(faults, errors.New("holidays: no working day is left"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("deadlines: %w", err)
	}
	return r, nil
}

// Default counts in UTC and knows no holidays.
func Default() *Rules { return &Rules{zone: time.UTC} }

// alwaysRest reports whether working would go on for ever, or nearly.
func (r *Rules) alwaysRest() bool {
	const year, most = 2026, 60
	run := 0
	for day := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() <= year+1; day = day.AddDate(0, 0, 1) {
		if run++; !r.rest(day) {
			run = 0
		}
		if run > most {
			return true
		}
	}
	return false
}

// holiday is one of: a date, a day of every year, a distance from Easter.
type holiday struct {
	year     int // 0 in every year
	month    time.Month
	day      int
	easter   bool
	distance int // days after Easter Sunday
}

func (h holiday) is(day time.Time) bool {
	y, m, d := day.Date()
	if h.easter {
		return day.Equal(easter(y).AddDate(0, 0, h.distance))
	}
	return m == h.month && d == h.day && (h.year == 0 || h.year == y)
}

func parseHoliday(s string) (holiday, error) {
	if distance, ok := strings.CutPrefix(s, "easter"); ok {
		n, err := strconv.Atoi(distance)
		if (err == nil || distance == "") && n >= -60 && n <= 70 {
			return holiday{easter: true, distance: n}, nil
		}
	} else if at, err := time.Parse(time.DateOnly, s); err == nil {
		return holiday{year: at.Year(), month: at.Month(), day: at.Day()}, nil
	} else if at, err := time.Parse("2006-01-02", "2028-"+s); err == nil && len(s) == len("12-25") { // a leap year
		return holiday{month: at.Month(), day: at.Day()}, nil
	}
	return holiday{}, fmt.Errorf("holiday %.40q: want 2026-05-14, 12-25 or easter+1", s)
}

// easter is Easter Sunday of a year of the Gregorian calendar.
func easter(year int) time.Time {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	f := (b + 8) / 25
	g := (b - f + 1) / 3
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return time.Date(year, time.Month(n/31), n%31+1, 0, 0, 0, 0, time.UTC)
}
