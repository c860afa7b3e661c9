package intake

import "sync"

// roomBytes is what is allocated at once for what is kept of about forty events.
const roomBytes = 16 << 10

// scratch is what one event is worked on with. Goroutines that are at it at the
// same time have one each.
type scratch struct {
	plain []byte // what is hashed or sealed, until the next
	coded []byte // what is kept a copy of, until the next
	room  []byte // what was kept, and what is free behind it
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// keep is a copy of b that nobody else writes to. Those of many events share one
// allocation, and are free together.
func (w *scratch) keep(b []byte) []byte {
	if cap(w.room)-len(w.room) < len(b) {
		w.room = make([]byte, 0, max(roomBytes, len(b)))
	}
	at := len(w.room)
	w.room = append(w.room, b...)
	return w.room[at:len(w.room):len(w.room)]
}
