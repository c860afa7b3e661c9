package verify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

const (
	deltaStream   = "RESCIND_REVOCATIONS"
	deltaSubject  = "rescind.revocations"
	objectStream  = "OBJ_RESCIND_SNAPSHOTS"
	objectSubject = "$O.RESCIND_SNAPSHOTS"
	maxSnapshot   = 8 << 30
)

// feed is what verifiers are told of every shard: the newest snapshot and the
// deltas.
type feed struct {
	cfg    Config
	source source
	v      *verifier            // of the first shard that is verified
	of     map[uint16]*verifier // every shard that is verified

	epochs []uint64 // creation of each log, ns
	feed   uint64   // creation of the stream of deltas, ns
	folds  []*fold  // of each log, what should be in the set

	set      set
	snapshot *revocation.Snapshot // nil: none that can be used
	none     bool                 // there is none at all
	last     *revocation.Delta
	sum      events.Ref // of last
	foreign  uint64     // messages since last that are not the signer's
	deltas   uint64
	first    uint64 // sequence of the oldest message
}

// read reads the snapshot and then the deltas, so that what is in the snapshot
// is in a delta that is read.
func (f *feed) read(ctx context.Context) error {
	f.set = set{}
	for k := range uint16(f.cfg.Shards) {
		in, err := f.source.info(ctx, logOf(k))
		if err != nil {
			return err
		}
		f.epochs = append(f.epochs, uint64(in.created.UnixNano()))
	}
	if err := f.readSnapshot(ctx); err != nil {
		return err
	}
	if err := f.readDeltas(ctx); err != nil {
		return err
	}
	now, err := f.now(ctx)
	if err != nil {
		return err
	}
	f.expect(now.UnixMilli())
	return nil
}

// now is by when what has expired need not be there: our time or the server's,
// the earlier. A clock of ours that is ahead excuses nothing.
func (f *feed) now(ctx context.Context) (time.Time, error) {
	in, err := f.source.info(ctx, deltaStream)
	if now := f.cfg.Now(); err != nil || in.now.IsZero() || now.Before(in.now) {
		return now, err
	}
	return in.now, nil
}

// expect makes what the logs are read into, each up to where the feed is.
func (f *feed) expect(now int64) {
	for k := range uint16(f.cfg.Shards) {
		log := &fold{shard: k, now: now, set: set{}}
		if h := f.head(); h != nil {
			log.upTo = h.Place(k).LogSeq
		}
		if v := f.of[k]; v != nil {
			log.due = v.due.control
		}
		f.folds = append(f.folds, log)
	}
}

func (f *feed) readDeltas(ctx context.Context) error {
	in, err := f.source.info(ctx, deltaStream)
	if err != nil {
		return err
	}
	f.feed, f.first = uint64(in.created.UnixNano()), in.firstSeq
	err = f.source.walk(ctx, deltaStream, deltaSubject, in.firstSeq, in.lastSeq, func(m message) error {
		f.v.tell("deltas", m.seq, in.lastSeq)
		f.take(m)
		return nil
	})
	if err != nil {
		return err
	}
	if f.none && f.first > 1 {
		f.fault(Snapshot, Missing, 0, 0, "there is none, and the deltas begin with message %d", f.first)
	}
	if f.last != nil && f.snapshot != nil && f.snapshot.Seq > f.last.Seq {
		f.fault(Deltas, Missing, f.snapshot.Position, f.last.Seq+1, "the snapshot has deltas up to %d", f.snapshot.Seq)
	}
	return nil
}

func (f *feed) fault(p Place, k Kind, index, seq uint64, format string, args ...any) {
	f.v.found.addAs(Difference{Place: p, Kind: k, Index: index, Seq: seq, Detail: fmt.Sprintf(format, args...)})
}

// add notes what concerns one shard, if that is verified.
func (f *feed) add(d Difference) {
	if v := f.of[d.Shard]; v != nil {
		v.found.addAs(d)
	}
}

// ours reports whether h counts in the logs that there are.
func (f *feed) ours(h *revocation.Head) bool {
	for k, epoch := range f.epochs {
		if h.Place(uint16(k)).Epoch != epoch {
			return false
		}
	}
	return h.Shards() == len(f.epochs)
}

// errReplaced means that the snapshot was replaced while it was read.
var errReplaced = errors.New("the snapshot was replaced while it was read")

func (f *feed) readSnapshot(ctx context.Context) error {
	var data []byte
	var err error
	for range attempts {
		if data, err = f.fetch(ctx); !errors.Is(err, errReplaced) {
			break
		}
	}
	switch {
	case errors.Is(err, errReplaced):
		f.fault(Snapshot, Missing, 0, 0, "the chunks of the snapshot are not all there")
		return nil
	case err != nil:
		return err
	case data == nil:
		f.none = true
		return nil
	}
	s, err := revocation.OpenSnapshot(f.cfg.FeedKey, data)
	if err != nil {
		f.fault(Snapshot, Changed, 0, 0, "the snapshot is not one that the feed's key signed")
		return nil
	}
	if !f.ours(&s.Head) {
		f.fault(Snapshot, Changed, s.Position, 0, "the snapshot is of another log")
		return nil
	}
	f.snapshot = s
	for e := range s.Entries() {
		f.apply(&e)
	}
	return nil
}

// fetch is the newest snapshot as it was signed, nil where there is none.
func (f *feed) fetch(ctx context.Context) ([]byte, error) {
	name := base64.URLEncoding.EncodeToString([]byte(revocation.SnapshotObject))
	var description []byte
	all := func(subject string, each func(message) error) error {
		in, err := f.source.info(ctx, objectStream)
		if err != nil {
			return err
		}
		return f.source.walk(ctx, objectStream, subject, 1, in.lastSeq, each)
	}
	err := all(objectSubject+".M."+name, func(m message) error { description = m.data; return nil })
	if err != nil || description == nil {
		return nil, err
	}
	var object struct {
		NUID    string `json:"nuid"`
		Size    uint64 `json:"size"`
		Deleted bool   `json:"deleted"`
	}
	if json.Unmarshal(description, &object) != nil || object.Deleted || object.Size > maxSnapshot {
		return nil, errReplaced
	}
	data := make([]byte, 0, object.Size)
	err = all(objectSubject+".C."+object.NUID, func(m message) error { data = append(data, m.data...); return nil })
	if err == nil && uint64(len(data)) != object.Size {
		err = errReplaced
	}
	return data, err
}

// take checks that a delta continues the one before it, and applies it.
func (f *feed) take(m message) {
	d, err := revocation.OpenDelta(f.cfg.FeedKey, m.data)
	if err != nil {
		f.foreign++
		f.fault(Deltas, Extra, f.position(), m.seq, "not signed by the feed's key")
		return
	}
	switch {
	case !f.ours(&d.Head) || d.Feed != f.feed:
		f.foreign++
		f.fault(Deltas, Changed, d.Position, m.seq, "a delta of another log or feed")
		return
	case d.Seq != m.seq:
		f.fault(Deltas, Reordered, d.Position, m.seq, "it was signed as message %d", d.Seq)
	case f.last != nil:
		f.checkChain(d, m.seq)
	case d.Prev >= f.first && f.first > 0 && d.Prev > 0 && d.Prev < m.seq && f.foreign == 0:
		f.fault(Deltas, Missing, d.Position, d.Prev, "the delta that the next one continues is not there")
	}
	f.last, f.sum, f.foreign = d, revocation.Sum(m.data), 0
	f.deltas++
	f.checkSnapshot(d)
	for i := range d.Entries {
		f.apply(&d.Entries[i])
	}
}

// lookBack is how many messages that are not its own a writer passes over in
// search of the last delta. Behind more of them a chain may begin anew.
const lookBack = 64

func (f *feed) checkChain(d *revocation.Delta, seq uint64) {
	switch {
	case d.Prev > f.last.Seq:
		f.fault(Deltas, Missing, d.Position, d.Prev, "the delta that message %d continues is not there", seq)
	case d.PrevSum.IsZero() && f.foreign >= lookBack:
	case d.Prev < f.last.Seq || d.PrevSum != f.sum:
		f.fault(Deltas, Changed, d.Position, seq, "it does not continue delta %d", f.last.Seq)
	}
	for k := range uint16(f.cfg.Shards) {
		if now, was := d.Place(k), f.last.Place(k); now.Position < was.Position || now.LogSeq < was.LogSeq {
			f.add(Difference{Place: Deltas, Kind: Reordered, Shard: k, Index: now.Position, Seq: seq, Detail: fmt.Sprintf("it goes back from index %d", was.Position)})
		}
	}
}

func (f *feed) checkSnapshot(d *revocation.Delta) {
	s := f.snapshot
	if s != nil && s.Seq == d.Seq && s.SameHistory(&d.Head) && !s.Sum.IsZero() && s.Sum != f.sum {
		f.fault(Snapshot, Changed, s.Position, d.Seq, "it continues another delta of this sequence")
	}
}

func (f *feed) position() uint64 {
	if f.last == nil {
		return 0
	}
	return f.last.Position
}

// apply takes an entry in.
func (f *feed) apply(e *revocation.Entry) {
	k, shard := key{e.Hash, e.Index}, shardOf(e.Key.Tenant, f.cfg.Shards)
	if e.Lift {
		f.set.apply(k, held{shard: shard, index: e.Index, lifted: true, expires: int64(e.Expires)})
		return
	}
	f.set.apply(k, held{shard: shard, index: e.Index, known: true, scope: string(e.Scope), cutoff: int64(e.IssuedBefore), starts: int64(e.Starts), expires: int64(e.Expires),
		at: int64(e.At), reason: e.Reason, tenant: e.Key.Tenant, feedKey: uint64(e.Key.Generation)})
}

// head is where in the log the feed stands, nil where it says nothing.
func (f *feed) head() *revocation.Head {
	switch {
	case f.last != nil:
		return &f.last.Head
	case f.snapshot != nil:
		return &f.snapshot.Head
	default:
		return nil
	}
}

// whole reports whether snapshot and deltas make up the whole set: there is a
// snapshot that can be used, or the deltas begin with the first.
func (f *feed) whole() bool { return f.snapshot != nil || f.first <= 1 }

// check compares the set that verifiers hold with the logs'.
func (f *feed) check(ctx context.Context) error {
	if err := f.readOthers(ctx); err != nil {
		return err
	}
	for _, shard := range f.cfg.Only {
		f.late(f.of[shard])
	}
	h := f.head()
	if h == nil {
		return nil
	}
	for k, log := range f.folds {
		f.checkPlace(uint16(k), log, h)
	}
	if !f.whole() {
		return nil
	}
	all := unaccounted(f.folds, f.set)
	for _, log := range f.folds {
		all = append(all, log.compare(f.set)...)
	}
	for _, d := range inOrder(all) {
		f.add(d)
	}
	return nil
}

// checkPlace checks where a head says that the log of a shard is.
func (f *feed) checkPlace(shard uint16, log *fold, h *revocation.Head) {
	at := h.Place(shard)
	fault := func(k Kind, format string, args ...any) {
		f.add(Difference{Place: Deltas, Kind: k, Shard: shard, Index: at.Position, Seq: h.Seq, Detail: fmt.Sprintf(format, args...)})
	}
	switch {
	case at.LogSeq > log.end:
		fault(Extra, "verifiers were told up to message %d of the log, which ends at %d", at.LogSeq, log.end)
	case at.LogSeq > 0 && !log.seen:
		fault(Changed, "message %d of the log, which it names, is no batch of the control lane", at.LogSeq)
	case at.LogSeq > 0 && log.position != at.Position:
		fault(Changed, "message %d of the log ends at index %d", at.LogSeq, log.position)
	}
}

// readOthers reads the control lanes of the shards that are not verified: a
// revocation that one of them accounts for is none too many.
func (f *feed) readOthers(ctx context.Context) error {
	for k, log := range f.folds {
		if f.of[uint16(k)] != nil {
			continue
		}
		if err := f.readLane(ctx, log); err != nil {
			return fmt.Errorf("shard=%d: %w", k, err)
		}
	}
	return nil
}

// readLane reads one control lane. Its own faults are told where it is
// verified.
func (f *feed) readLane(ctx context.Context, log *fold) error {
	in, err := f.source.info(ctx, logOf(log.shard))
	if err != nil {
		return err
	}
	log.end = in.lastSeq
	return f.source.walk(ctx, logOf(log.shard), subjectOf(log.shard, "control"), 1, in.lastSeq, func(m message) error {
		b, err := decodeBatch(m.data)
		if err != nil {
			return nil //nolint:nilerr // see above
		}
		for i := range b.Items {
			if rec, err := decodeRecord(b.Items[i].Record); err == nil {
				log.record(b.Header.First+uint64(i), m, rec)
			}
		}
		log.reached(&b.Header, m.seq)
		return nil
	})
}
