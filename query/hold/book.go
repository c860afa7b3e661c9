package hold

import (
	"slices"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/lane"
)

// Book is every hold there ever was.
type Book struct {
	byID  map[string][]*Hold // ids are unique within a tenant
	order []*Hold            // as they were placed
}

// NewBook is a book that has seen nothing.
func NewBook() *Book { return &Book{byID: make(map[string][]*Hold)} }

// Apply folds one control record. It reports whether a hold was placed or
// released by it.
func (b *Book) Apply(e lane.Entry) bool {
	r := e.Record
	id := r.Attributes[AttrHold]
	if id == "" || r.Source != Source {
		return false
	}
	h := b.find(id, func(tenant string) bool { return tenant == r.Tenant })
	switch {
	case r.Type == events.HoldPlaced && h == nil:
		return b.place(e)
	case r.Type == events.HoldReleased && h != nil && h.MayRelease(r.Actor, r.Reason) == nil:
		h.ReleasedBy, h.Released, h.ReleaseReason = r.Actor, time.UnixMicro(r.Received).UTC(), r.Reason
		return true
	case r.Type == events.FindingOpened && h != nil:
		h.flagged = true
	}
	return false
}

func (b *Book) place(e lane.Entry) bool {
	h, err := read(e.Record)
	if err != nil {
		return false
	}
	h.Shard, h.Position = e.Shard, e.Index
	b.byID[h.ID] = append(b.byID[h.ID], h)
	b.order = append(b.order, h)
	return true
}

// MayRelease says why actor cannot release h; nil where they can.
func (h *Hold) MayRelease(actor, reason string) error {
	switch {
	case !h.Active():
		return ErrReleased
	case reason == "":
		return &MemberError{"reason", "say why it is not needed any more"}
	case same(actor, h.PlacedBy):
		return ErrFourEyes
	default:
		return nil
	}
}

func (b *Book) find(id string, reaches func(tenant string) bool) *Hold {
	for _, h := range b.byID[id] {
		if reaches(h.Tenant) {
			return h
		}
	}
	return nil
}

// Get is one hold of the tenants that reaches lets through.
func (b *Book) Get(id string, reaches func(tenant string) bool) (Hold, error) {
	h := b.find(id, reaches)
	if h == nil {
		return Hold{}, ErrNotFound
	}
	return *h, nil
}

// List is the holds of the tenants that reaches lets through, the newest first;
// only those that last, where that is asked for.
func (b *Book) List(reaches func(tenant string) bool, active bool) (out []Hold) {
	for _, h := range slices.Backward(b.order) {
		if reaches(h.Tenant) && (!active || h.Active()) {
			out = append(out, *h)
		}
	}
	return out
}

// Of is the holds that can keep something of a person, those that last and
// those that were released, each in the order in which they were placed.
func (b *Book) Of(tenant string, person events.Ref) (active, released []Hold) {
	for _, h := range b.order {
		switch {
		case h.Tenant != tenant || !h.Concerns(person):
		case h.Active():
			active = append(active, *h)
		default:
			released = append(released, *h)
		}
	}
	return active, released
}

// Overdue is the holds that last although their review should have been, and of
// which no finding was opened.
func (b *Book) Overdue(now time.Time) (out []Hold) {
	for _, h := range b.order {
		if h.Active() && !h.flagged && now.After(h.Review) {
			out = append(out, *h)
		}
	}
	return out
}
