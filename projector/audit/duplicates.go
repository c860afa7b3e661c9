package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/sleep"
)

const (
	identity = "cityHash64(tenant, source, id)"

	readSearched = "SELECT max(below) FROM searches WHERE shard = {shard:UInt16}"

	// The server's clock on both sides: what it was set to when a search ended
	// moves no other.
	readWaiting = "SELECT if(count() = 0, 0, dateDiff('second', min(recorded), now64(6))) FROM batches WHERE shard = {shard:UInt16} AND first + count > {from:UInt64}"

	// Hashes first: what is new is a set of 8 bytes an event, and what is old
	// is read once and not sorted.
	findRepeated = `SELECT DISTINCT hash FROM
(
    SELECT ` + identity + " AS hash FROM events WHERE shard = {shard:UInt16} AND `index` < {from:UInt64} AND hash IN\n        (SELECT " +
		identity + " FROM events WHERE shard = {shard:UInt16} AND `index` >= {from:UInt64} AND `index` < {below:UInt64})\n    UNION ALL\n    SELECT " +
		identity + " AS hash FROM events WHERE shard = {shard:UInt16} AND `index` >= {from:UInt64} AND `index` < {below:UInt64}\n    GROUP BY hash HAVING count() > 1" + `
)
LIMIT {most:UInt64}
SETTINGS max_threads = 1`

	findOccurrences = "SELECT `index`, tenant, source, id FROM events\nWHERE shard = {shard:UInt16} AND `index` < {below:UInt64} AND " + identity +
		" IN {hashes:Array(UInt64)}\nORDER BY `index`\nSETTINGS max_threads = 1"

	readMarked = "SELECT `index` FROM duplicates WHERE shard = {shard:UInt16} AND `index` >= {from:UInt64} ORDER BY `index`"

	readBatchOf = "SELECT argMax(seq, first) FROM batches WHERE shard = {shard:UInt16} AND first <= {index:UInt64}"

	insertDuplicates = "INSERT INTO duplicates (shard, `index`, first, content)\nSELECT {shard:UInt16}, `index`, first, content\nFROM incoming" + fenced

	insertSearch = "INSERT INTO searches (shard, below, found)\nSELECT {shard:UInt16}, below, found\nFROM incoming" + fenced
)

// The bounds of one slice of a search: how many new events, and how many
// repeated identities among them; with more, it takes fewer events.
const (
	maxSearched = 1 << 22
	maxRepeated = 1000
)

// worthwhile is how many new events make a search due at once. It reads the
// identities of all events, so it waits until a sixteenth of them is new: then
// all searches together read each event some sixteen times, however many there
// are.
func worthwhile(all uint64) uint64 { return max(100_000, all/16) }

// search finds events that repeat one which the intake no longer remembered.
type search struct {
	cfg    *Config
	fence  *fence
	from   uint64    // everything below was searched
	until  uint64    // where the search that is going on ends; it is over at from
	width  uint64    // of its next slice, in events
	last   time.Time // since when what is not due is waiting
	failed int       // looks in a row
}

// errUnsettled says that an insert of a search has an unknown outcome.
var errUnsettled = errors.New("marking duplicates was interrupted")

// searching searches beside the inserts until stop is called. The returned ctx
// ends when an insert of a search fails: then all begins anew, as after any
// other insert. A search that cannot read is tried again later.
func (p *Projector) searching(ctx context.Context, f *fence) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &search{cfg: &p.cfg, fence: f.beside("search")}
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			found, err := s.next(ctx, p.Position().Next)
			if errors.Is(err, errUnsettled) || errors.Is(err, errFenced) || errors.Is(err, ErrTables) {
				cancel(err)
				return
			}
			p.searched(ctx, s.from, found, err)
			_ = sleep.For(ctx, s.rest(err))
		}
	})
	return ctx, func() {
		cancel(context.Canceled)
		running.Wait()
	}
}

func (p *Projector) searched(ctx context.Context, below uint64, found int, err error) {
	switch {
	case err != nil && ctx.Err() == nil:
		p.log.Warn("no search for duplicates", "first", below, "err", err)
	case found > 0:
		p.log.Warn("duplicates older than the intake's window", "last", below-1, "count", found)
		p.update(func(s *Status) { s.Duplicates += uint64(found) })
	}
}

// rest is how long to wait until the next look: not at all while a search goes
// on, and longer after each that failed, as that may be one which can only fail
// and takes a core of the server until it does.
func (s *search) rest(err error) time.Duration {
	least := min(s.cfg.SearchEvery, time.Second)
	if err != nil {
		s.failed++
		return min(s.cfg.SearchEvery, least<<min(s.failed-1, 20))
	}
	s.failed = 0
	if s.from < s.until {
		return 0
	}
	return least
}

// next searches a slice of what is new below end, if that is due. A search that
// has begun goes on to the end that there was then.
func (s *search) next(ctx context.Context, end uint64) (found int, err error) {
	if s.last.IsZero() {
		if err := s.resume(ctx); err != nil {
			return 0, err
		}
	}
	if s.from >= s.until {
		fresh := end - min(s.from, end)
		if fresh == 0 || fresh < worthwhile(end) && time.Since(s.last) < s.cfg.SearchEvery {
			return 0, nil
		}
		s.begin(end)
	}
	return s.slice(ctx)
}

func (s *search) begin(end uint64) { s.until, s.width, s.last = end, maxSearched, time.Now() }

// resume reads where the search before this one ended, or was stopped, and for
// how long the first event behind that has been recorded. Of a clock that was
// set back in between that is not known: then it is due.
func (s *search) resume(ctx context.Context) error {
	err := s.fence.query(ctx, readSearched, func(scan func(...any) error) error { return scan(&s.from) })
	if err != nil {
		return fmt.Errorf("read searches: %w", err)
	}
	var seconds int64
	err = s.fence.query(ctx, readWaiting, func(scan func(...any) error) error { return scan(&seconds) }, clickhouse.Named("from", s.from))
	if err != nil {
		return fmt.Errorf("read batches that were not searched: %w", err)
	}
	waiting := time.Duration(seconds) * time.Second
	if waiting < 0 {
		waiting = s.cfg.SearchEvery
	}
	s.last = time.Now().Add(-waiting)
	return nil
}

// slice searches the next events of a search and marks what it finds.
func (s *search) slice(ctx context.Context) (found int, err error) {
	below := min(s.until, s.from+s.width)
	hashes, below, err := s.repeated(ctx, below)
	if err != nil {
		return 0, fmt.Errorf("search duplicates first=%d last=%d: %w", s.from, below-1, err)
	}
	marks, err := s.marks(ctx, hashes, below)
	if err != nil {
		return 0, fmt.Errorf("search duplicates first=%d last=%d: %w", s.from, below-1, err)
	}
	if err := s.record(ctx, marks, below); err != nil {
		return 0, fmt.Errorf("mark duplicates first=%d last=%d: %w", s.from, below-1, err)
	}
	s.from, s.width = below, min(2*(below-s.from), maxSearched)
	return len(marks), nil
}

// repeated is the hashes of identities that occur again below an index, or
// below a lower one if there are too many.
func (s *search) repeated(ctx context.Context, below uint64) (hashes []uint64, _ uint64, err error) {
	for {
		hashes = hashes[:0]
		err = s.fence.query(ctx, findRepeated, func(scan func(...any) error) error {
			var h uint64
			err := scan(&h)
			hashes = append(hashes, h)
			return err
		}, clickhouse.Named("from", s.from), clickhouse.Named("below", below), clickhouse.Named("most", uint64(maxRepeated+1)))
		if err != nil || len(hashes) <= maxRepeated || below == s.from+1 {
			return hashes, below, err
		}
		below = s.from + (below-s.from)/2
	}
}

// mark is one duplicate.
type mark struct {
	index, first uint64
	content      string
}

// marks is the duplicates among the events with the given hashes that are not
// marked yet.
func (s *search) marks(ctx context.Context, hashes []uint64, below uint64) (out []mark, err error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	marked, err := indices(ctx, s.fence, readMarked, s.from)
	if err != nil {
		return nil, err
	}
	first := map[[3]string]uint64{}
	err = s.fence.query(ctx, findOccurrences, func(scan func(...any) error) error {
		var index uint64
		var id [3]string
		if err := scan(&index, &id[0], &id[1], &id[2]); err != nil {
			return err
		}
		if at, ok := first[id]; !ok {
			first[id] = index
		} else if index >= s.from && !events.InRanges(marked, index) {
			out = append(out, mark{index: index, first: at})
		}
		return nil
	}, clickhouse.Named("below", below), clickhouse.Named("hashes", hashes))
	var said [2]events.Batch // those of the mark before: what is sent again is mostly sent in its order
	for i := 0; err == nil && i < len(out); i++ {
		out[i].content, err = s.compare(ctx, out[i], &said)
	}
	return out, err
}

// compare says whether both events of m say the same. The digests that tell
// are in the log only.
func (s *search) compare(ctx context.Context, m mark, said *[2]events.Batch) (string, error) {
	a, err := s.digest(ctx, m.first, &said[0])
	if err != nil {
		return "", err
	}
	b, err := s.digest(ctx, m.index, &said[1])
	switch {
	case err != nil:
		return "", err
	case len(a) == 0 || len(b) == 0:
		return "unknown", nil
	case bytes.Equal(a, b):
		return "same", nil
	default:
		return "different", nil
	}
}

// digest is that of the event with the index, or nothing where the log does
// not hold it any more. It is looked for in b first, which then is its batch.
func (s *search) digest(ctx context.Context, index uint64, b *events.Batch) ([]byte, error) {
	if s.cfg.Lookup == nil {
		return nil, nil
	}
	if !holds(b, index) {
		err := s.lookup(ctx, index, b)
		if errors.Is(err, stream.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return b.Items[index-b.Header.First].Digest, nil
}

func holds(b *events.Batch, index uint64) bool {
	return b.Header.First <= index && index-b.Header.First < uint64(len(b.Items))
}

// lookup makes b the batch of the event with the index.
func (s *search) lookup(ctx context.Context, index uint64, b *events.Batch) error {
	var seq uint64
	err := s.fence.query(ctx, readBatchOf, func(scan func(...any) error) error { return scan(&seq) }, clickhouse.Named("index", index))
	if err != nil {
		return err
	}
	msg, err := s.cfg.Lookup.Get(ctx, seq)
	if err != nil {
		return err
	}
	found, err := events.UnmarshalBatch(msg.Data)
	if err != nil || !holds(found, index) {
		return errors.Join(err, fmt.Errorf("index %d is not in the batch at seq=%d", index, seq))
	}
	*b = *found
	return nil
}

// record marks duplicates and then says up to where was searched.
func (s *search) record(ctx context.Context, marks []mark, below uint64) error {
	n := len(marks)
	index, first, content := make([]uint64, n), make([]uint64, n), make([]string, n)
	for i, m := range marks {
		index[i], first[i], content[i] = m.index, m.first, m.content
	}
	t, err := block(wire{"index", "UInt64", index}, wire{"first", "UInt64", first}, wire{"content", "String", content})
	if err := insert(ctx, s.fence, insertDuplicates, t, err); err != nil {
		return errors.Join(err, errUnsettled)
	}
	t, err = block(wire{"below", "UInt64", []uint64{below}}, wire{"found", "UInt64", []uint64{uint64(n)}})
	if err := insert(ctx, s.fence, insertSearch, t, err); err != nil {
		return errors.Join(err, errUnsettled)
	}
	return nil
}
