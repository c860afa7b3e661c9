package feedhttp

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// position is where a stream is: behind which delta it goes on.
type position struct {
	feed, seq uint64
	sum       events.Ref // of that delta; zero where it is not known
}

// parsePosition reads what String wrote, in that form alone.
func parsePosition(s string) (p position, err error) {
	before, behind, found := strings.Cut(s, "-")
	if !found || len(s) > 41 {
		return p, ErrPosition
	}
	var errFeed, errSeq error
	p.feed, errFeed = strconv.ParseUint(before, 10, 64)
	p.seq, errSeq = strconv.ParseUint(behind, 10, 64)
	if errFeed != nil || errSeq != nil || p.String() != s {
		return p, ErrPosition
	}
	return p, nil
}

func (p position) String() string { return fmt.Sprintf("%d-%d", p.feed, p.seq) }

// continues reports whether d is the delta that follows p.
func (p position) continues(d *revocation.Delta) bool {
	return d.Feed == p.feed && d.Prev == p.seq && (p.sum.IsZero() || d.PrevSum == p.sum)
}
