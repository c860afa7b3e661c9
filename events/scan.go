package events

import "strings"

// eight is the eight bytes of s at i as one word, the first lowest.
func eight[T string | []byte](s T, i int) uint64 {
	_ = s[i+7]
	return uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
		uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
}

// A byte each of a word.
const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// printableASCII reports whether s is made of printable ASCII alone, as nearly
// every text of an event is: then it is UTF-8 and holds no control character.
func printableASCII(s string) bool {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := eight(s, i)
		// Above ASCII, below the space, or DEL.
		if (x|(x-ones*' ')&^x|(x+ones))&tops != 0 {
			return false
		}
	}
	for ; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// suspicious reports whether s can hold what must not be stored. Where it says
// no, offence finds nothing, whatever the member: it looks at few bytes of
// nearly every text, and the expressions need not run.
func suspicious(s string) bool { return len(s) >= shortestToken && suspiciousText(s) }

func suspiciousText(s string) bool {
	return mayHoldToken(s) && holdsToken(s) || mayHoldCard(s) && holdsCard(s, false)
}

const (
	shortestToken = 12 // what compactToken matches
	fewestDigits  = 13 // of a card number
)

func mayHoldToken(s string) bool {
	dot := strings.IndexByte(s, '.')
	if dot < 0 || strings.IndexByte(s[dot+1:], '.') < 0 {
		return false
	}
	return strings.Contains(s, "ey") || strings.Contains(s, "ew")
}

// inCard is the bytes that the digits of a card number are printed with.
var inCard = [256]bool{'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true, ' ': true, '-': true}

// mayHoldCard reports whether 13 bytes in a row are digits, spaces or hyphens.
// It looks at the last of 13 first: where that one is something else, none of
// the 13 need be looked at.
func mayHoldCard(s string) bool {
	for end := fewestDigits - 1; end < len(s); {
		at := end
		for at > end-fewestDigits && inCard[s[at]] {
			at--
		}
		if at == end-fewestDigits {
			return true
		}
		end = at + fewestDigits
	}
	return false
}
