package erasure

import "time"

// The regulations that a request can be made under.
const (
	GDPR  = "gdpr"
	CCPA  = "ccpa"
	Other = "other"
)

// Regulations lists them.
func Regulations() []string { return []string{GDPR, CCPA, Other} }

// Due is when a request that was received then has to be answered: one
// calendar month later (GDPR article 12(3)), or 45 days under the CCPA (§
// 7021(b)).
func Due(received time.Time, regulation string) time.Time {
	if regulation == CCPA {
		return received.AddDate(0, 0, 45)
	}
	return addMonths(received, 1)
}

// extended is the deadline after an extension: two further months, or 45
// further days.
func extended(received time.Time, regulation string) time.Time {
	if regulation == CCPA {
		return received.AddDate(0, 0, 90)
	}
	return addMonths(received, 3)
}

// addMonths ends at the last day of a month that is too short for the day,
// where time.AddDate would run into the next (Regulation 1182/71 article 3).
func addMonths(t time.Time, n int) time.Time {
	due := t.AddDate(0, n, 0)
	if due.Day() != t.Day() {
		due = due.AddDate(0, 0, -due.Day())
	}
	return due
}
