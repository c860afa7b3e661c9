package checker

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const logStream = "RESCIND_LOG"

// Log is the log as it was read.
type Log struct {
	Records []Record // by index
	Batches []Batch  // by sequence, from 1
	Faults  []Fault  // of the log by itself

	places map[Identity]uint64 // index
	tree   tree
	faults faults
}

// Batch is one message of the log.
type Batch struct {
	Seq, First, Epoch, Size uint64
	Count                   uint32
	Lane                    string
	Written                 int64 // µs
	Root                    [32]byte
}

// fetchWait is how long the server may take to hand out what it has.
const fetchWait = 30 * time.Second

// ReadLog reads the log up to what was its end when it began.
func ReadLog(ctx context.Context, js jetstream.JetStream) (*Log, error) {
	s, err := js.Stream(ctx, logStream)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", logStream, err)
	}
	state := s.CachedInfo().State
	l := &Log{places: map[Identity]uint64{}}
	if state.Msgs > 0 && (state.FirstSeq != 1 || state.Msgs != state.LastSeq) {
		l.faults.add("the stream has holes", "%d messages from %d to %d", state.Msgs, state.FirstSeq, state.LastSeq)
	}
	if err := l.readTo(ctx, s, state.LastSeq); err != nil {
		return nil, fmt.Errorf("read %s: %w", logStream, err)
	}
	l.Faults = l.faults.list()
	return l, nil
}

func (l *Log) readTo(ctx context.Context, s jetstream.Stream, last uint64) error {
	c, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverAllPolicy, MemoryStorage: true, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return err
	}
	for seq := uint64(0); seq < last; {
		got, err := c.Fetch(int(min(500, last-seq)), jetstream.FetchMaxWait(fetchWait))
		if err != nil {
			return err
		}
		before := seq
		for m := range got.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			if meta.Sequence.Stream != seq+1 {
				l.faults.add("a message is missing", "seq=%d comes after seq=%d", meta.Sequence.Stream, seq)
			}
			seq = meta.Sequence.Stream
			l.take(seq, m.Subject(), m.Data())
		}
		if err := got.Error(); err != nil || seq == before {
			return fmt.Errorf("nothing comes after seq=%d of %d: %v", seq, last, err)
		}
	}
	return nil
}

// take checks one message against those before it.
func (l *Log) take(seq uint64, subject string, data []byte) {
	b, err := decodeBatch(data)
	if err != nil {
		l.faults.add("a message is no batch", "seq=%d: %v", seq, err)
		return
	}
	h := b.Header
	if next := uint64(len(l.Records)); h.First != next || h.Size != next+uint64(h.Count) {
		l.faults.add("a batch does not follow", "seq=%d first=%d size=%d, want first=%d", seq, h.First, h.Size, next)
	}
	if n := len(l.Batches); n > 0 && h.Epoch < l.Batches[n-1].Epoch {
		l.faults.add("an epoch goes back", "seq=%d epoch=%d after %d", seq, h.Epoch, l.Batches[n-1].Epoch)
	}
	if subject != "rescind.log."+h.Lane {
		l.faults.add("a batch is in the wrong lane", "seq=%d says %s", seq, h.Lane)
	}
	for i := range b.Items {
		l.takeItem(seq, &b.Items[i])
	}
	if l.tree.root() != h.Root {
		l.faults.add("a root does not recompute", "seq=%d size=%d", seq, h.Size)
	}
	l.Batches = append(l.Batches, Batch{
		Seq: seq, First: h.First, Epoch: h.Epoch, Size: h.Size, Count: h.Count, Lane: h.Lane, Written: h.Written, Root: h.Root,
	})
}

func (l *Log) takeItem(seq uint64, it *item) {
	index := uint64(len(l.Records))
	r, err := decodeRecord(it.Record)
	if err != nil {
		l.faults.add("a record cannot be read", "seq=%d index=%d: %v", seq, index, err)
	}
	if len(it.Sealed) > 0 && sha256.Sum256(it.Sealed) != r.PayloadHash || len(it.Sealed) == 0 && r.PayloadHash != [32]byte{} {
		l.faults.add("a sealed part is not the one that its record names", "seq=%d index=%d", seq, index)
	}
	if before, twice := l.places[r.Identity()]; twice {
		l.faults.add("an event is in the log twice", "id=%s index=%d and index=%d (seq=%d)", r.ID, before, index, seq)
	}
	l.places[r.Identity()] = index
	l.tree.add(it.Record)
	l.Records = append(l.Records, r)
}

// Holds compares the log with what publishers sent: acknowledged events must be
// there, and of what is there, those with a source that published says is
// ours must be among those that were sent.
func (l *Log) Holds(acked []Identity, published func(Identity) bool) []Fault {
	var f faults
	for _, id := range acked {
		if _, ok := l.places[id]; !ok {
			f.add("an acknowledged event is not in the log", "id=%s source=%s", id.ID, id.Source)
		}
	}
	for i := range l.Records {
		if id := l.Records[i].Identity(); !published(id) {
			f.add("nobody published what is in the log", "id=%s source=%s type=%s index=%d", id.ID, id.Source, l.Records[i].Type, i)
		}
	}
	return f.list()
}
