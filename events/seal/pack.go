package seal

import "encoding/hex"

// A personal part is packed before it is sealed: most of it is identifiers,
// addresses and the same few product names. The packed form is a list of tokens,
// each one byte and what belongs to it:
//
//	0x00 to 0x7f  that many bytes and one more, as they are
//	0x80 to 0xbf  four bytes and up to 63 more, which stand for twice as many hex digits
//	0xc0 to 0xef  a phrase
//	0xf0 to 0xf4  sixteen bytes of a UUID, see idToken
//	0xf5, 0xf6    four or sixteen bytes of an address, see addressToken
//
// No token refers to another part of the text. What somebody who chooses one
// member learns from the length is therefore what that member adds, and nothing
// of the members beside it.
const (
	literalTokens = 0x80
	hexToken      = 0x80
	hexTokens     = 0x40
	phraseToken   = 0xc0
	idToken       = 0xf0
	addressToken  = 0xf5
	unusedToken   = 0xf7

	minHex = 4 // bytes; fewer would save nothing
	maxHex = minHex + hexTokens - 1
)

// phrases are what clients and identifiers are made of. They belong to the
// version of the sealed form: none is ever changed or moved. Of those with one
// beginning the longest is first. Version 2 has the first 39, and no token
// above them.
var phrases = [...]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7",
	"Mozilla/5.0 (X11; Linux x86_64", "Mozilla/5.0 (iPhone; CPU iPhone OS ", "Mozilla/5.0 (Linux; Android ",
	"Mozilla/5.0 (", "Mobile/15E148", "Mobile Safari/537.36", " like Mac OS X", ") AppleWebKit/537.36 (KHTML, like Gecko) ",
	") AppleWebKit/605.1.15 (KHTML, like Gecko) ", ") AppleWebKit/537.36", ") Gecko/20100101 Firefox/", "Chrome/", ".0.0.0 ",
	"Safari/537.36", "Safari/604.1", "Safari/605.1.15", " Edg/", "Version/", "; rv:", "Go-http-client/", "curl/", "okhttp/",
	"python-requests/", "Dalvik/2.1.0 (Linux; U; Android ", "CFNetwork/", " Darwin/", "@gmail.com", "@outlook.com", "@hotmail.com",
	"@yahoo.com", "@icloud.com", "@example.com", "https://", "192.168.", "auth0|", "google-oauth2|", "user",
	" (iPhone; iOS ", " (Android ", "; SM-", "\x65email", "\x66locale", "\x65en-", "@proton.me", ".local", "-client",
}

// phrasesOf is the places of the phrases that begin with a byte.
var phrasesOf = func() (of [256][]byte) {
	for i, p := range phrases {
		of[p[0]] = append(of[p[0]], byte(i))
	}
	return of
}()

// What a byte of the plain part can begin: looked up for each, so that nearly
// all of them are passed with one look.
const (
	beginsPhrase = 1 << iota
	beginsMember // of those that have a token of their own
	isHexDigit
)

var beginnings = func() (of [256]byte) {
	for c := range of {
		if len(phrasesOf[c]) > 0 {
			of[c] |= beginsPhrase
		}
		if 0 < c && c <= memberIP {
			of[c] |= beginsMember
		}
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'f' {
			of[c] |= isHexDigit
		}
	}
	return of
}()

// appendPacked appends the packed form of plain, which is at most one byte in
// 128 longer.
func appendPacked(dst, plain []byte) []byte {
	literal := 0 // where what is not yet in dst begins
	short := 0   // where the hex digits end that are known to be too few
	for i := 0; i < len(plain); {
		begins, n := beginnings[plain[i]], 0
		token := byte(0)
		if begins&beginsPhrase != 0 {
			token, n = matchPhrase(plain[i:])
		}
		if n == 0 && begins&beginsMember != 0 {
			token, n = matchMember(plain[i:])
		}
		if n == 0 && begins&isHexDigit != 0 && i >= short {
			if token, n = matchDigits(plain[i:]); n < 2*minHex {
				short, n = i+n, 0
			}
		}
		if n == 0 {
			i++
			continue
		}
		dst = append(appendLiteral(dst, plain[literal:i]), token)
		dst = appendBody(dst, token, plain[i:i+n])
		i += n
		literal = i
	}
	return appendLiteral(dst, plain[literal:])
}

// appendBody appends what belongs to a token that stands for text.
func appendBody(dst []byte, token byte, text []byte) []byte {
	switch {
	case token < phraseToken:
		return appendHex(dst, text)
	case token < idToken:
		return dst
	case token < addressToken:
		return appendID(dst, text[len(text)-idDigits:])
	default:
		return appendAddress(dst, text)
	}
}

// matchPhrase is the token of the phrase that b begins with, and its length; n
// is 0 where there is none.
func matchPhrase(b []byte) (token byte, n int) {
	for _, i := range phrasesOf[b[0]] {
		p := phrases[i]
		if last := len(p) - 1; last < len(b) && p[last] == b[last] && string(b[:len(p)]) == p {
			return phraseToken + i, len(p)
		}
	}
	return 0, 0
}

// matchDigits is the token of the UUID or of the hex digits that b begins with,
// and how many bytes it stands for. Where digits are fewer than a token takes,
// n is all of them.
func matchDigits(b []byte) (token byte, n int) {
	if isID(b) {
		return idToken, idDigits
	}
	for n < len(b) && n < 2*maxHex && isDigit(b[n]) {
		n++
	}
	if n < 2*minHex {
		return 0, n
	}
	return byte(hexToken + n/2 - minHex), n &^ 1
}

func isDigit(c byte) bool { return beginnings[c]&isHexDigit != 0 }

func appendHex(dst, digits []byte) []byte {
	for i := 0; i+1 < len(digits); i += 2 {
		dst = append(dst, nibble(digits[i])<<4|nibble(digits[i+1]))
	}
	return dst
}

// nibble is what a hex digit says: a letter is 9 more than its lowest bits.
func nibble(c byte) byte { return c&0xf + c>>6*9 }

func appendLiteral(dst, b []byte) []byte {
	for len(b) > 0 {
		n := min(len(b), literalTokens)
		dst = append(append(dst, byte(n-1)), b[:n]...)
		b = b[n:]
	}
	return dst
}

// unpack is what was packed. One byte stands for 60 at most, so that the result
// is bounded by what was sealed.
func unpack(packed []byte) ([]byte, error) {
	plain := make([]byte, 0, 2*len(packed))
	for len(packed) > 0 {
		token := packed[0]
		n := bodySize(token)
		if n < 0 || n >= len(packed) {
			return nil, ErrSealed
		}
		plain = appendText(plain, token, packed[1:1+n])
		packed = packed[1+n:]
	}
	return plain, nil
}

// bodySize is how many bytes belong to a token; -1 where it is none.
func bodySize(token byte) int {
	switch {
	case token < literalTokens:
		return int(token) + 1
	case token < phraseToken:
		return int(token) - hexToken + minHex
	case int(token) < phraseToken+len(phrases):
		return 0
	case token < idToken:
		return -1
	case token < addressToken:
		return idSize
	case token == addressToken:
		return 4
	case token < unusedToken:
		return 16
	}
	return -1
}

// appendText appends what a token stands for.
func appendText(plain []byte, token byte, body []byte) []byte {
	switch {
	case token < literalTokens:
		return append(plain, body...)
	case token < phraseToken:
		return hex.AppendEncode(plain, body)
	case token < idToken:
		return append(plain, phrases[token-phraseToken]...)
	case token < addressToken:
		return appendIDText(plain, token-idToken, body)
	default:
		return appendAddressText(plain, body)
	}
}
