package audit

import (
	"context"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/internal/sleep"
)

// Status is what a projector is doing.
type Status struct {
	Position             // as far as is known
	Current    bool      // recovered, and nothing has failed since
	Standby    bool      // another projector is at work
	Stopped    bool      // Run has returned
	Failures   int       // in a row
	Err        error     // the last of them
	Waiting    time.Time // since when ClickHouse has owed an answer; zero: it does not
	Oldest     time.Time // when the oldest batch that is not recorded was written, as far as is known; zero: none
	End        LogEnd    // where the log ended when it was last looked at
	Recoveries uint64    // how often it was read back what is there
	Inserts    uint64    // chunks recorded
	Rows       uint64    // records recorded
	LastRows   uint64    // of them in the last chunk
	Duplicates uint64    // found since the start

	inserting time.Time // when the oldest batch of the chunk that is being stored was written
	unread    time.Time // and of those that Lookup knows of
}

// LogEnd is the end of a log: the index and sequence behind its last batch.
type LogEnd struct {
	Next uint64 // index that the next record will have
	Seq  uint64 // of the last message
}

// Behind is how much of the log is not recorded.
type Behind struct{ Records, Batches uint64 }

// Behind is how far the tables were behind the end of the log when that was
// last looked at.
func (s *Status) Behind() (b Behind) {
	if s.End.Next > s.Next {
		b.Records = s.End.Next - s.Next
	}
	if s.End.Seq > s.Seq {
		b.Batches = s.End.Seq - s.Seq
	}
	return b
}

// Lag is the age, at the time now, of the oldest batch of the log that is not
// yet recorded: zero where all is, as far as is known.
func (s *Status) Lag(now time.Time) time.Duration {
	if s.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.Oldest))
}

// Status says what the projector is doing now.
func (p *Projector) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Waiting = p.open.oldest()
	s.Oldest = s.inserting
	if s.Oldest.IsZero() && p.ahead != nil {
		s.Oldest = p.ahead.oldest()
	}
	if s.Oldest.IsZero() && s.End.Seq > s.Seq {
		s.Oldest = s.unread
	}
	return s
}

// Position is how far ClickHouse holds the log, as far as is known.
func (p *Projector) Position() Position { return p.Status().Position }

func (p *Projector) update(change func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.status)
}

func (p *Projector) setAhead(a *ahead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead = a
	p.status.inserting = time.Time{}
}

// watchEnds looks at the end of the log now and then until the returned
// function is called. It goes on while ClickHouse is down, which is when the
// answer matters.
func (p *Projector) watchEnds(ctx context.Context) (stop func()) {
	if p.cfg.Lookup == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			if err := p.lookAtEnd(ctx); err != nil && ctx.Err() == nil {
				p.log.Warn("the end of the log is not known", "err", err)
			}
			_ = sleep.For(ctx, p.cfg.LookEvery)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

func (p *Projector) lookAtEnd(ctx context.Context) error {
	last, err := p.cfg.Lookup.Last(ctx)
	if err != nil || last.Seq == 0 {
		return err
	}
	h, err := header(last.Data)
	if err != nil {
		return err
	}
	end, oldest := LogEnd{Next: h.Size, Seq: last.Seq}, time.UnixMicro(h.Written)
	if at := p.Position().Seq; at+1 < last.Seq {
		first, err := p.cfg.Lookup.Get(ctx, at+1)
		if err != nil {
			return err
		}
		if h, err = header(first.Data); err != nil {
			return err
		}
		oldest = time.UnixMicro(h.Written)
	}
	p.update(func(s *Status) { s.End, s.unread = end, oldest })
	return nil
}

func header(data []byte) (events.Header, error) {
	b, err := events.UnmarshalBatch(data)
	if err != nil {
		return events.Header{}, err
	}
	return b.Header, nil
}
