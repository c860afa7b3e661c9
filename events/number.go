package events

import (
	"math"
	"strconv"
	"strings"
)

// exactNumber is a JSON number as a value that prints as it was published:
// int64 or uint64, float64 where it holds all the digits, else text.
func exactNumber(s string) any {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil && s != "-0" {
		return i
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return u
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !sameNumber(s, strconv.FormatFloat(f, 'e', -1, 64)) {
		return s
	}
	return f
}

// sameNumber reports whether two JSON numbers of one sign are the same number.
func sameNumber(a, b string) bool {
	aDigits, aExponent := decimal(a)
	bDigits, bExponent := decimal(b)
	return aDigits == bDigits && aExponent == bExponent
}

// decimal is the number s as the digits d1 d2 d3... and the exponent of
// 0.d1d2d3... times ten to its power, without its sign.
func decimal(s string) (digits string, exponent int) {
	mantissa, power, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(s, "-")), "e")
	exponent, _ = strconv.Atoi(power)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	digits = strings.TrimLeft(all, "0")
	exponent += len(whole) - (len(all) - len(digits))
	if digits = strings.TrimRight(digits, "0"); digits == "" {
		exponent = 0
	}
	return digits, exponent
}

// numericDate is the number of seconds in n as a Timestamp, and whether it is
// a date.
func numericDate(n []byte) (Timestamp, bool) {
	if t, ok := shortDate(n); ok {
		return t, true
	}
	s, err := strconv.ParseFloat(string(n), 64)
	if err != nil || s < 0 || s > maxNumericDate {
		return 0, false
	}
	return Timestamp(math.Round(s * 1000)), true
}

// shortDate is numericDate of whole seconds below ten digits and some, as
// nearly all are.
func shortDate(n []byte) (t Timestamp, ok bool) {
	if len(n) == 0 || len(n) > 11 {
		return 0, false
	}
	for _, c := range n {
		if !isDigit(c) {
			return 0, false
		}
		t = t*10 + Timestamp(c-'0')
	}
	return t * 1000, true
}
