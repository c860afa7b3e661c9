package receipt

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
)

// What may be wrong with a receipt.
const (
	BadForm      = "form"      // it is no JWS, or was cut
	BadSize      = "size"      // larger than any receipt
	BadHeader    = "header"    // another algorithm, kind of JWS, or a key that it brought itself
	BadKey       = "key"       // signed with a key that is not among those given
	BadSignature = "signature" // changed since it was signed, or never was
	BadPayload   = "payload"   // signed, and yet not what a receipt says
	BadDisplay   = "display"   // what is shown beside it is not what was signed
	BadVersion   = "version"   // newer than this program
	BadSubject   = "subject"   // genuine, but not about that person
)

// Invalid is why a receipt is not accepted, and what to do about it.
type Invalid struct{ What, Detail string }

func (e *Invalid) Error() string { return e.Detail }

func invalid(what, format string, args ...any) error {
	return &Invalid{what, fmt.Sprintf(format, args...)}
}

// MaxFile is how long a file with a receipt may be.
const MaxFile = 128 << 10

// File is a receipt as JSON: what was signed, and the same to be read.
type File struct {
	JWS     string          `json:"jws"`
	Receipt json.RawMessage `json:"receipt"`
}

// NewFile is a signed receipt as JSON, not verified.
func NewFile(j JWS) (File, error) {
	payload, err := unbase64(j.Payload)
	return File{j.Compact(), payload}, err
}

// Verify reads a file and checks it with keys. It says which of them it was. An
// error is an *Invalid.
func Verify(file []byte, keys []Key) (*Receipt, Key, error) {
	if len(file) > MaxFile {
		return nil, Key{}, invalid(BadSize, "it has %d bytes, and no receipt has more than %d: this is another file", len(file), MaxFile)
	}
	compact, shown, err := read(bytes.TrimSpace(file))
	if err != nil {
		return nil, Key{}, err
	}
	j, whole := Split(compact)
	if !whole {
		return nil, Key{}, invalid(BadForm, "a receipt has three parts with dots between them: the file was cut or is another; get it again")
	}
	key, err := j.key(keys)
	if err != nil {
		return nil, Key{}, err
	}
	payload, err := j.open(key)
	if err != nil {
		return nil, key, err
	}
	if len(shown) > 0 && !sameJSON(shown, payload) {
		return nil, key, invalid(BadDisplay, "what the file shows as receipt is not what was signed: trust neither, and get it again")
	}
	r, err := decode(payload)
	return r, key, err
}

// read is the compact form in a file, and what is shown beside it.
func read(file []byte) (compact string, shown []byte, err error) {
	if len(file) == 0 {
		return "", nil, invalid(BadForm, "the file is empty; get it again")
	}
	if file[0] != '{' {
		return string(file), nil, nil
	}
	var f File
	if err := json.Unmarshal(file, &f); err != nil || f.JWS == "" {
		return "", nil, invalid(BadForm, "it is no JSON with the member jws: the file was cut or is another; get it again")
	}
	return f.JWS, f.Receipt, nil
}

// key is the one of keys that the header names. The header is compared byte for
// byte with the one that Sign writes, so that nothing else can be in it: no key,
// no critical extension, no second member of a name.
func (j JWS) key(keys []Key) (Key, error) {
	raw, err := unbase64(j.Protected)
	var h header
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return Key{}, invalid(BadHeader, "its first part is no header of a JWS: the file was changed or is another; get it again")
	}
	switch want, _ := json.Marshal(header{alg, h.Kid, typ}); {
	case h.Alg != alg:
		return Key{}, invalid(BadHeader, "its algorithm is %.20q: receipts are signed with %s and nothing else; this was not made by Rescind", h.Alg, alg)
	case h.Typ != typ:
		return Key{}, invalid(BadHeader, "it is a %.40q and no receipt", h.Typ)
	case !bytes.Equal(raw, want):
		return Key{}, invalid(BadHeader, "its header has members that no receipt's has, as a key of its own: this was not made by Rescind")
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == h.Kid })
	if i < 0 {
		return Key{}, invalid(BadKey, "it names the key %.60q, which is not among those given: take the set of keys that was published when the receipt was made", h.Kid)
	}
	return keys[i], nil
}

// open is the payload, once the signature holds.
func (j JWS) open(key Key) ([]byte, error) {
	signature, err := unbase64(j.Signature)
	if err != nil || !ed25519.Verify(key.Public, j.signed(), signature) {
		return nil, invalid(BadSignature, "the signature does not hold: the receipt was changed or cut, or was signed by somebody else; get it again, and trust nothing that it says")
	}
	payload, err := unbase64(j.Payload)
	if err != nil {
		return nil, invalid(BadPayload, "it is signed, and its payload is no base64url")
	}
	return payload, nil
}

// decode reads what Sign wrote. Other members than those of this version, or
// the same twice, do not come back as the same bytes.
func decode(payload []byte) (*Receipt, error) {
	var of struct {
		Version int `json:"version"`
	}
	r := new(Receipt)
	if err := json.Unmarshal(payload, &of); err != nil {
		return nil, invalid(BadPayload, "it is signed, and says nothing that is a receipt: tell those who run the deployment")
	}
	if of.Version != Version {
		return nil, invalid(BadVersion, "it is of version %d, and this program knows %d: the signature holds, but take a newer rescind to read it", of.Version, Version)
	}
	if err := json.Unmarshal(payload, r); err != nil {
		return nil, invalid(BadPayload, "it is signed, and does not say what a receipt says: tell those who run the deployment")
	}
	if again, err := json.Marshal(r); err != nil || !bytes.Equal(again, payload) {
		return nil, invalid(BadPayload, "it is signed, and is not written as a receipt of version %d is: tell those who run the deployment", Version)
	}
	return r, nil
}

// sameJSON reports whether shown says what payload does: it may be indented.
func sameJSON(shown, payload []byte) bool {
	var a, b bytes.Buffer
	return json.Compact(&a, shown) == nil && json.Compact(&b, payload) == nil && bytes.Equal(a.Bytes(), b.Bytes())
}
