package verify

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sort"
)

// span is an inclusive range of indices.
type span struct{ first, last uint64 }

// mark is where a batch is, for going back to it.
type mark struct{ first, seq uint64 }

// markEvery is how many batches lie between two marks.
const markEvery = 64

// logReader reads the log once, from its beginning, and checks that it is one
// history: what the writer says of it against what its bytes are.
type logReader struct {
	v *verifier

	next    uint64 // index that the next batch should begin with
	seq     uint64 // of the last message
	batches uint64
	tree    tree
	sound   bool   // tree is that of the log so far
	gaps    []span // that no batch has filled
	epoch   uint64
	intake  int64 // the intake stream that covered counts in
	covered uint64
	marks   []mark
	aged    uint64 // index behind the last batch in which duplicates should be marked by now
}

func (r *logReader) read(ctx context.Context, last uint64) error {
	r.sound = true
	err := r.v.source.walk(ctx, logOf(r.v.shard), subjectOf(r.v.shard, "*"), 1, last, func(m message) error {
		r.v.tell("log", m.seq, last)
		return r.take(m)
	})
	if err != nil {
		return err
	}
	for _, g := range r.gaps {
		r.v.found.add(Difference{Place: Log, Kind: Missing, Index: g.first, Last: g.last, Detail: "no batch of the log has these records"})
	}
	if r.seq < last {
		r.v.found.add(Difference{Place: Log, Kind: Missing, Index: r.next, Seq: r.seq + 1, Detail: fmt.Sprintf("the stream counts to %d", last)})
	}
	return nil
}

func (r *logReader) take(m message) error {
	r.seq = m.seq
	b, err := decodeBatch(m.data)
	if err != nil {
		r.v.found.add(Difference{Place: Log, Kind: Changed, Index: r.next, Seq: m.seq, Detail: "the batch cannot be decoded"})
		r.sound = false
		return nil
	}
	h := &b.Header
	fault := func(k Kind, format string, args ...any) {
		r.v.found.add(Difference{Place: Log, Kind: k, Index: h.First, Last: h.last(), Seq: m.seq, Detail: fmt.Sprintf(format, args...)})
	}
	switch {
	case h.First > r.next:
		r.gaps = append(r.gaps, span{r.next, h.First - 1})
		r.sound = false
	case h.First < r.next && !r.fill(span{h.First, h.last()}):
		fault(Extra, "the log has records with these indices already")
		return nil
	case h.First < r.next:
		fault(Reordered, "the batch stands behind later ones")
		return r.items(b, m)
	}
	r.checkHeader(h, m.subject, fault)
	r.grow(b, fault)
	r.next = h.First + h.Count
	if r.v.cfg.age(m.at, r.v.began) > r.v.cfg.MarkWithin {
		r.aged = r.next
	}
	if r.batches%markEvery == 0 {
		r.marks = append(r.marks, mark{h.First, m.seq})
	}
	return r.items(b, m)
}

// fill takes s out of the gaps, and reports whether it was in one.
func (r *logReader) fill(s span) bool {
	for i, g := range r.gaps {
		if s.first < g.first || s.last > g.last {
			continue
		}
		rest := r.gaps[:i:i]
		if g.first < s.first {
			rest = append(rest, span{g.first, s.first - 1})
		}
		if s.last < g.last {
			rest = append(rest, span{s.last + 1, g.last})
		}
		r.gaps = append(rest, r.gaps[i+1:]...)
		return true
	}
	return false
}

// checkHeader checks what a header says besides the tree.
func (r *logReader) checkHeader(h *wireHeader, subject string, fault func(Kind, string, ...any)) {
	if h.Shard != uint64(r.v.shard) {
		fault(Changed, "the batch is of shard %d", h.Shard)
	}
	if subject != subjectOf(r.v.shard, h.Lane) {
		fault(Changed, "the batch is of lane %.20q and on another's subject", h.Lane)
	}
	if h.Epoch < r.epoch {
		fault(Reordered, "epoch %d after %d: two writers", h.Epoch, r.epoch)
	}
	r.checkCovered(h, h.Epoch > r.epoch, fault)
	r.epoch = max(r.epoch, h.Epoch)
}

// checkCovered checks that what was covered is in order and never becomes
// less: the lowest ranges may be forgotten, the highest sequence may not. It is
// counted in one stream for as long as there is one writer.
func (r *logReader) checkCovered(h *wireHeader, another bool, fault func(Kind, string, ...any)) {
	var before uint64
	for i, c := range h.Covered {
		if c[0] > c[1] || i > 0 && c[0] <= before+1 {
			fault(Changed, "the ranges of the intake that it covers are out of order")
			return
		}
		before = c[1]
	}
	if h.Intake != r.intake && !another {
		fault(Changed, "it covers another intake than the batch before it, of the same writer")
		return
	}
	if h.Intake != r.intake {
		r.intake, r.covered = h.Intake, 0
	}
	if before < r.covered {
		fault(Changed, "it covers the intake up to %d, the batch before it up to %d", before, r.covered)
	}
	r.covered = before
}

// grow takes the records into the tree and compares it with what the header
// says. After a difference it goes on from the header's own edge, so that one
// fault is not told of every batch behind it.
func (r *logReader) grow(b *wireBatch, fault func(Kind, string, ...any)) {
	h := &b.Header
	if h.Size != h.First+h.Count {
		fault(Changed, "it says size %d", h.Size)
	}
	if r.sound {
		for i := range b.Items {
			r.tree.add(leafOf(b.Items[i].Record))
		}
		root := r.tree.root()
		if string(h.Root) == string(root[:]) && r.tree.hasEdge(h.Edge) {
			return
		}
		fault(Changed, "the tree over the records has root %x, the batch says %x", root[:8], clip(h.Root, 8))
	}
	t, ok := treeOf(h.First+h.Count, h.Edge)
	root := t.root()
	r.tree, r.sound = t, ok && string(h.Root) == string(root[:])
}

func clip(b []byte, n int) []byte { return b[:min(n, len(b))] }

// items hands every record to those who compare it.
func (r *logReader) items(b *wireBatch, m message) error {
	h := &b.Header
	r.batches++
	if r.v.wants(h.First) {
		if err := r.v.batches.expect(entry{h.First, batchDigest(h.Count, h.Lane, h.Epoch, m.seq, h.Written, h.Size, h.Root)}); err != nil {
			return err
		}
	}
	for i := range b.Items {
		if err := r.item(h.First+uint64(i), &b.Items[i], m); err != nil {
			return err
		}
	}
	r.v.fold.reached(h, m.seq)
	return nil
}

func (r *logReader) item(index uint64, it *wireItem, m message) error {
	rec, err := decodeRecord(it.Record)
	if err != nil {
		r.v.found.add(Difference{Place: Log, Kind: Changed, Index: index, Seq: m.seq, Detail: "the record cannot be decoded"})
	} else if err := r.v.identities.put(rec.identity(), index, it.Digest); err != nil {
		return err
	} else if other := shardOf(rec.text(memberTenant), r.v.cfg.Shards); other != r.v.shard {
		r.v.found.add(Difference{Place: Log, Kind: Changed, Index: index, Seq: m.seq, Detail: fmt.Sprintf("the record's tenant is of shard %d", other)})
	}
	var hash []byte
	rec.into(memberPayloadHash, &hash)
	if sum := sha256.Sum256(it.Sealed); string(hash) != string(sum[:]) && len(it.Sealed)+len(hash) > 0 {
		r.v.found.add(Difference{Place: Log, Kind: Changed, Index: index, Seq: m.seq, Detail: "the sealed part is not the one that the record names"})
	}
	r.v.fold.record(index, m, rec)
	if !r.v.wants(index) {
		return nil
	}
	if len(hash) > 0 {
		if err := r.v.payloads.expect(entry{index, payloadDigest(rec.text(memberTenant), rec.person(), rec.number(memberReceived), hash)}); err != nil {
			return err
		}
	}
	return r.v.events.expect(entry{index, half(it.Record)})
}

// at is the batch with that index and its message, nil where the log has none.
func (r *logReader) at(ctx context.Context, index uint64) (found *wireBatch, of message, err error) {
	i := sort.Search(len(r.marks), func(i int) bool { return r.marks[i].first > index })
	if i == 0 {
		return nil, message{}, nil
	}
	last := r.seq
	if i < len(r.marks) {
		last = r.marks[i].seq
	}
	err = r.v.source.walk(ctx, logOf(r.v.shard), subjectOf(r.v.shard, "*"), r.marks[i-1].seq, last, func(m message) error {
		b, err := decodeBatch(m.data)
		if err == nil && found == nil && b.Header.First <= index && index <= b.Header.last() {
			found, of = b, m
		}
		return nil
	})
	return found, of, err
}

func batchDigest(count uint64, lane string, epoch, seq uint64, written int64, size uint64, root []byte) digest {
	b := binary.BigEndian.AppendUint64(nil, count)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = binary.BigEndian.AppendUint64(b, uint64(written))
	b = binary.BigEndian.AppendUint64(b, size)
	return half(b, root, []byte(lane))
}

func payloadDigest(tenant, person string, received int64, hash []byte) digest {
	return half(binary.BigEndian.AppendUint64(nil, uint64(received)), hash, []byte(person), []byte(tenant))
}

// report is what was read.
func (r *logReader) report() LogReport {
	root := r.tree.root()
	out := LogReport{Records: r.next, Batches: r.batches, LastSeq: r.seq}
	if r.sound {
		out.Root = hex.EncodeToString(root[:])
	}
	return out
}
