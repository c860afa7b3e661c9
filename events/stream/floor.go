package stream

import "sync"

// floor knows up to where every message of the intake was dealt with, so that
// the stream can be emptied from its beginning: a message that is removed by
// itself costs the server one more synced write, which the next publisher waits
// for.
//
// The access consumer delivers every subject, in the order of the stream, and
// leaves those of the control lane to the other consumer, which may be behind.
type floor struct {
	mu      sync.Mutex
	open    map[uint64]struct{} // delivered, not dealt with
	passed  uint64              // the last that the access consumer delivered
	control uint64              // the last that the control consumer delivered
	left    span                // control messages that access passed and control may not have delivered
	cut     uint64              // the stream begins behind it
}

// span is from the first to the last of some sequences; zero where there is
// none.
type span struct{ first, last uint64 }

func newFloor() *floor { return &floor{open: map[uint64]struct{}{}} }

// leave notes a message that access leaves to control.
func (f *floor) leave(seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed = max(f.passed, seq)
	if seq <= f.control {
		return
	}
	if f.left.first == 0 {
		f.left.first = seq
	}
	f.left.last = max(f.left.last, seq)
}

// delivered notes a message that somebody has to deal with.
func (f *floor) delivered(seq uint64, control bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[seq] = struct{}{}
	if !control {
		f.passed = max(f.passed, seq)
		return
	}
	f.control = max(f.control, seq)
	if f.left.first = max(f.left.first, f.control+1); f.left.first > f.left.last {
		f.left = span{}
	}
}

// done notes that a message was dealt with.
func (f *floor) done(seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, seq)
}

// next is the sequence up to which the stream can be emptied now, and whether
// that is further than it was.
func (f *floor) next() (uint64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.passed
	if f.left.first > 0 {
		at = min(at, f.left.first-1)
	}
	for seq := range f.open {
		at = min(at, seq-1)
	}
	return at, at > f.cut
}

// emptied notes that the stream begins behind seq.
func (f *floor) emptied(seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = max(f.cut, seq)
}
