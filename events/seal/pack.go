package seal

import "encoding/hex"

// A personal part is packed before it is sealed: most of it is identifiers in
// hex and the same few product names. The packed form is a list of tokens, each
// one byte and what belongs to it:
//
//	0x00 to 0x7f  that many bytes and one more, as they are
//	0x80 to 0xbf  four bytes and up to 63 more, which stand for twice as many hex digits
//	0xc0 to 0xff  a phrase
//
// No token refers to another part of the text. What somebody who chooses one
// member learns from the length is therefore what that member adds, and nothing
// of the members beside it.
const (
	literalTokens = 0x80
	hexToken      = 0x80
	hexTokens     = 0x40
	phraseToken   = 0xc0

	minHex = 4 // bytes; fewer would save nothing
	maxHex = minHex + hexTokens - 1
)

// phrases are what clients and identifiers are made of. They belong to
// sealVersion: none is ever changed or moved. Of those with one beginning the
// longest is first.
var phrases = [...]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7",
	"Mozilla/5.0 (X11; Linux x86_64", "Mozilla/5.0 (iPhone; CPU iPhone OS ", "Mozilla/5.0 (Linux; Android ",
	"Mozilla/5.0 (", "Mobile/15E148", "Mobile Safari/537.36", " like Mac OS X", ") AppleWebKit/537.36 (KHTML, like Gecko) ",
	") AppleWebKit/605.1.15 (KHTML, like Gecko) ", ") AppleWebKit/537.36", ") Gecko/20100101 Firefox/", "Chrome/", ".0.0.0 ",
	"Safari/537.36", "Safari/604.1", "Safari/605.1.15", " Edg/", "Version/", "; rv:", "Go-http-client/", "curl/", "okhttp/",
	"python-requests/", "Dalvik/2.1.0 (Linux; U; Android ", "CFNetwork/", " Darwin/", "@gmail.com", "@outlook.com", "@hotmail.com",
	"@yahoo.com", "@icloud.com", "@example.com", "https://", "192.168.", "auth0|", "google-oauth2|", "user",
}

// phrasesOf is the places of the phrases that begin with a byte.
var phrasesOf = func() (of [256][]byte) {
	for i, p := range phrases {
		of[p[0]] = append(of[p[0]], byte(i))
	}
	return of
}()

// appendPacked appends the packed form of plain, which is at most one byte in
// 128 longer.
func appendPacked(dst, plain []byte) []byte {
	literal := 0 // where what is not yet in dst begins
	for i := 0; i < len(plain); {
		token, n := match(plain[i:])
		if n == 0 {
			i++
			continue
		}
		dst = append(appendLiteral(dst, plain[literal:i]), token)
		if token < phraseToken {
			at := len(dst)
			dst = append(dst, make([]byte, n/2)...)
			_, _ = hex.Decode(dst[at:], plain[i:i+n]) // they are hex digits
		}
		i += n
		literal = i
	}
	return appendLiteral(dst, plain[literal:])
}

func appendLiteral(dst, b []byte) []byte {
	for len(b) > 0 {
		n := min(len(b), literalTokens)
		dst = append(append(dst, byte(n-1)), b[:n]...)
		b = b[n:]
	}
	return dst
}

// match is the token that stands for the first n bytes of b; n is 0 where there
// is none.
func match(b []byte) (token byte, n int) {
	for _, i := range phrasesOf[b[0]] {
		if p := phrases[i]; len(p) <= len(b) && string(b[:len(p)]) == p {
			return phraseToken + i, len(p)
		}
	}
	for n < len(b) && n < 2*maxHex && isHex(b[n]) {
		n++
	}
	if n /= 2; n < minHex {
		return 0, 0
	}
	return byte(hexToken + n - minHex), 2 * n
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

// unpack is what was packed. One byte stands for 60 at most, so that the result
// is bounded by what was sealed.
func unpack(packed []byte) ([]byte, error) {
	plain := make([]byte, 0, 2*len(packed))
	for len(packed) > 0 {
		token := packed[0]
		packed = packed[1:]
		n := 0
		switch {
		case token < literalTokens:
			n = int(token) + 1
		case token < phraseToken:
			n = int(token) - hexToken + minHex
		case int(token)-phraseToken >= len(phrases):
			return nil, ErrSealed
		default:
			plain = append(plain, phrases[token-phraseToken]...)
		}
		if n > len(packed) {
			return nil, ErrSealed
		}
		if token < literalTokens {
			plain = append(plain, packed[:n]...)
		} else {
			plain = hex.AppendEncode(plain, packed[:n])
		}
		packed = packed[n:]
	}
	return plain, nil
}
