package intake

import (
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/projector/controls"
)

// judge asks the controls about k and makes the group that is to be logged. It
// is false where k was parked, because a control failed on it. What revokes is
// logged all the same, with a finding that says so: a fault in a rule must not
// keep a token good that was revoked.
func (w *writer) judge(k *candidate, received time.Time) bool {
	found, failed := w.controls.Check(&k.record, k.now(received))
	if failed != nil {
		if w.parkDefect(k, failed) {
			return false
		}
		found = append(found, w.controls.Defect(&k.record, failed)...)
	}
	if err := w.makeGroup(k, found, received); err != nil {
		if w.parkDefect(k, err) {
			return false
		}
		_ = w.makeGroup(k, nil, received) // cannot fail: it is k alone
	}
	return true
}

// parkDefect counts and tells of a control that failed on k, and parks k unless
// it revokes.
func (w *writer) parkDefect(k *candidate, err error) bool {
	w.in.controlFailed(err)
	if k.event.Type.RevokedScope() != "" {
		return false
	}
	w.park(k, events.ReasonDefect, "a control failed on this event")
	return true
}

// makeGroup makes the group of k and what was found.
func (w *writer) makeGroup(k *candidate, found []controls.Finding, received time.Time) error {
	w.group.reset()
	w.group.add(k.item, k.leaf)
	if len(found) == 0 {
		return nil
	}
	return w.in.guard("finding", func() error { return w.findings(k, found, received) })
}

// findings adds the records of what was found to the group.
func (w *writer) findings(k *candidate, found []controls.Finding, received time.Time) error {
	for i := range found {
		r := found[i].Record(&k.record, received)
		encoded, err := new(scratch).encode(r)
		if err != nil {
			return err
		}
		d := digest(k.tenant.Digest(encoded))
		w.group.add(events.Item{Record: encoded, Digest: d[:]}, events.LeafHash(encoded))
		w.group.records = append(w.group.records, r)
	}
	return nil
}

// admit takes k and its group into the state and the draft: from here on they
// are in the log for this writer.
func (w *writer) admit(k *candidate) {
	if failed := w.controls.Apply(&k.record); failed != nil && w.parkDefect(k, failed) {
		return
	}
	w.window.add(k.ref, k.digest)
	for i, r := range w.group.records {
		w.window.add(r.Ref(), digest(w.group.items[i+1].Digest))
		w.apply(r)
	}
	w.draft.add(&w.group, k.from)
}

// controlFailed counts and tells of a control that failed on an event. The error
// says which, and nothing of the event.
func (in *Intake) controlFailed(err error) {
	in.stats.count(func(s *Stats) { s.Defects++ })
	in.cfg.Logger.Error("defect", "step", "controls", "err", err)
}
