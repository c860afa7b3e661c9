package events

import (
	"strconv"
)

// identifiers are the members in which digits joined to something else are a
// piece of it, and no card number.
var identifiers = map[string]bool{
	"id": true, "source": true, "data.jti": true, "data.sid": true, "data.kid": true, "data.client_id": true, "data.grant_id": true,
}

// manyDigits reports whether 13 digits follow each other in s with at most one
// space or hyphen between two: without them the expression need not run.
func manyDigits(s string) bool {
	digits, gap := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			digits, gap = digits+1, 0
		case (c == ' ' || c == '-') && gap == 0:
			gap = 1
		default:
			digits, gap = 0, 0
		}
		if digits == 13 {
			return true
		}
	}
	return false
}

func holdsCard(s string, identifier bool) bool {
	if !manyDigits(s) {
		return false
	}
	for i := 0; i < len(s); {
		end := cardNumber(s, i)
		if end == 0 {
			i++
			continue
		}
		if apart(s, []int{i, end}, identifier) && issuerRange(s[i:end]) && luhn(s[i:end]) {
			return true
		}
		i = behind(s, i, end)
	}
	return false
}

// behind is where to look on behind digits that are no card number: the first of
// several groups can be something else, a year say, and the number begin in the
// next one.
func behind(s string, i, end int) int {
	if group := digitsAt(s, i, 4+1); group == 4 {
		return i + group
	}
	return end
}

// cardNumber is where 13 to 19 digits end that begin at i and could be a payment
// card number, bare or in the groups that are printed on cards; 0 where there
// are none. The issuer's range and the check digit are looked at after.
func cardNumber(s string, i int) (end int) {
	if s[i] < '2' || s[i] > '6' {
		return 0
	}
	if bare := digitsAt(s, i, 19); bare >= 13 {
		return i + bare
	}
	if at := groupsAt(s, i, 4, 4, 4); at > 0 && digitsAt(s, at, 7) >= 1 {
		return at + digitsAt(s, at, 7)
	}
	if at := groupsAt(s, i, 4, 6); s[i] == '3' && at > 0 && digitsAt(s, at, 5) >= 4 {
		return at + digitsAt(s, at, 5)
	}
	return 0
}

// digitsAt is how many digits there are from i on, at most most.
func digitsAt(s string, i, most int) (n int) {
	for n < most && i+n < len(s) && isDigit(s[i+n]) {
		n++
	}
	return n
}

// groupsAt is where groups of as many digits end, each with a space or hyphen
// behind it; 0 where they are not.
func groupsAt(s string, i int, digits ...int) int {
	for _, n := range digits {
		if digitsAt(s, i, n) < n || i+n == len(s) || s[i+n] != ' ' && s[i+n] != '-' {
			return 0
		}
		i += n + 1
	}
	return i
}

// apart reports whether the digits stand for themselves: not a piece of a
// longer word or a decimal, nor, in an identifier, of anything.
func apart(s string, at []int, identifier bool) bool {
	joins := func(c byte) bool {
		word := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		return word || identifier && (c == '-' || c == '_' || c == '.')
	}
	point := func(i int) bool { return i > 0 && i+1 < len(s) && s[i] == '.' && isDigit(s[i-1]) && isDigit(s[i+1]) }
	before := at[0] == 0 || !joins(s[at[0]-1]) && !point(at[0]-1)
	after := at[1] == len(s) || !joins(s[at[1]]) && !point(at[1])
	return before && after
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// issuerRange reports whether the digits of s begin as those of a card of
// their number do: ISO/IEC 7812 as the networks publish it.
func issuerRange(s string) bool {
	var digits []byte
	for i := range len(s) {
		if isDigit(s[i]) {
			digits = append(digits, s[i])
		}
	}
	n := len(digits)
	if n < 13 || n > 19 {
		return false
	}
	head, _ := strconv.Atoi(string(digits[:4]))
	switch {
	case head/1000 == 4: // Visa
		return n == 13 || n == 16 || n == 19
	case head/100 >= 51 && head/100 <= 55, head >= 2221 && head <= 2720: // Mastercard
		return n == 16
	case head/100 == 34, head/100 == 37: // American Express
		return n == 15
	case head/10 >= 300 && head/10 <= 305, head/100 == 36, head/100 == 38, head/100 == 39: // Diners Club
		return n >= 14
	case head >= 3528 && head <= 3589: // JCB
		return n >= 16
	default: // Maestro, Discover, UnionPay and others
		return head/1000 == 6 || head/100 == 50 || head/100 >= 56 && head/100 <= 58
	}
}

// luhn reports whether the digits of s end in the check digit of ISO/IEC
// 7812-1.
func luhn(s string) bool {
	sum, double := 0, false
	for i := len(s) - 1; i >= 0; i-- {
		if !isDigit(s[i]) {
			continue
		}
		d := int(s[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double = sum+d, !double
	}
	return sum%10 == 0
}
