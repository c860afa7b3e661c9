package receipt

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

const (
	alg = "EdDSA"
	typ = "rescind-erasure-receipt"
)

// header is the protected header, whole.
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// JWS is a signed receipt in the parts of RFC 7515, each in base64url.
type JWS struct {
	Protected, Payload, Signature string
}

// Compact is j in compact form.
func (j JWS) Compact() string { return j.Protected + "." + j.Payload + "." + j.Signature }

// Split is the parts of a compact form; false where there are not three.
func Split(compact string) (JWS, bool) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return JWS{}, false
	}
	return JWS{parts[0], parts[1], parts[2]}, true
}

// MaxPayload is how long a payload may be: it has to fit into an event of the log.
const MaxPayload = 16 << 10

// maxText is how much of a text that others have written stands in a receipt.
const maxText = 200

// Sign is r signed. What does not fit is left out of the end of its lists.
func Sign(r Receipt, key ed25519.PrivateKey) (JWS, error) {
	r.Version = Version
	payload, err := r.fit()
	if err != nil {
		return JWS{}, fmt.Errorf("sign receipt: %w", err)
	}
	protected, err := json.Marshal(header{alg, NewKey(key.Public().(ed25519.PublicKey)).ID, typ})
	if err != nil {
		return JWS{}, fmt.Errorf("sign receipt: %w", err)
	}
	j := JWS{Protected: b64.EncodeToString(protected), Payload: b64.EncodeToString(payload)}
	j.Signature = b64.EncodeToString(ed25519.Sign(key, j.signed()))
	return j, nil
}

// signed is what the signature is over.
func (j JWS) signed() []byte { return []byte(j.Protected + "." + j.Payload) }

// fit is r in JSON, with its lists cut until it is no longer than MaxPayload.
func (r Receipt) fit() ([]byte, error) {
	r.tidy()
	for {
		b, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		switch {
		case len(b) <= MaxPayload:
			return b, nil
		case len(r.Recipients) > 0:
			r.Recipients, r.More = halve(r.Recipients, r.More)
		case r.Kept != nil && len(r.Kept.Holds) > 0:
			kept := *r.Kept
			kept.Holds, kept.More = halve(kept.Holds, kept.More)
			r.Kept = &kept
		default:
			return nil, fmt.Errorf("it has %d bytes, the limit is %d", len(b), MaxPayload)
		}
	}
}

func halve[T any](list []T, more int) ([]T, int) {
	n := len(list) / 2
	return list[:n], more + len(list) - n
}

// tidy gives r's lists and texts the form that they are read in, without
// touching what others have of them.
func (r *Receipt) tidy() {
	r.Received, r.Due, r.Issued = second(r.Received), second(r.Due), second(r.Issued)
	r.Decisions = append([]Step{}, r.Decisions...)
	for i := range r.Decisions {
		r.Decisions[i].At = second(r.Decisions[i].At)
	}
	r.Destroyed, r.Tokens, r.Residue = copied(r.Destroyed), copied(r.Tokens), copied(r.Residue)
	if r.Destroyed != nil {
		r.Destroyed.At = second(r.Destroyed.At)
		r.Destroyed.Repetition = copied(r.Destroyed.Repetition)
		if again := r.Destroyed.Repetition; again != nil {
			again.First, again.Found = second(again.First), second(again.Found)
		}
	}
	if r.Tokens != nil {
		r.Tokens.IssuedUntil = second(r.Tokens.IssuedUntil)
	}
	if r.Residue != nil {
		r.Residue.UnreadableFrom = second(r.Residue.UnreadableFrom)
	}
	r.Remains = append([]Remain{}, r.Remains...)
	recipients := make([]Recipient, len(r.Recipients))
	for i, to := range r.Recipients {
		to.ID, to.Answer, to.At = clip(to.ID), clip(to.Answer), second(to.At)
		recipients[i] = to
	}
	r.Recipients = recipients
	if r.Kept == nil {
		return
	}
	kept := *r.Kept
	kept.Holds = make([]Hold, len(r.Kept.Holds))
	for i, h := range r.Kept.Holds {
		h.Article = clip(h.Article)
		kept.Holds[i] = h
	}
	r.Kept = &kept
}

func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
