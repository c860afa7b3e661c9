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
	}{{&s.Bulk, 2}, {&s.Streams, 2500}, {&s.Past, 2}, {&s.Downloads, 2}} {
		if *each.of == 0 {
			*each.of = each.usual
		}
	}
}

// shares are those of a server.
type shares struct{ bulk, streams, past, downloads *share }

func newShares(s Shares) shares {
	return shares{
		bulk:    newShare("bulk jobs", s.Bulk, 10*time.Second),
		streams: newShare("streams of the feed", s.Streams, 10*time.Second),
		past:    newShare("decisions as of the past", s.Past, time.Second),

		downloads: newShare("downloads of an export", s.Downloads, 10*time.Second),
	}
}

// share is how much of one thing each caller may have.
type share struct {
	of    string // for people
	each  int
	retry time.Duration // after which to try again

	mu    sync.Mutex     // for the rest
	taken map[string]int // by caller, of those who have any
}

func newShare(of string, each int, retry time.Duration) *share {
	return &share{of: of, each: each, retry: retry, taken: make(map[string]int)}
}

// take is called before one more is begun, and release once it has ended.
func (s *share) take(p *Principal) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[p.Subject] >= s.each {
		return nil, &shareError{s}
	}
	s.taken[p.Subject]++
	return func() { s.give(p.Subject) }, nil
}

func (s *share) give(caller string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[caller]--; s.taken[caller] == 0 {
		delete(s.taken, caller)
	}
}

// shareError says that a caller has its share.
type shareError struct{ *share }

func (e *shareError) Error() string {
	return fmt.Sprintf("one caller may have %d %s at once", e.each, e.of)
}
