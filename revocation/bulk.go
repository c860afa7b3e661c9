package revocation

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// bulk fills a set that nobody uses yet: rows are put into the buckets of the
// first bits of their hash, and each bucket is made into pages. Rows that come
// one by one would each make a page anew.
type bulk struct {
	set *Set
	buckets
	kinds   []kind   // of the snapshot
	numbers []uint32 // of each in the set
	uses    []int    // of each
	made    []*made  // by the key of each, of those that have effect

	handed []row // and not yet on the way
	full   chan []row
	empty  chan []row
	put    sync.WaitGroup
}

// Rows are read by one goroutine and put into their buckets by another: where
// a row goes is seldom in the processor's cache.
const (
	handRows  = 1024
	handAhead = 4
)

// hand gives a row to whoever puts rows into buckets.
func (b *bulk) hand(r *row) {
	if b.handed = append(b.handed, *r); len(b.handed) == handRows {
		b.full <- b.handed
		b.handed = (<-b.empty)[:0]
	}
}

// putAll puts what was handed over, until there is no more.
func (b *bulk) putAll() {
	for rows := range b.full {
		for i := range rows {
			b.buckets.put(&rows[i])
		}
		b.empty <- rows
	}
}

// settle waits until all rows are in their buckets.
func (b *bulk) settle() {
	b.full <- b.handed
	close(b.full)
	b.put.Wait()
}

func newBulk(s *Snapshot) *bulk {
	b := &bulk{set: NewSet(s.Shards()), buckets: newBuckets(s.Len()), kinds: s.kinds, numbers: make([]uint32, len(s.kinds)), uses: make([]int, len(s.kinds)),
		made: make([]*made, len(s.kinds))}
	b.count(s.hashes)
	b.full, b.empty = make(chan []row, handAhead), make(chan []row, handAhead+1)
	for range handAhead {
		b.empty <- make([]row, 0, handRows)
	}
	b.put.Go(b.putAll)
	return b
}

// add takes in a row, whose kind is one of the snapshot's.
func (b *bulk) add(r *logged) {
	n, k := r.kind, &b.kinds[r.kind]
	if k.known {
		b.set.times[r.shard].set(r.index, r.at)
	}
	if b.uses[n]++; b.uses[n] == 1 {
		b.begin(n, r.hash)
	} else if k.effective() {
		b.made[n].add(k.scope, r.hash.part())
	}
	r.kind = b.numbers[n]
	b.hand(&r.row)
}

// begin is add of the first row of a kind.
func (b *bulk) begin(n uint32, h hash) {
	k := &b.kinds[n]
	b.numbers[n] = b.set.takeKind(k, h)
	if k.effective() {
		b.made[n] = b.set.by(k.key)
	}
}

// refer counts the rows of each kind.
func (b *bulk) refer() {
	for n, uses := range b.uses {
		if uses > 0 {
			b.set.kinds.refs[b.numbers[n]] += uses - 1
		}
	}
}

// buckets are rows by the first bits of their hash, each bucket few enough for
// the processor's cache.
type buckets struct {
	depth uint8
	first []int // of each bucket in rows, and the end of the last
	next  []int // where the next row of each goes
	rows  []row
}

// bucketRows is about how many rows a bucket has.
const bucketRows = 8192

func newBuckets(n int) buckets {
	depth := uint8(bits.Len(uint(n / bucketRows)))
	return buckets{depth: depth, first: make([]int, 1<<depth+1), next: make([]int, 1<<depth), rows: make([]row, n)}
}

func (b *buckets) of(hi uint64) int { return int(hi >> (64 - b.depth)) }

// count makes room for the hashes.
func (b *buckets) count(hashes []byte) {
	for i := 0; i < len(hashes); i += 16 {
		b.first[b.of(binary.BigEndian.Uint64(hashes[i:]))+1]++
	}
	for i := range b.next {
		b.first[i+1] += b.first[i]
		b.next[i] = b.first[i]
	}
}

// put puts a row into its bucket.
func (b *buckets) put(r *row) {
	i := b.of(r.hash.hi)
	b.rows[b.next[i]] = *r
	b.next[i]++
}

// build makes the pages, on every processor.
func (b *bulk) build() *Set {
	b.settle()
	b.refer()
	s, living := b.set, int64(0)
	for i := range b.next {
		living += int64(b.next[i] - b.first[i])
	}
	s.living.Store(living)
	var all sync.WaitGroup
	var next atomic.Int64
	parts := make([][]placedPage, runtime.GOMAXPROCS(0))
	for w := range parts {
		all.Go(func() { parts[w] = b.pages(&next, mayHave(living)) })
	}
	all.Wait()
	s.fill(slices.Concat(parts...))
	return s
}

// placedPage is a page and the first hash of its place.
type placedPage struct {
	page   *page
	prefix uint64
}

// pages makes the pages of buckets that nobody has begun before, until there is
// none.
func (b *bulk) pages(next *atomic.Int64, deepest uint8) (out []placedPage) {
	var s sorter
	for i := int(next.Add(1)) - 1; i < len(b.next); i = int(next.Add(1)) - 1 {
		rows := b.gathered(s.sorted(b.rows[b.first[i]:b.next[i]], b.depth))
		divide(rows, b.depth, max(b.depth, deepest), uint64(i)<<(64-b.depth), func(p *page, prefix uint64) {
			out = append(out, placedPage{p, prefix})
		})
	}
	return out
}

// gathered is rows, in their order, with one in the place of each crowd.
func (b *bulk) gathered(rows []row) []row {
	out := rows[:0]
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].hash == rows[0].hash {
			n++
		}
		if n > crowdRows {
			b.set.locked(func() { out = append(out, b.set.crowd(slices.Clone(rows[:n]))) })
		} else {
			out = append(out, rows[:n]...)
		}
		rows = rows[n:]
	}
	return out
}

// fill puts the pages of all places into a set that has none.
func (s *Set) fill(pages []placedPage) {
	deepest := uint8(0)
	s.depths[0]-- // of the empty page
	for i := range pages {
		depth := pages[i].page.depth
		deepest = max(deepest, depth)
		s.depths[depth]++
	}
	d := newDirectory(deepest)
	for i := range pages {
		d.set(pages[i].page, pages[i].prefix)
	}
	s.dir.Store(d)
}

// sorter puts the rows of a bucket in order. Hashes are spread evenly, so that
// most of it is done by putting each where its first bits say.
type sorter struct {
	rows []row
	ends []int
}

const (
	sorterBits = 12 // a bucket has twice as many rows
	cells      = 1 << sorterBits
)

// sorted is the rows, whose hashes have their first depth bits in common, in
// their order. It is overwritten by the next call.
func (s *sorter) sorted(rows []row, depth uint8) []row {
	s.rows = slices.Grow(s.rows[:0], len(rows))[:len(rows)]
	s.ends = append(s.ends[:0], make([]int, cells+1)...)
	cell := func(r *row) uint64 { return r.hash.hi << depth >> (64 - sorterBits) }
	for i := range rows {
		s.ends[cell(&rows[i])+1]++
	}
	for i := range cells {
		s.ends[i+1] += s.ends[i]
	}
	for i := range rows {
		c := cell(&rows[i])
		s.rows[s.ends[c]] = rows[i]
		s.ends[c]++ // the beginning of each becomes its end
	}
	from := 0
	for _, end := range s.ends[:cells] {
		if end > from+1 {
			slices.SortFunc(s.rows[from:end], func(a, b row) int { return a.compare(&b) })
		}
		from = end
	}
	return s.rows
}
