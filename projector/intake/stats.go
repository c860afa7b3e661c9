package intake

import (
	"maps"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Stats counts what an intake has done since it was made, and says where its
// log stands.
type Stats struct {
	Messages    uint64                   // taken from the source
	Records     uint64                   // appended, findings included
	Findings    uint64                   // of these, findings
	Batches     uint64                   // appended
	Bytes       uint64                   // appended
	Duplicates  uint64                   // dropped: logged before, with the same content
	Skipped     uint64                   // messages dealt with before
	Held        uint64                   // messages left to be delivered again, for want of keys or quarantine
	Refused     map[events.Reason]uint64 // quarantined
	Unsettled   uint64                   // appends that did not answer, or with an error, as where this writer is fenced
	Acks        uint64                   // acknowledgements that could not be sent
	Redelivered uint64                   // messages taken that had been delivered before
	Defects     uint64                   // panics of our own code
	Terms       uint64                   // times that it began to write
	Reads       uint64                   // times that it read the log from the tail on

	Standby   bool      // it does not write now
	Epoch     uint64    // of the present or last term; 0 before there was one
	Seq       uint64    // last message of the log, as far as it knows
	Size      uint64    // records in the log, as far as it knows
	LastBatch int       // records in the batch that was appended last
	Lag       uint64    // messages that wait in the stream, as of the latest ones taken
	Oldest    time.Time // when the oldest message was stored that is here and not dealt with; zero where there is none
}

// counters is Stats while it changes.
type counters struct {
	mu     sync.Mutex
	s      Stats
	behind map[events.Lane]uint64
	hand   map[*chunk]time.Time // when the oldest message of each was stored
	source Source               // nil while standing by
}

// count changes the counters.
func (c *counters) count(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.s)
}

func (c *counters) refused(r events.Reason) {
	c.count(func(s *Stats) {
		if s.Refused == nil {
			s.Refused = map[events.Reason]uint64{}
		}
		s.Refused[r]++
	})
}

// at says how far the log was read.
func (c *counters) at(at *state) {
	c.count(func(s *Stats) { s.Seq, s.Size, s.Standby = at.seq, at.head.Size, c.source == nil })
}

func (c *counters) writing(source Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source, c.s.Standby = source, false
	c.behind, c.hand = map[events.Lane]uint64{}, map[*chunk]time.Time{}
}

func (c *counters) standingBy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source, c.s.Standby = nil, true
	c.behind, c.hand = nil, nil
}

// took counts what was taken of a lane.
func (c *counters) took(lane events.Lane, taken *chunk) {
	oldest, again := taken.oldest(), uint64(0)
	for i := range taken.arrivals {
		if taken.arrivals[i].Redelivered {
			again++
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Messages += uint64(len(taken.arrivals))
	c.s.Redelivered += again
	c.hand[taken] = oldest
	c.behind[lane] = taken.arrivals[len(taken.arrivals)-1].Behind
}

// passed says that nothing of chunks waits any more.
func (c *counters) passed(chunks []*chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range chunks {
		delete(c.hand, one)
	}
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Refused = maps.Clone(s.Refused)
	for _, n := range c.behind {
		s.Lag += n
	}
	if c.source != nil {
		s.Oldest = c.source.Oldest()
	}
	for _, at := range c.hand {
		if s.Oldest.IsZero() || at.Before(s.Oldest) {
			s.Oldest = at
		}
	}
	return s
}
