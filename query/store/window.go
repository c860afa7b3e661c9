package store

import "github.com/rescindhq/rescind/query"

// window is the indices from first to before end.
type window struct{ first, end uint64 }

// windows divides the indices that a search may reach into windows, in the
// order in which rows are wanted, each wider than the one before it. Most
// pages are full after the first: it is found by index, and what the order of
// the table cannot narrow down need not be read from end to end.
type windows struct {
	left       window
	width      uint64
	descending bool
}

const (
	firstWidth = 1 << 17
	widening   = 64
)

// windowsOf is the windows of q below end. A search for a reference or an event is
// narrow by itself and gets one.
func windowsOf(q query.Search, end uint64) *windows {
	w := &windows{left: window{end: end}, width: firstWidth, descending: q.Descending}
	if !q.SubjectRef.IsZero() || !q.TokenRef.IsZero() || !q.SessionRef.IsZero() || !q.Lifts.IsZero() || q.ID != "" {
		w.width = end
	}
	switch {
	case q.After != nil && q.Descending:
		w.left.end = min(end, *q.After)
	case q.After != nil:
		w.left.first = min(end, *q.After) + 1
	}
	return w
}

// next is the next window, or false where none is left.
func (w *windows) next() (window, bool) {
	if w.left.first >= w.left.end {
		return window{}, false
	}
	out, width := w.left, min(w.width, w.left.end-w.left.first)
	if w.descending {
		out.first = w.left.end - width
		w.left.end = out.first
	} else {
		out.end = w.left.first + width
		w.left.first = out.end
	}
	w.width *= widening
	return out, true
}
