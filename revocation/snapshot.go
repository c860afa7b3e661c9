package revocation

import (
	"crypto/ed25519"
	"fmt"
	"iter"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Snapshot is a whole set at one point of the feed, as it was unpacked.
type Snapshot struct {
	Head
	Sum     events.Ref // of the delta with sequence Seq; zero where that is none of ours
	hashes  []byte     // 16 bytes a revocation
	counts  []uint64   // revocations of each shard
	kinds   []kind
	shards  []uint16 // of kinds
	columns columns
}

// wireSnapshot holds the revocations as columns, in the order of the log: what
// is alike lies together, and a reader needs no object for each.
type wireSnapshot struct {
	Version uint8      `cbor:"1,keyasint"`
	Head    Head       `cbor:"2,keyasint"`
	Counts  []uint64   `cbor:"3,keyasint"` // revocations of each shard, in their order
	Keys    []KeyID    `cbor:"4,keyasint"`
	Reasons []string   `cbor:"5,keyasint"`
	Hashes  []byte     `cbor:"6,keyasint"` // 16 bytes a revocation
	Kinds   []wireKind `cbor:"7,keyasint"`
	Columns [][]byte   `cbor:"8,keyasint"` // each DEFLATE of varints: kinds, index, at, expires, bounds
	Sum     events.Ref `cbor:"10,keyasint"`
	Others  []Place    `cbor:"11,keyasint,omitempty"`
}

// wireKind is what many revocations have in common.
type wireKind struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint8    // place in Scopes, or kindLift where only the lift is known
	Flags  uint8
	Reason uint32 // place in Reasons; 0 with kindLift
	Key    uint32 // place in Keys
}

// The flags of a wireKind.
const (
	flagLifted = 1 << iota
	flagCutoff // the revocation has a cut-off in the column of bounds
	flagStarts // and a start
	flagsKnown = flagLifted | flagCutoff | flagStarts
)

// Snapshot packs and signs s as it stands at h, the head of the delta whose Sum
// is sum.
func (s *Set) Snapshot(h Head, sum events.Ref, key ed25519.PrivateKey) ([]byte, error) {
	if h.Shards() != len(s.times) {
		return nil, fmt.Errorf("pack snapshot seq=%d: a head of %d shards, a set of %d", h.Seq, h.Shards(), len(s.times))
	}
	rows, kinds := s.inOrder()
	w := wireSnapshot{Version: Version, Head: h, Sum: sum, Others: h.Others, Counts: make([]uint64, len(s.times)), Hashes: make([]byte, 0, 16*len(rows))}
	out := newColumnWriter()
	var p kindPacker
	for i := range rows {
		r := &rows[i]
		w.Counts[r.shard]++
		ref := r.hash.ref()
		w.Hashes = append(w.Hashes, ref[:]...)
		if w.Counts[r.shard] == 1 {
			out.restart()
		}
		out.add(r, p.number(r, &kinds[r.kind]), &kinds[r.kind])
	}
	w.Kinds, w.Keys, w.Reasons = p.kinds, p.tables.keys, p.tables.reasons
	var err error
	if w.Columns, err = out.columns(); err != nil {
		return nil, fmt.Errorf("pack snapshot seq=%d: %w", h.Seq, err)
	}
	payload, err := encoder.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("pack snapshot seq=%d: %w", h.Seq, err)
	}
	return purposeSnapshot.sign(key, payload), nil
}

// kindPacker numbers kinds in the order in which a snapshot meets them.
type kindPacker struct {
	tables  tables
	kinds   []wireKind
	numbers map[packedKind]uint64
}

// packedKind is a kind of the rows at hand, and which bounds a row has.
type packedKind struct {
	kind  uint32
	flags uint8
}

func (p *kindPacker) number(r *logged, k *kind) uint64 {
	of := packedKind{kind: r.kind, flags: flagsOf(r, k)}
	n, there := p.numbers[of]
	if there {
		return n
	}
	if p.numbers == nil {
		p.numbers = make(map[packedKind]uint64)
	}
	w := wireKind{Kind: kindLift, Flags: of.flags, Key: number(&p.tables.keyAt, &p.tables.keys, k.key)}
	if k.known {
		w.Kind, w.Reason = uint8(k.scope), number(&p.tables.reasonAt, &p.tables.reasons, k.reason)
	}
	n = uint64(len(p.kinds))
	p.kinds, p.numbers[of] = append(p.kinds, w), n
	return n
}

func flagsOf(r *logged, k *kind) (flags uint8) {
	if k.lifted {
		flags |= flagLifted
	}
	if r.cutoff != endless {
		flags |= flagCutoff
	}
	if r.starts != 0 {
		flags |= flagStarts
	}
	return flags
}

// OpenSnapshot reads what Set.Snapshot wrote, if key signed it. All of it is
// checked here. It makes room for at most twenty times the message.
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
	var w wireSnapshot
	if err := decode(payload, &w); err != nil {
		return nil, err
	}
	if w.Version != Version {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrFormat, w.Version, Version)
	}
	s := &Snapshot{Head: w.Head, Sum: w.Sum, hashes: w.Hashes, counts: w.Counts}
	s.Others = w.Others
	if err := s.check(); err != nil {
		return nil, err
	}
	kinds, flags, err := w.unpackKinds()
	if err != nil {
		return nil, err
	}
	s.kinds = kinds
	for i := range kinds {
		s.shards = append(s.shards, events.ShardOf(kinds[i].key.Tenant, len(s.counts)))
	}
	if s.columns, err = openColumns(w.Columns, flags, s.Len()); err != nil {
		return nil, err
	}
	for _, err := range s.rows() {
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// check checks that the counts are those of the hashes and the shards.
func (s *Snapshot) check() error {
	if len(s.Others) >= events.MaxShards || len(s.counts) != s.Shards() || len(s.hashes)%16 != 0 {
		return fmt.Errorf("%w: %d shards, counts of %d, %d bytes of hashes", ErrFormat, s.Shards(), len(s.counts), len(s.hashes))
	}
	left := uint64(s.Len())
	for _, n := range s.counts {
		if n > left {
			return fmt.Errorf("%w: more revocations than hashes", ErrFormat)
		}
		left -= n
	}
	if left > 0 {
		return fmt.Errorf("%w: more hashes than revocations", ErrFormat)
	}
	return nil
}

func (w *wireSnapshot) unpackKinds() (kinds []kind, flags []uint8, err error) {
	for _, k := range w.Kinds {
		lift := k.Kind == kindLift
		switch {
		case !lift && (int(k.Kind) >= len(scopes) || int64(k.Reason) >= int64(len(w.Reasons))), int64(k.Key) >= int64(len(w.Keys)), k.Flags&^flagsKnown != 0,
			lift && (k.Flags != flagLifted || k.Reason != 0):
			return nil, nil, fmt.Errorf("%w: a kind, its reason or its key out of range", ErrFormat)
		}
		out := kind{lifted: k.Flags&flagLifted != 0, key: w.Keys[k.Key]}
		if !lift {
			out.scope, out.known, out.reason = int8(k.Kind), true, w.Reasons[k.Reason]
		}
		kinds, flags = append(kinds, out), append(flags, k.Flags)
	}
	return kinds, flags, nil
}

// Len is the number of revocations, lifted ones among them.
func (s *Snapshot) Len() int { return len(s.hashes) / 16 }

// rows yields the revocations in their order.
func (s *Snapshot) rows() iter.Seq2[*logged, error] {
	return func(yield func(*logged, error) bool) {
		in, i := s.columns.reader(), 0
		for shard, n := range s.counts {
			in.restart()
			var before logged
			for k := range n {
				r := logged{shard: uint16(shard)}
				err := in.next(&r)
				r.hash = hashOf((*events.Ref)(s.hashes[16*i:]))
				if err == nil {
					err = s.fits(&r, &before, k == 0)
				}
				if !yield(&r, err) || err != nil {
					return
				}
				before = r
				i++
			}
		}
		if err := in.end(); err != nil {
			yield(nil, err)
		}
	}
}

// fits checks that r may follow the row before it, if it is not the first of
// its shard.
func (s *Snapshot) fits(r, before *logged, first bool) error {
	switch {
	case r.hash == (hash{}):
		return fmt.Errorf("%w: no hash", ErrFormat)
	case s.shards[r.kind] != r.shard:
		return fmt.Errorf("%w: a revocation among those of another shard", ErrFormat)
	case !first && (before.index > r.index || before.index == r.index && before.hash.compare(r.hash) >= 0):
		return fmt.Errorf("%w: revocations out of order", ErrFormat)
	default:
		return nil
	}
}

// Entries yields what the snapshot holds as entries, in the order of
// Set.Entries.
func (s *Snapshot) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		var entries []Entry
		for r, err := range s.rows() {
			if err != nil { // every row was read once when it was opened
				return
			}
			entries = r.entries(entries[:0], &s.kinds[r.kind])
			for _, e := range entries {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// Set is what the snapshot holds that has not expired at now, without keys.
func (s *Snapshot) Set(now time.Time) *Set {
	of, limit := newBulk(s), now.Unix()
	for r, err := range s.rows() {
		if err == nil && r.expires > limit { // every row was read once when it was opened
			of.add(r)
		}
	}
	return of.build()
}
