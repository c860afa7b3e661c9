package checker

import (
	"errors"

	"github.com/fxamacker/cbor/v2"
)

// What is read of a batch of the log; members that are not looked at are left
// out.
type batch struct {
	Header header `cbor:"1,keyasint"`
	Items  []item `cbor:"2,keyasint"`
}

type header struct {
	Version uint8    `cbor:"1,keyasint"`
	Shard   uint16   `cbor:"2,keyasint"`
	Epoch   uint64   `cbor:"3,keyasint"`
	Lane    string   `cbor:"4,keyasint"`
	First   uint64   `cbor:"5,keyasint"`
	Count   uint32   `cbor:"6,keyasint"`
	Written int64    `cbor:"7,keyasint"` // µs
	Size    uint64   `cbor:"10,keyasint"`
	Root    [32]byte `cbor:"11,keyasint"`
}

type item struct {
	_      struct{} `cbor:",toarray"`
	Record []byte
	Sealed []byte
	Digest []byte
}

// Record is what a record says, as far as it is compared.
type Record struct {
	Source      string   `cbor:"2,keyasint"`
	ID          string   `cbor:"3,keyasint"`
	Tenant      string   `cbor:"4,keyasint"`
	Type        string   `cbor:"6,keyasint"`
	Time        int64    `cbor:"7,keyasint"` // µs
	Received    int64    `cbor:"8,keyasint"` // µs
	Issuer      string   `cbor:"9,keyasint,omitempty"`
	SubjectRef  [16]byte `cbor:"10,keyasint,omitempty"`
	TokenRef    [16]byte `cbor:"11,keyasint,omitempty"`
	Outcome     string   `cbor:"21,keyasint,omitempty"`
	Reason      string   `cbor:"22,keyasint,omitempty"`
	PayloadHash [32]byte `cbor:"25,keyasint,omitempty"`
}

// Identity is what makes two events the same.
type Identity struct{ Tenant, Source, ID string }

// Identity is that of the event that r records.
func (r *Record) Identity() Identity { return Identity{r.Tenant, r.Source, r.ID} }

func decodeBatch(data []byte) (*batch, error) {
	b := new(batch)
	if err := cbor.Unmarshal(data, b); err != nil {
		return nil, err
	}
	if b.Header.Version != 1 || int(b.Header.Count) != len(b.Items) || len(b.Items) == 0 {
		return nil, errors.New("header and items disagree")
	}
	return b, nil
}

func decodeRecord(data []byte) (r Record, err error) {
	err = cbor.Unmarshal(data, &r)
	return r, err
}
