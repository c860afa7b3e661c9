package callback

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Received is a message that a receiver may believe.
type Received struct {
	ID, Kind string
	Created  time.Time // of this attempt
}

// input is the only form that Signature-Input has here.
var input = regexp.MustCompile(`^\(([^)]*)\);created=(\d{1,12});expires=(\d{1,12});keyid="([A-Za-z0-9_-]{43})";alg="ed25519";tag="` + tag + `"$`)

// Verify is what a receiver does before it believes anything: url is its own, as
// it gave it to the sender, body all that came, keys the sender's that it knows,
// by their KeyID. Whoever has it keeps the ids of what it acted on: the same
// message may come again. Clocks may be a minute apart.
func Verify(h http.Header, url string, body []byte, keys map[string]ed25519.PublicKey, now time.Time) (Received, error) {
	params, signature, err := signatureOf(h)
	if err != nil {
		return Received{}, err
	}
	m := input.FindStringSubmatch(params)
	if m == nil || m[1] != `"`+strings.Join(covered, `" "`)+`"` {
		return Received{}, fmt.Errorf("%w: other components or parameters are signed than have to be", ErrUnverified)
	}
	created, expires := seconds(m[2]), seconds(m[3])
	const apart = time.Minute
	if created.After(now.Add(apart)) || expires.Before(now.Add(-apart)) || expires.Sub(created) > Window {
		return Received{}, fmt.Errorf("%w: not at this time", ErrUnverified)
	}
	key := keys[m[4]]
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, []byte(base(h, url, params)), signature) {
		return Received{}, fmt.Errorf("%w: not of a key that is known, or changed", ErrUnverified)
	}
	if !bytes.Equal([]byte(h.Get(fieldDigest)), []byte(digest(body))) {
		return Received{}, fmt.Errorf("%w: the body is another", ErrUnverified)
	}
	id, err := strconv.Unquote(h.Get(fieldID))
	if err != nil || !isName(id) {
		return Received{}, fmt.Errorf("%w: no id", ErrUnverified)
	}
	return Received{ID: id, Kind: h.Get(fieldKind), Created: created}, nil
}

// signatureOf is the signature of h and what it says that it covers.
func signatureOf(h http.Header) (params string, signature []byte, err error) {
	for _, name := range []string{fieldType, fieldDigest, fieldID, fieldKind, fieldInput, fieldSignature} {
		if len(h.Values(name)) != 1 {
			return "", nil, fmt.Errorf("%w: want the field %s once", ErrUnverified, name)
		}
	}
	params, is := strings.CutPrefix(h.Get(fieldInput), label+"=")
	text, has := strings.CutPrefix(h.Get(fieldSignature), label+"=:")
	text, ends := strings.CutSuffix(text, ":")
	signature, err = base64.StdEncoding.Strict().DecodeString(text)
	if !is || !has || !ends || err != nil {
		return "", nil, fmt.Errorf("%w: no signature %s", ErrUnverified, label)
	}
	return params, signature, nil
}

func seconds(s string) time.Time {
	n, _ := strconv.ParseInt(s, 10, 64) // at most 12 digits
	return time.Unix(n, 0)
}
