package erasure

import (
	"errors"
	"strconv"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/receipt"
)

// The attributes of request.completed that hold its receipt. An attribute is no
// longer than events.MaxAttributeBytes, and must not look like a token, as a
// compact JWS does: so it stands there in parts.
const (
	attrReceiptProtected = "receipt_protected"
	attrReceiptPayload   = "receipt_payload_" // and a number from 1
	attrReceiptSignature = "receipt_signature"
)

// writeReceipt puts j into attributes.
func writeReceipt(attributes map[string]string, j receipt.JWS) {
	attributes[attrReceiptProtected], attributes[attrReceiptSignature] = j.Protected, j.Signature
	for n, rest := 1, j.Payload; rest != ""; n++ {
		part := rest[:min(len(rest), events.MaxAttributeBytes)]
		attributes[attrReceiptPayload+strconv.Itoa(n)], rest = part, rest[len(part):]
	}
}

var errNoParts = errors.New("the event holds no receipt")

// receiptIn is what writeReceipt put into attributes.
func receiptIn(attributes map[string]string) (receipt.JWS, error) {
	j := receipt.JWS{Protected: attributes[attrReceiptProtected], Signature: attributes[attrReceiptSignature]}
	for n := 1; attributes[attrReceiptPayload+strconv.Itoa(n)] != ""; n++ {
		j.Payload += attributes[attrReceiptPayload+strconv.Itoa(n)]
	}
	if j.Protected == "" || j.Payload == "" || j.Signature == "" {
		return j, errNoParts
	}
	return j, nil
}
