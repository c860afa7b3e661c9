package seal

import (
	"bytes"
	"encoding/hex"
	"net/netip"
)

// Members of the personal part, in CBOR, that have a token of their own: a key
// of one byte, the head of a text, the text. The sub, jti, sid and grant_id of
// an issuer that makes UUIDs are 16 bytes each, and so is an address of IPv6;
// one of IPv4 is 4. Only a text in its one canonical form is packed so, and
// comes back as it was: another stays text.
const (
	memberGrant = 4 // the last of those that hold identifiers, which begin at 1
	memberIP    = 5

	textHead = 0x60 // and the length, up to 23
	longText = 0x78 // and the length in the next byte

	idSize   = 16
	idDigits = 36 // of a UUID as RFC 9562 writes it
)

// matchMember is the token of the member that b begins with, and its length; n
// is 0 where there is none.
func matchMember(b []byte) (token byte, n int) {
	if b[0] == memberIP {
		return matchAddress(b)
	}
	if len(b) > 3 && b[1] == longText && b[2] == idDigits && isID(b[3:]) {
		return idToken + b[0], 3 + idDigits
	}
	return 0, 0
}

// isID reports whether b begins with a UUID in lower case with its hyphens.
func isID(b []byte) bool {
	if len(b) < idDigits || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return false
	}
	for i, c := range b[:idDigits] {
		if !isDigit(c) && !(i == 8 || i == 13 || i == 18 || i == 23) {
			return false
		}
	}
	return true
}

func appendID(dst, id []byte) []byte {
	for _, group := range [...][]byte{id[:8], id[9:13], id[14:18], id[19:23], id[24:]} {
		dst = appendHex(dst, group)
	}
	return dst
}

// appendIDText appends a UUID, alone or as the member with that key.
func appendIDText(plain []byte, member byte, id []byte) []byte {
	if member > 0 {
		plain = append(plain, member, longText, idDigits)
	}
	for i, group := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			plain = append(plain, '-')
		}
		plain = hex.AppendEncode(plain, group)
	}
	return plain
}

// matchAddress is matchMember of the address. One of IPv6 that is shorter as
// text, as ::1, stays text.
func matchAddress(b []byte) (token byte, n int) {
	text := addressText(b)
	if _, ok := parseIPv4(text); ok {
		return addressToken, len(text) + 2
	}
	if len(text) < 16 || !bytes.Contains(text, []byte{':'}) {
		return 0, 0
	}
	addr, err := netip.ParseAddr(string(text))
	if err != nil {
		return 0, 0
	}
	var room [64]byte
	canonical := appendAddressText(room[:0], addr.AsSlice())
	if !bytes.HasPrefix(b, canonical) {
		return 0, 0
	}
	return addressToken + 1, len(canonical)
}

// parseIPv4 is the address in dotted decimals without needless zeros.
func parseIPv4(text []byte) (address [4]byte, ok bool) {
	at, digits, value := 0, 0, 0
	for _, c := range text {
		switch {
		case '0' <= c && c <= '9' && digits < 3 && (value > 0 || digits == 0):
			digits, value = digits+1, 10*value+int(c-'0')
		case c == '.' && digits > 0 && value < 256 && at < 3:
			address[at], at, digits, value = byte(value), at+1, 0, 0
		default:
			return address, false
		}
	}
	address[3] = byte(value)
	return address, at == 3 && digits > 0 && value < 256
}

// addressText is the text of the member that b begins with; nil where it is
// none or too long for an address.
func addressText(b []byte) []byte {
	const longest = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
	head, n := 2, 0
	switch {
	case len(b) < 3:
		return nil
	case b[1] == longText && b[2] >= longText-textHead: // else it is not the shortest form
		head, n = 3, int(b[2])
	case b[1] > textHead && b[1] < longText:
		n = int(b[1] - textHead)
	}
	if n == 0 || n > longest || len(b) < head+n {
		return nil
	}
	return b[head : head+n]
}

func appendAddress(dst, member []byte) []byte {
	text := addressText(member)
	if address, ok := parseIPv4(text); ok {
		return append(dst, address[:]...)
	}
	addr, _ := netip.ParseAddr(string(text)) // it was matched
	return append(dst, addr.AsSlice()...)
}

// appendAddressText appends the member that holds an address of 4 or 16 bytes.
func appendAddressText(plain, address []byte) []byte {
	addr, _ := netip.AddrFromSlice(address) // 4 or 16
	var room [64]byte
	text := addr.AppendTo(room[:0])
	if len(text) < longText-textHead {
		plain = append(plain, memberIP, textHead+byte(len(text)))
	} else {
		plain = append(plain, memberIP, longText, byte(len(text)))
	}
	return append(plain, text...)
}
