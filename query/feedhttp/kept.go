package feedhttp

import (
	"crypto/ed25519"
	"slices"
	"sync"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

// item is one delta that is kept. It is not changed but for its frame.
type item struct {
	at      position // of the delta itself
	prev    uint64
	prevSum events.Ref
	message []byte

	once  sync.Once
	event []byte
}

// sent is what a stream is sent of it. It is made for the first that asks.
func (i *item) sent(key ed25519.PublicKey) []byte {
	i.once.Do(func() {
		if d, err := revocation.OpenDelta(key, i.message); err == nil { // the feed has opened it before
			i.event = event(d, i.message)
		}
	})
	return i.event
}

// kept is the last deltas, each following the one before it. All streams read
// from it, each at its own place, and none has a buffer of its own.
type kept struct {
	limit int

	mu    sync.Mutex // for the rest
	items []*item
	head  revocation.Head // of the last
	bytes int             // of their messages
	moved chan struct{}   // closed with the next change
}

func newKept(limit int) *kept { return &kept{limit: limit, moved: make(chan struct{})} }

// add keeps one more. What does not follow the last one begins anew: streams at
// another place find out that theirs is gone.
func (k *kept) add(d *revocation.Delta, message []byte) {
	it := &item{at: position{d.Feed, d.Seq, revocation.Sum(message)}, prev: d.Prev, prevSum: d.PrevSum, message: message}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.knows(it):
		return
	case !k.follows(it, d):
		k.items, k.bytes = nil, 0
	}
	k.items, k.bytes, k.head = append(k.items, it), k.bytes+len(message), d.Head
	for k.bytes > k.limit && len(k.items) > 1 {
		k.bytes -= len(k.items[0].message)
		k.items[0] = nil
		k.items = k.items[1:]
	}
	close(k.moved)
	k.moved = make(chan struct{})
}

// knows reports whether it is kept already: the feed reads again what it has
// read where it begins from a snapshot.
func (k *kept) knows(it *item) bool {
	i, found := k.find(it.at.seq)
	return found && k.items[i].at == it.at
}

func (k *kept) follows(it *item, d *revocation.Delta) bool {
	if len(k.items) == 0 {
		return true
	}
	last := k.items[len(k.items)-1]
	return d.SameHistory(&k.head) && it.prev == last.at.seq && it.prevSum == last.at.sum
}

// find is where the delta with that sequence is, or the first above it.
func (k *kept) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(k.items, seq, func(i *item, seq uint64) int {
		switch {
		case i.at.seq < seq:
			return -1
		case i.at.seq > seq:
			return 1
		default:
			return 0
		}
	})
}

// place says how a position stands to what is kept.
type place int

const (
	within place = iota // what follows it is kept, or will be
	ahead               // of what is kept: nothing is known of it yet
	gone                // what follows it is not kept
)

// next is up to few deltas behind p, and how p stands to what is kept. Moved is
// closed when there may be more.
func (k *kept) next(p position, few int) (items []*item, at place, moved <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.items) == 0 {
		return nil, ahead, k.moved
	}
	first, last := k.items[0], k.items[len(k.items)-1]
	switch {
	case p.feed == last.at.feed && p.seq > last.at.seq:
		return nil, ahead, k.moved
	case p.feed != first.at.feed:
		return nil, gone, k.moved
	}
	i, found := k.find(p.seq)
	switch {
	case found && !p.same(k.items[i].at):
		return nil, gone, k.moved
	case found:
		i++
	case i > 0 || first.prev != p.seq || !p.sum.IsZero() && p.sum != first.prevSum:
		return nil, gone, k.moved
	}
	return slices.Clone(k.items[i:min(i+few, len(k.items))]), within, k.moved
}

// same reports whether p is q, as far as p knows.
func (p position) same(q position) bool {
	return p.feed == q.feed && p.seq == q.seq && (p.sum.IsZero() || p.sum == q.sum)
}

// newest is the position before the last delta, so that who begins there is
// sent it at once; false where there is none yet.
func (k *kept) newest() (position, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.items) == 0 {
		return position{}, false
	}
	last := k.items[len(k.items)-1]
	return position{last.at.feed, last.prev, last.prevSum}, true
}
