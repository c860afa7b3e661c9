package export

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// An export is an age file. It is stored encrypted to a key of its own, which is
// sealed under the key of the person. Whoever is to have it gets another header:
// the one key of the bytes behind it, wrapped to a passphrase or to a public key
// of theirs. So a link costs the same however long the export is, and nothing
// that is stored opens once the person's key is gone.

// MaxRecipientBytes bounds what ParseRecipient reads: a hybrid key is the longest.
const MaxRecipientBytes = 4 << 10

// ErrRecipient says that something is no public key of age.
var ErrRecipient = errors.New("want one public key of age, which begins with age1")

// ParseRecipient reads a public key of age.
func ParseRecipient(s string) (age.Recipient, error) {
	if len(s) > MaxRecipientBytes || strings.ContainsAny(s, "\r\n#") {
		return nil, ErrRecipient
	}
	list, err := age.ParseRecipients(strings.NewReader(s))
	if err != nil || len(list) != 1 {
		return nil, ErrRecipient
	}
	return list[0], nil
}

// A passphrase has 26 digits of 5 bits each: nobody guesses 130 bits, so that it
// need not be stretched, which age by default spends 256 MB and a second on.
const (
	passphraseBytes = 17
	passphraseTake  = 26
	workFactor      = 12
)

var digits = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// newPassphrase is random, in groups that can be read to somebody.
func newPassphrase() string {
	b := make([]byte, passphraseBytes)
	_, _ = rand.Read(b) // never fails
	text := digits.EncodeToString(b)[:passphraseTake]
	var groups []string
	for len(text) > 0 {
		n := min(5, len(text))
		groups, text = append(groups, text[:n]), text[n:]
	}
	return strings.Join(groups, "-")
}

func toPassphrase(passphrase string) (age.Recipient, error) {
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(workFactor)
	return r, nil
}

// rewrap is the header of an age file for another recipient: of the file that
// header begins, which identity opens.
func rewrap(header []byte, identity age.Identity, to age.Recipient) ([]byte, error) {
	key, err := age.DecryptHeader(header, identity)
	if err != nil {
		return nil, fmt.Errorf("open the header: %w", err)
	}
	stanzas, err := to.Wrap(key)
	if err != nil {
		return nil, fmt.Errorf("wrap the key: %w", err)
	}
	return newHeader(key, stanzas)
}

// newHeader is age-encryption.org/v1, "Header": the stanzas, and HMAC-SHA-256
// over them under a key derived from the file's.
func newHeader(key []byte, stanzas []*age.Stanza) ([]byte, error) {
	b := []byte("age-encryption.org/v1\n")
	for _, s := range stanzas {
		b = appendStanza(b, s)
	}
	b = append(b, "---"...)
	mac, err := hkdf.Key(sha256.New, key, nil, "header", sha256.Size)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, mac)
	h.Write(b)
	b = append(b, ' ')
	b = base64.RawStdEncoding.AppendEncode(b, h.Sum(nil))
	return append(b, '\n'), nil
}

// stanzaColumns is how long a line of a stanza's body is; the last is shorter,
// empty where it has to be.
const stanzaColumns = 64

func appendStanza(b []byte, s *age.Stanza) []byte {
	b = append(b, "-> "+strings.Join(append([]string{s.Type}, s.Args...), " ")+"\n"...)
	body := base64.RawStdEncoding.EncodeToString(s.Body)
	for len(body) >= stanzaColumns {
		b = append(b, body[:stanzaColumns]+"\n"...)
		body = body[stanzaColumns:]
	}
	return append(b, body+"\n"...)
}
