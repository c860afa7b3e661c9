package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// The log as it is on the wire: this reader's own view of it, by the numbers
// that docs give to its members.
type (
	wireBatch struct {
		Header wireHeader `cbor:"1,keyasint"`
		Items  []wireItem `cbor:"2,keyasint"`
	}
	wireHeader struct {
		Version uint64      `cbor:"1,keyasint"`
		Shard   uint64      `cbor:"2,keyasint"`
		Epoch   uint64      `cbor:"3,keyasint"`
		Lane    string      `cbor:"4,keyasint"`
		First   uint64      `cbor:"5,keyasint"`
		Count   uint64      `cbor:"6,keyasint"`
		Written int64       `cbor:"7,keyasint"`
		Intake  int64       `cbor:"8,keyasint"`
		Covered [][2]uint64 `cbor:"9,keyasint"`
		Size    uint64      `cbor:"10,keyasint"`
		Root    []byte      `cbor:"11,keyasint"`
		Edge    [][]byte    `cbor:"12,keyasint"`
	}
	wireItem struct {
		_      struct{} `cbor:",toarray"`
		Record []byte
		Sealed []byte
		Digest []byte
	}
)

func (h *wireHeader) last() uint64 { return h.First + h.Count - 1 }

// record is a record by the numbers of its members, none of them decoded.
type record map[uint64]cbor.RawMessage

// The members that more than one check looks at. All of them are in columns.
const (
	memberSource      = 2
	memberID          = 3
	memberTenant      = 4
	memberType        = 6
	memberReceived    = 8
	memberSubjectRef  = 10
	memberReason      = 22
	memberPayloadHash = 25
	memberRevocation  = 27
)

var strict = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 16, MaxNestedLevels: 16, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return m
}()

var errBatch = errors.New("not a batch")

func decodeBatch(data []byte) (*wireBatch, error) {
	b := new(wireBatch)
	if err := strict.Unmarshal(data, b); err != nil {
		return nil, err
	}
	h := &b.Header
	switch {
	case h.Version != 1:
		return nil, fmt.Errorf("%w: version %d", errBatch, h.Version)
	case h.Count == 0 || h.Count != uint64(len(b.Items)) || h.First+h.Count < h.First:
		return nil, fmt.Errorf("%w: count %d with %d items", errBatch, h.Count, len(b.Items))
	}
	return b, nil
}

func decodeRecord(data []byte) (record, error) {
	r := record{}
	if err := strict.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	for _, member := range []uint64{memberSource, memberID, memberTenant, memberType} {
		if r.text(member) == "" {
			return nil, fmt.Errorf("member %d is missing", member)
		}
	}
	return r, nil
}

func (r record) text(member uint64) (s string) {
	r.into(member, &s)
	return s
}

func (r record) number(member uint64) (n int64) {
	r.into(member, &n)
	return n
}

// into decodes a member, or leaves v as it is.
func (r record) into(member uint64, v any) {
	if raw, ok := r[member]; ok {
		_ = strict.Unmarshal(raw, v) // a member of another kind reads as none, and then differs from its row
	}
}

// person is the record's subject_ref as a row of payloads has it.
func (r record) person() string {
	ref := make([]byte, 0, 16)
	r.into(memberSubjectRef, &ref)
	return string(append(ref, make([]byte, 16)...)[:16])
}

// identity is the first half of SHA-256 over tenant, source and id, each with
// its length before it.
func (r record) identity() digest {
	h := sha256.New()
	for _, member := range []uint64{memberTenant, memberSource, memberID} {
		s := r.text(member)
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	return digest(h.Sum(nil)[:16])
}

func half(parts ...[]byte) digest {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return digest(h.Sum(nil)[:16])
}

func isZero(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }

// appendHead is the head of a CBOR item: its major type and number
// (RFC 8949 section 3), in the shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

func appendUint(b []byte, n uint64) []byte { return appendHead(b, 0, n) }

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, 1, uint64(-(n + 1)))
	}
	return appendHead(b, 0, uint64(n))
}

func appendBytes(b, s []byte) []byte { return append(appendHead(b, 2, uint64(len(s))), s...) }

func appendText(b []byte, s string) []byte { return append(appendHead(b, 3, uint64(len(s))), s...) }

func appendList(b []byte, list []string) []byte {
	b = appendHead(b, 4, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// appendMap is a map of text to text, its pairs in the order of their encoded
// names (RFC 8949 section 4.2.1).
func appendMap(b []byte, names, values []string) []byte {
	pairs := make([][]byte, len(names))
	for i := range names {
		pairs[i] = appendText(appendText(nil, names[i]), values[i])
	}
	slices.SortFunc(pairs, bytes.Compare)
	b = appendHead(b, 5, uint64(len(pairs)))
	for _, p := range pairs {
		b = append(b, p...)
	}
	return b
}
