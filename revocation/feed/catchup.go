package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/rescindhq/rescind/revocation"
)

var errEmpty = errors.New("nothing is stored yet")

// catchUp brings the view to the end of what is stored: from where it is, or
// from a snapshot where what follows is not to be had.
func (f *Feed) catchUp(ctx context.Context) error {
	v, err := f.fromHere(ctx)
	if err != nil && ctx.Err() == nil && !errors.Is(err, errUnreachable) {
		v, err = f.fromSnapshot(ctx)
	}
	if err != nil {
		return err
	}
	f.replace(v)
	f.once.Do(func() { close(f.ready) })
	return nil
}

// replace shows a view under which any decision may be another one.
func (f *Feed) replace(v *view) {
	f.show(v)
	f.listeners.tell(nil)
}

// fromHere continues the view that is there.
func (f *Feed) fromHere(ctx context.Context) (*view, error) {
	v := f.view.Load()
	if v == nil {
		return nil, errGap
	}
	err := f.sameHistory(ctx, v)
	if err == nil {
		v, err = f.tail(ctx, v)
	}
	if err != nil && !errors.Is(err, errUnreachable) {
		f.show(f.view.Load().doubted(revocation.CauseGap))
	}
	return v, err
}

// sameHistory looks at the last delta stored: it must be of the history of v,
// and not before it. A last message that is not ours says nothing either way.
func (f *Feed) sameHistory(ctx context.Context, v *view) error {
	m, err := f.store.last(ctx)
	switch {
	case err != nil:
		return err
	case m == nil:
		return errEmpty
	}
	d, err := revocation.OpenDelta(f.cfg.PublicKey, m)
	switch {
	case err != nil:
		return nil
	case !d.SameHistory(&v.head) || d.Seq < v.head.Seq:
		return fmt.Errorf("%w: stored last seq=%d, of another history or before %d", errGap, d.Seq, v.head.Seq)
	case d.Seq == v.head.Seq && v.sum != revocation.Sum(m):
		return fmt.Errorf("%w: stored last seq=%d, and it is another delta than ours", errGap, d.Seq)
	}
	return nil
}

// tail applies all that is stored behind v. Messages that are not ours are
// passed over: a delta that they stood in for is missed by the one behind it.
func (f *Feed) tail(ctx context.Context, v *view) (*view, error) {
	for after, more := v.head.Seq, true; more; {
		var messages [][]byte
		var err error
		messages, after, more, err = f.store.after(ctx, after)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			next, err := f.step(ctx, v, m)
			if errors.Is(err, revocation.ErrSignature) {
				f.cfg.Log.Warn("a stored message is not ours", "last", after, "err", err)
				continue
			}
			if err != nil {
				return nil, err
			}
			v = next
		}
	}
	v = v.doubted("")
	f.settle(ctx, v)
	return v, nil
}

// fromSnapshot makes a new view. An old one stays in place until the new one
// is complete; where there is none, what the snapshot revokes is revoked from
// now on.
func (f *Feed) fromSnapshot(ctx context.Context) (*view, error) {
	data, err := f.store.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	s, err := revocation.OpenSnapshot(f.cfg.PublicKey, data)
	if err != nil {
		return nil, err
	}
	v := f.viewOf(s)
	f.settle(ctx, v)
	if f.view.Load() == nil {
		f.replace(v)
	}
	if err := f.sameHistory(ctx, v); err != nil {
		return nil, err
	}
	f.cfg.Log.Info("snapshot loaded", "seq", s.Seq, "last", s.Position, "count", s.Len())
	f.cfg.OnApply(Applied{Head: s.Head, Position: v.position, Entries: s.Len(), Snapshot: true, Delay: f.cfg.Now().Sub(s.Signed())})
	if v, err = f.tail(ctx, v); err != nil {
		return nil, err
	}
	f.save(data)
	return v, nil
}

// viewOf is a view of s alone, which vouches for nothing.
func (f *Feed) viewOf(s *revocation.Snapshot) *view {
	now := f.cfg.Now()
	v := view{set: s.Set(f.over(&s.Head)), doubt: revocation.CauseStale}
	v.set.SetKeys(f.keys)
	v = v.heardAt(s.Head, s.Sum, now, f.cfg.ClockSkew)
	return &v
}
