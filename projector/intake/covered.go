package intake

import (
	"slices"
	"time"

	"github.com/rescindhq/rescind/events"
)

// maxCovered bounds the ranges that a header lists.
const maxCovered = 256

// covered is which messages of the intake stream were wholly dealt with. It
// spares work and answers for messages older than the window; it is never the
// only thing that keeps an event from being logged twice.
type covered struct {
	ranges []events.Range
	until  time.Time // when the latest of them can have been stored
}

// recall is what a batch says was dealt with of messages stored until then, in a
// stream that has got as far as last. One that ends before has lost its end, and
// gives these sequences to others: then nothing is known of them.
func recall(ranges []events.Range, until time.Time, last uint64) covered {
	if n := len(ranges); n > 0 && ranges[n-1].Last > last {
		return covered{}
	}
	return covered{ranges: slices.Clone(ranges), until: until}
}

// has reports whether m was dealt with. A sequence that was, under a message
// that was stored after all of those, means that the intake stream was made
// again and counts from one: then nothing is known of it.
func (c *covered) has(seq uint64, stored time.Time) bool {
	if !events.InRanges(c.ranges, seq) {
		return false
	}
	if stored.After(c.until) {
		*c = covered{}
		return false
	}
	return true
}

// add notes that a message was dealt with. Where there are too many ranges the
// lowest is forgotten: what is left of it was acknowledged long ago.
func (c *covered) add(seq uint64, stored time.Time) {
	c.ranges = events.AddToRanges(c.ranges, seq)
	if len(c.ranges) > maxCovered {
		c.ranges = append(c.ranges[:0], c.ranges[1:]...)
	}
	if stored.After(c.until) {
		c.until = stored
	}
}
