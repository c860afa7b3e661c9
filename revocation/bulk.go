package revocation

import (
	"encoding/binary"
	"math/bits"
	"slices"
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
}

func newBulk(s *Snapshot) *bulk {
	b := &bulk{set: NewSet(s.Shards()), buckets: newBuckets(s.Len()), kinds: s.kinds, numbers: make([]uint32, len(s.kinds)), uses: make([]int, len(s.kinds))}
	b.count(s.hashes)
	return b
}

// add takes in a row, whose kind is one of the snapshot's.
func (b *bulk) add(r *logged) {
	n := r.kind
	if k := &b.kinds[n]; b.uses[n] == 0 {
		b.numbers[n] = b.set.takeKind(k)
	}
	if b.kinds[n].known {
		b.set.times[r.shard].set(r.index, r.at)
	}
	b.uses[n]++
	r.kind = b.numbers[n]
	b.put(&r.row)
}

// refer counts the rows of each kind.
func (b *bulk) refer() {
	for n, uses := range b.uses {
		if uses == 0 {
			continue
		}
		b.set.kinds.refs[b.numbers[n]] += uses - 1
		if k := &b.kinds[n]; k.known {
			b.set.madeBy[k.key] += uses - 1
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

// build makes the pages.
func (b *bulk) build() *Set {
	b.refer()
	s, living := b.set, int64(0)
	for i := range b.next {
		living += int64(b.next[i] - b.first[i])
	}
	s.living.Store(living)
	var pages []*page
	var prefixes []uint64
	deepest := uint8(0)
	for i := range b.next {
		rows := b.rows[b.first[i]:b.next[i]]
		slices.SortFunc(rows, func(a, b row) int { return a.compare(&b) })
		divide(rows, b.depth, max(b.depth, mayHave(living)), uint64(i)<<(64-b.depth), func(p *page, prefix uint64) {
			pages, prefixes = append(pages, p), append(prefixes, prefix)
			deepest = max(deepest, p.depth)
			s.depths[p.depth]++
		})
	}
	s.depths[0]-- // of the empty page
	d := newDirectory(deepest)
	for i, p := range pages {
		d.set(p, prefixes[i])
	}
	s.dir.Store(d)
	return s
}
