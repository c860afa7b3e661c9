package intake

import (
	"maps"
	"sync"

	"github.com/rescindhq/rescind/events"
)

// Stats counts what an intake has done since it was made, and says where its
// log stands.
type Stats struct {
	Messages   uint64                   // taken from the source
	Records    uint64                   // appended, findings included
	Findings   uint64                   // of these, findings
	Batches    uint64                   // appended
	Bytes      uint64                   // appended
	Duplicates uint64                   // dropped: logged before, with the same content
	Skipped    uint64                   // messages dealt with before
	Held       uint64                   // messages left to be delivered again, for want of keys or quarantine
	Refused    map[events.Reason]uint64 // quarantined
	Unsettled  uint64                   // appends that did not answer
	Acks       uint64                   // acknowledgements that could not be sent

	Epoch uint64 // of the present writer; 0 before there is one
	Seq   uint64 // last message of the log
	Size  uint64 // records in the log
}

type counters struct {
	mu sync.Mutex
	s  Stats
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

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Refused = maps.Clone(s.Refused)
	return s
}
