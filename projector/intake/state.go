package intake

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/controls"
	"github.com/rescindhq/rescind/projector/ledger"
)

// state is what the log up to seq means to whoever writes the next batch. It
// belongs to one goroutine at a time. A standby folds into it what others
// append; a writer is ahead of seq by the batch in pending, and by nothing else
// when it stops, or its state is dropped.
type state struct {
	in  *Intake
	cfg *Config

	seq    uint64        // of the last message of the log
	head   events.Header // of the batch there; zero where there is none
	stored time.Time     // when it was stored

	tree     *ledger.Tree
	window   *window
	controls engine

	pending *pending
}

// engine is the controls: see controls.Engine for the contract.
type engine interface {
	Check(r *events.Record, now time.Time) ([]controls.Finding, *controls.Failure)
	Apply(r *events.Record) *controls.Failure
	Defect(r *events.Record, failed *controls.Failure) []controls.Finding
}

func newEngine(cfg controls.Config) (engine, error) { return controls.New(cfg) }

// pending is a batch that is in the state and may or may not be in the log,
// behind seq.
type pending struct {
	lane events.Lane
	data []byte
	head events.Header
	at   time.Time // when the latest message that it covers was stored
}

// is reports whether m is p.
func (p *pending) is(m stream.LogMessage) bool {
	return m.Lane == p.lane && bytes.Equal(m.Data, p.data)
}

// settled notes that the pending batch is in the log.
func (s *state) settled() {
	p := s.pending
	s.seq, s.head, s.stored, s.pending = s.seq+1, p.head, p.at, nil
}

// readTo folds what is behind seq, up to the message at last.
func (s *state) readTo(ctx context.Context, last uint64) error {
	if last <= s.seq {
		return nil
	}
	return s.readOn(ctx, last, func() {})
}

// readOn folds what is behind seq, up to the message at last, and calls done after
// each.
func (s *state) readOn(ctx context.Context, last uint64, done func()) error {
	return s.in.readLog(ctx, s.seq+1, last, func(m stream.LogMessage) error {
		defer done()
		return s.fold(m)
	})
}

// fold takes m as what is behind seq.
func (s *state) fold(m stream.LogMessage) error {
	if s.pending != nil {
		return s.confirm(m)
	}
	b, err := s.batch(m)
	if err != nil {
		return err
	}
	records, err := s.in.decodeRecords(b)
	if err != nil {
		return fmt.Errorf("read stream=%s seq=%d: %w", stream.LogStream, m.Seq, err)
	}
	for i, r := range records {
		s.tree.Append(events.LeafHash(b.Items[i].Record))
		s.window.add(r.Ref(), digest(b.Items[i].Digest))
		s.apply(r)
	}
	if err := s.follows(&b.Header, m.Seq); err != nil {
		return err
	}
	s.seq, s.head, s.stored = m.Seq, b.Header, m.Time
	return nil
}

// confirm takes m as the pending batch, or says that another writer was faster.
func (s *state) confirm(m stream.LogMessage) error {
	if m.Seq != s.seq+1 || !s.pending.is(m) {
		return fmt.Errorf("seq=%d is not the batch that was sent: %w", m.Seq, errFenced)
	}
	s.settled()
	return nil
}

// apply folds r, which is logged, into the controls. Where that is a defect, the
// log goes on: what the controls then lack is a finding.
func (s *state) apply(r *events.Record) {
	if failed := s.controls.Apply(r); failed != nil {
		s.in.controlFailed(failed)
	}
}

// follows checks that h, which was folded, is what comes after head.
func (s *state) follows(h *events.Header, seq uint64) error {
	what := ""
	switch {
	case seq != s.seq+1:
		what = "a message is missing before it"
	case h.First != s.head.Size:
		what = "its first index is not the next one"
	case h.Epoch < s.head.Epoch:
		what = "its writer was replaced before it"
	case h.Root != s.tree.Root():
		what = "its root is not that of the records"
	default:
		return nil
	}
	return fmt.Errorf("read stream=%s seq=%d: %s: %w", stream.LogStream, seq, what, ErrCorrupt)
}
