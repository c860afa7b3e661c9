package revocation

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Version is the version of deltas and snapshots.
const Version = 2

// MaxDeltaEntries bounds one delta, so that it fits a message.
const MaxDeltaEntries = events.MaxBatchRecords

// SnapshotObject is the name of the newest snapshot in the object store, and
// SignatureHeader the header that carries the signature of a KeysReply in
// base64.
const (
	SnapshotObject  = "latest"
	SignatureHeader = "Rescind-Signature"
)

// Head says where in the feed a delta or a snapshot stands. Epoch, Position and
// LogSeq are those of the first shard. Two heads of one incarnation have the
// same Feed and the same Epoch of each shard; anything else is another history.
type Head struct {
	_        struct{} `cbor:",toarray"`
	Epoch    uint64   // the log: when its stream was created, ns
	Feed     uint64   // the stream of deltas: when it was created, ns
	Seq      uint64   // sequence of the delta in that stream; of a snapshot, the last delta in it
	Position uint64   // index of the last record of the control lane that is in it
	LogSeq   uint64   // sequence in the log's stream of the batch with that record; 0 where there is none
	Time     int64    // µs, the projector's clock when it signed
	Others   []Place  `cbor:"-"` // of the shards behind the first; travels beside the head
}

// Place is how far one shard's log is in the feed.
type Place struct {
	_        struct{} `cbor:",toarray"`
	Epoch    uint64   // as in Head
	Position uint64   // as in Head
	LogSeq   uint64   // as in Head
}

// SameHistory reports whether h and o count in the same streams.
func (h *Head) SameHistory(o *Head) bool {
	return h.Epoch == o.Epoch && h.Feed == o.Feed &&
		slices.EqualFunc(h.Others, o.Others, func(a, b Place) bool { return a.Epoch == b.Epoch })
}

// Shards is how many shards h speaks of.
func (h *Head) Shards() int { return 1 + len(h.Others) }

// Place is how far the log of a shard is; the zero Place of one that h does not
// speak of.
func (h *Head) Place(shard uint16) Place {
	switch k := int(shard); {
	case k == 0:
		return Place{Epoch: h.Epoch, Position: h.Position, LogSeq: h.LogSeq}
	case k <= len(h.Others):
		return h.Others[k-1]
	default:
		return Place{}
	}
}

// Reach moves a shard on. Other copies of h stay as they are.
func (h *Head) Reach(shard uint16, position, logSeq uint64) {
	if shard == 0 {
		h.Position, h.LogSeq = position, logSeq
		return
	}
	h.Others = slices.Clone(h.Others)
	at := &h.Others[shard-1]
	at.Position, at.LogSeq = position, logSeq
}

// Signed is when h was signed.
func (h *Head) Signed() time.Time { return time.UnixMicro(h.Time) }

// Delta is one message of the feed: what was revoked and lifted since the
// delta before it. One without entries is a heartbeat.
type Delta struct {
	Head
	Prev    uint64     // sequence of the delta before this one; messages between the two are not the signer's
	PrevSum events.Ref // Sum of that delta; zero where a snapshot stands in for it
	Entries []Entry
}

// Sum identifies a signed message: the first half of its SHA-256. A delta
// holds that of the one before it, so that two histories which count alike
// cannot be taken for one.
func Sum(message []byte) events.Ref {
	sum := sha256.Sum256(message)
	return events.Ref(sum[:16])
}

type wireDelta struct {
	Version uint8       `cbor:"1,keyasint"`
	Head    Head        `cbor:"2,keyasint"`
	Prev    uint64      `cbor:"3,keyasint"`
	PrevSum events.Ref  `cbor:"7,keyasint"`
	Keys    []KeyID     `cbor:"4,keyasint,omitempty"`
	Reasons []string    `cbor:"5,keyasint,omitempty"`
	Entries []wireEntry `cbor:"6,keyasint,omitempty"`
	Others  []Place     `cbor:"8,keyasint,omitempty"`
}

type wireEntry struct {
	_       struct{} `cbor:",toarray"`
	Kind    uint8    // place in Scopes, or kindLift: then what is not in one is 0
	Hash    events.Ref
	Index   uint64
	Cutoff  int64 // s, as the times below
	Starts  int64
	Expires int64
	At      int64
	Reason  uint32 // place in Reasons
	Key     uint32 // place in Keys
}

const kindLift = 0xff

// Sign is d as it travels.
func (d *Delta) Sign(key ed25519.PrivateKey) ([]byte, error) {
	payload, err := d.payload()
	if err != nil {
		return nil, err
	}
	return purposeDelta.sign(key, payload), nil
}

func (d *Delta) payload() ([]byte, error) {
	if len(d.Entries) > MaxDeltaEntries {
		return nil, fmt.Errorf("sign delta seq=%d: %d entries: the limit is %d", d.Seq, len(d.Entries), MaxDeltaEntries)
	}
	w := wireDelta{Version: Version, Head: d.Head, Prev: d.Prev, PrevSum: d.PrevSum, Others: d.Others}
	var tables tables
	for i := range d.Entries {
		if err := d.Entries[i].validate(); err != nil {
			return nil, fmt.Errorf("sign delta seq=%d: entry %d: %w", d.Seq, i, err)
		}
		e := d.Entries[i].whole()
		w.Entries = append(w.Entries, tables.pack(&e))
	}
	w.Keys, w.Reasons = tables.keys, tables.reasons
	payload, err := encoder.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("sign delta seq=%d: %w", d.Seq, err)
	}
	return payload, nil
}

// OpenDelta reads what Sign wrote, if key signed it.
func OpenDelta(key ed25519.PublicKey, message []byte) (*Delta, error) {
	payload, err := purposeDelta.open(key, message)
	if err != nil {
		return nil, fmt.Errorf("open delta: %w", err)
	}
	d, err := decodeDelta(payload)
	if err != nil {
		return nil, fmt.Errorf("open delta: %w", err)
	}
	return d, nil
}

func decodeDelta(payload []byte) (*Delta, error) {
	var w wireDelta
	if err := decode(payload, &w); err != nil {
		return nil, err
	}
	if w.Version != Version {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrFormat, w.Version, Version)
	}
	if len(w.Entries) > MaxDeltaEntries {
		return nil, fmt.Errorf("%w: %d entries", ErrFormat, len(w.Entries))
	}
	if len(w.Others) >= events.MaxShards {
		return nil, fmt.Errorf("%w: %d shards", ErrFormat, len(w.Others)+1)
	}
	d := &Delta{Head: w.Head, Prev: w.Prev, PrevSum: w.PrevSum, Entries: make([]Entry, len(w.Entries))}
	d.Others = w.Others
	for i := range w.Entries {
		e, err := w.Entries[i].unpack(w.Keys, w.Reasons)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		d.Entries[i] = e
	}
	return d, nil
}

// tables collects the values that entries of one message share.
type tables struct {
	keys     []KeyID
	reasons  []string
	keyAt    map[KeyID]uint32
	reasonAt map[string]uint32
}

func seconds(t events.Timestamp) int64 { return int64(t / second) }

func (t *tables) pack(e *Entry) wireEntry {
	if e.Lift {
		return wireEntry{Kind: kindLift, Hash: e.Hash, Index: e.Index, Expires: seconds(e.Expires), Key: number(&t.keyAt, &t.keys, e.Key)}
	}
	return wireEntry{Kind: uint8(rank(e.Scope)), Hash: e.Hash, Index: e.Index, Cutoff: seconds(e.IssuedBefore), Starts: seconds(e.Starts),
		Expires: seconds(e.Expires), At: seconds(e.At), Reason: number(&t.reasonAt, &t.reasons, e.Reason), Key: number(&t.keyAt, &t.keys, e.Key)}
}

func number[T comparable](at *map[T]uint32, values *[]T, v T) uint32 {
	if *at == nil {
		*at = make(map[T]uint32)
	}
	n, ok := (*at)[v]
	if !ok {
		n = uint32(len(*values))
		(*at)[v], *values = n, append(*values, v)
	}
	return n
}

func (w *wireEntry) unpack(keys []KeyID, reasons []string) (Entry, error) {
	switch lift := w.Kind == kindLift; {
	case !lift && (int(w.Kind) >= len(scopes) || int64(w.Reason) >= int64(len(reasons))), int64(w.Key) >= int64(len(keys)):
		return Entry{}, fmt.Errorf("%w: kind, reason or key out of range", ErrFormat)
	case lift && (w.Cutoff|w.Starts|w.At != 0 || w.Reason != 0):
		return Entry{}, fmt.Errorf("%w: a lift that says more than what it lifts", ErrFormat)
	case min(w.Cutoff, w.Starts, w.Expires, w.At) < 0 || max(w.Cutoff, w.Starts, w.Expires, w.At) > seconds(events.MaxTimestamp):
		return Entry{}, fmt.Errorf("%w: a time out of range", ErrFormat)
	}
	e := Entry{Hash: w.Hash, Index: w.Index, Lift: w.Kind == kindLift, Expires: events.Timestamp(w.Expires) * second, Key: keys[w.Key]}
	if !e.Lift {
		e.Scope, e.Reason = scopes[w.Kind], reasons[w.Reason]
		e.IssuedBefore, e.Starts, e.At = events.Timestamp(w.Cutoff)*second, events.Timestamp(w.Starts)*second, events.Timestamp(w.At)*second
	}
	return e, e.validate()
}
