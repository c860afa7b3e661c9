package query

import (
	"fmt"
	"sync"
	"time"
)

// Shares bound what one caller, by the sub of its token, does at once of what is
// bounded for all: nobody takes all of it. What is beyond is answered 429.
type Shares struct {
	// Bulk is how many bulk jobs are read. Default 2, of 4 in all.
	Bulk int
	// BulkOfTenant is how many of one tenant are read, whoever sends them. Default 3.
	BulkOfTenant int
	// Streams is how many streams of the feed are open. Default 2,500: a quarter
	// of what a feedhttp.Server serves by default.
	Streams int
	// Past is how many decisions as of the past are made or wait for their turn.
	// Default 2.
	Past int
	// Downloads is how often one export is fetched at once. Default 2.
	Downloads int
}

func (s *Shares) defaults() {
	for _, each := range []struct {
		of    *int
		usual int
	}{{&s.Bulk, 2}, {&s.BulkOfTenant, 3}, {&s.Streams, 2500}, {&s.Past, 2}, {&s.Downloads, 2}} {
		if *each.of == 0 {
			*each.of = each.usual
		}
	}
}

// shares are those of a server.
type shares struct{ bulk, bulkOf, streams, past, downloads *share }

func newShares(s Shares) shares {
	return shares{
		bulk:      newShare("caller", "bulk jobs", s.Bulk, 10*time.Second),
		bulkOf:    newShare("tenant", "bulk jobs", s.BulkOfTenant, 10*time.Second),
		streams:   newShare("caller", "streams of the feed", s.Streams, 10*time.Second),
		past:      newShare("caller", "decisions as of the past", s.Past, time.Second),
		downloads: newShare("caller", "downloads of an export", s.Downloads, 10*time.Second),
	}
}

// share is how much of one thing each may have.
type share struct {
	who   string // each, for people
	of    string // the same
	each  int
	retry time.Duration // after which to try again

	mu    sync.Mutex     // for the rest
	taken map[string]int // of those who have any
}

func newShare(who, of string, each int, retry time.Duration) *share {
	return &share{who: who, of: of, each: each, retry: retry, taken: make(map[string]int)}
}

// take is called before one more is begun, and release once it has ended.
func (s *share) take(by string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[by] >= s.each {
		return nil, &shareError{s}
	}
	s.taken[by]++
	return func() { s.give(by) }, nil
}

func (s *share) give(by string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[by]--; s.taken[by] == 0 {
		delete(s.taken, by)
	}
}

// shareError says that somebody has their share.
type shareError struct{ *share }

func (e *shareError) Error() string {
	return fmt.Sprintf("one %s may have %d %s at once", e.who, e.each, e.of)
}
