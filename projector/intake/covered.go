package intake

import (
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
