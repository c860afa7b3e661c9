package revocation

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Snapshot is a whole set at one point of the feed, as it was unpacked.
type Snapshot struct {
	Head
	Sum events.Ref // of the delta with sequence Seq; zero where that is none of ours
	w   wireSnapshot
}

// wireSnapshot holds the entries as columns, in the order of Entry.compare:
// what is alike lies together, and none of it needs an object a row.
type wireSnapshot struct {
	Version uint8      `cbor:"1,keyasint"`
	Head    Head       `cbor:"2,keyasint"`
	Count   uint64     `cbor:"3,keyasint"`
	Keys    []KeyID    `cbor:"4,keyasint"`
	Reasons []string   `cbor:"5,keyasint"`
	Hashes  []byte     `cbor:"6,keyasint"` // 16 bytes an entry
	Kinds   []byte     `cbor:"8,keyasint"` // 1 byte an entry: place in Scopes, or kindLift
	Sum     events.Ref `cbor:"10,keyasint"`
	Rest    []byte     `cbor:"9,keyasint"` // uvarints: index, cut-off, starts, expires, at, reason, key
	Others  []Place    `cbor:"11,keyasint,omitempty"`
}

// Snapshot packs and signs s as it stands at h, the head of the delta whose Sum
// is sum.
func (s *Set) Snapshot(h Head, sum events.Ref, key ed25519.PrivateKey) ([]byte, error) {
	entries := s.Entries()
	w := wireSnapshot{Version: Version, Head: h, Sum: sum, Others: h.Others, Count: uint64(len(entries)),
		Hashes: make([]byte, 0, 16*len(entries)),
		Kinds:  make([]byte, 0, len(entries)), Rest: make([]byte, 0, 16*len(entries))}
	var tables tables
	for i := range entries {
		e := tables.pack(&entries[i])
		w.Hashes, w.Kinds = append(w.Hashes, e.Hash[:]...), append(w.Kinds, e.Kind)
		w.Rest = appendRest(w.Rest, &e)
	}
	w.Keys, w.Reasons = tables.keys, tables.reasons
	payload, err := encoder.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("pack snapshot seq=%d: %w", h.Seq, err)
	}
	return purposeSnapshot.sign(key, payload), nil
}

func appendRest(b []byte, e *wireEntry) []byte {
	for _, v := range []uint64{e.Index, uint64(e.Cutoff), uint64(e.Starts), uint64(e.Expires), uint64(e.At), uint64(e.Reason), uint64(e.Key)} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// OpenSnapshot reads what Set.Snapshot wrote, if key signed it. All of it is
// checked here.
func OpenSnapshot(key ed25519.PublicKey, message []byte) (*Snapshot, error) {
	payload, err := purposeSnapshot.open(key, message)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	s, err := decodeSnapshot(payload)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	return s, nil
}

func decodeSnapshot(payload []byte) (*Snapshot, error) {
	s := new(Snapshot)
	if err := decode(payload, &s.w); err != nil {
		return nil, err
	}
	w := &s.w
	s.Head, s.Sum = w.Head, w.Sum
	s.Others = w.Others
	switch n := w.Count; {
	case w.Version != Version:
		return nil, fmt.Errorf("%w: version %d, want %d", ErrFormat, w.Version, Version)
	case len(w.Others) >= events.MaxShards:
		return nil, fmt.Errorf("%w: %d shards", ErrFormat, len(w.Others)+1)
	case n > maxEntries || uint64(len(w.Kinds)) != n || uint64(len(w.Hashes)) != 16*n:
		return nil, fmt.Errorf("%w: columns of different length", ErrFormat)
	}
	for _, err := range s.rows() {
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Len is the number of entries.
func (s *Snapshot) Len() int { return int(s.w.Count) }

// Entries yields the entries in their order.
func (s *Snapshot) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for e, err := range s.rows() {
			if err != nil || !yield(e) { // every row was read once when it was opened
				return
			}
		}
	}
}

func (s *Snapshot) rows() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		rest := s.w.Rest
		for i := range s.Len() {
			w := wireEntry{Kind: s.w.Kinds[i], Hash: events.Ref(s.w.Hashes[16*i : 16*i+16])}
			var e Entry
			var err error
			if rest, err = w.readRest(rest); err == nil {
				e, err = w.unpack(s.w.Keys, s.w.Reasons)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
		if len(rest) > 0 {
			yield(Entry{}, fmt.Errorf("%w: bytes after the last entry", ErrFormat))
		}
	}
}

func (w *wireEntry) readRest(b []byte) ([]byte, error) {
	var v [7]uint64
	for i := range v {
		x, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, fmt.Errorf("%w: cut in the middle of an entry", ErrFormat)
		}
		v[i], b = x, b[size:]
	}
	if v[5] > maxEntries || v[6] > maxEntries {
		return nil, fmt.Errorf("%w: reason or key out of range", ErrFormat)
	}
	w.Index, w.Cutoff, w.Starts, w.Expires, w.At = v[0], int64(v[1]), int64(v[2]), int64(v[3]), int64(v[4])
	w.Reason, w.Key = uint32(v[5]), uint32(v[6])
	return b, nil
}

// Set is what the snapshot holds that has not expired at now, without keys.
func (s *Snapshot) Set(now time.Time) *Set {
	set := NewSet(s.Shards())
	for e := range s.Entries() {
		if !e.Expired(now) {
			set.Apply(e)
		}
	}
	return set
}
