package callback

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The fields of a message that are made here.
const (
	fieldType      = "Content-Type"
	fieldDigest    = "Content-Digest"
	fieldID        = "Idempotency-Key"
	fieldKind      = "Rescind-Kind"
	fieldInput     = "Signature-Input"
	fieldSignature = "Signature"
)

var made = map[string]bool{
	fieldType: true, fieldDigest: true, fieldID: true, fieldKind: true, fieldInput: true, fieldSignature: true,
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Content-Encoding": true, "Connection": true, "User-Agent": true,
}

const (
	label = "rescind"          // of the signature, among those of a message
	tag   = "rescind-callback" // nothing else that the key may sign is taken for a callback
)

// covered is the components that are signed, in this order.
var covered = []string{"@method", "@target-uri", "content-type", "content-digest", "idempotency-key", "rescind-kind"}

// KeyID names a key: its RFC 7638 thumbprint.
func KeyID(key ed25519.PublicKey) string {
	x := base64.RawURLEncoding.EncodeToString(key)
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sign puts the fields of m and their signature into h.
func sign(h http.Header, key ed25519.PrivateKey, m Message, now time.Time) {
	h.Set(fieldType, m.ContentType)
	h.Set(fieldDigest, digest(m.Body))
	h.Set(fieldID, strconv.Quote(m.ID))
	h.Set(fieldKind, m.Kind)
	params := parameters(KeyID(key.Public().(ed25519.PublicKey)), now)
	h.Set(fieldInput, label+"="+params)
	signature := ed25519.Sign(key, []byte(base(h, m.URL, params)))
	h.Set(fieldSignature, label+"=:"+base64.StdEncoding.EncodeToString(signature)+":")
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// parameters is what is signed, when and by whom (RFC 9421, section 2.3).
func parameters(keyID string, now time.Time) string {
	return fmt.Sprintf(`("%s");created=%d;expires=%d;keyid="%s";alg="ed25519";tag="%s"`,
		strings.Join(covered, `" "`), now.Unix(), now.Add(Window).Unix(), keyID, tag)
}

// base is what the signature is over (RFC 9421, section 2.5).
func base(h http.Header, url, params string) string {
	var b strings.Builder
	for _, name := range covered {
		value := h.Get(name)
		switch name {
		case "@method":
			value = http.MethodPost
		case "@target-uri":
			value = url
		}
		fmt.Fprintf(&b, "\"%s\": %s\n", name, value)
	}
	b.WriteString(`"@signature-params": ` + params)
	return b.String()
}
