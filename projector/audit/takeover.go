package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// nobody is the holder of a fence that was given up: the least of all names, so
// that whoever takes it at the same moment has it.
const nobody = ""

// Release takes the fence of a shard from whoever has it and, once nothing of
// theirs is being inserted any more, gives it up: a projector that stands by
// takes over at its next look. It is an error where another has taken the fence
// meanwhile.
func Release(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	f, err := newFence(ctx, &cfg, new(open))
	if err != nil {
		return err
	}
	if err := f.acquire(ctx); err != nil {
		return err
	}
	return f.giveUp(ctx)
}

// leaveFence makes nobody the last holder, where we are that.
const leaveFence = `INSERT INTO fences (shard, epoch, holder)
SELECT {shard:UInt16}, max(epoch) + 1, '' FROM fences WHERE shard = {shard:UInt16}
HAVING throwIf(argMax(holder, (epoch, holder)) != {holder:String}, 'fenced') = 0`

// giveUp leaves the fence to whoever comes next. It is had first, and not taken
// under no name at once: what others insert under the same prefix is ended and
// waited for by a holder only, who tells his own queries from theirs.
func (f *fence) giveUp(ctx context.Context) error {
	if err := f.exec(ctx, leaveFence); err != nil {
		return fmt.Errorf("give up fence shard=%d: %w", f.shard, err)
	}
	return nil
}

// errVacant says that nobody has the fence.
var errVacant = errors.New("nobody has the fence")

const readHolder = "SELECT argMax(holder, (epoch, holder)), max(epoch) FROM fences WHERE shard = {shard:UInt16}"

// current is the holder of the fence.
func (f *fence) current(ctx context.Context) (holder string, err error) {
	holder, _, err = f.last(ctx)
	return holder, err
}

// last is the holder of the fence, and how often it was taken, kept or given up.
func (f *fence) last(ctx context.Context) (holder string, epoch uint64, err error) {
	err = f.query(ctx, readHolder, func(scan func(...any) error) error { return scan(&holder, &epoch) })
	return holder, epoch, err
}

// unlessTaken is errFenced where somebody has taken the fence from us. What
// ended an insert may have been that it was killed for this: who then took the
// fence back at once would take it from one who still needs it.
func (p *Projector) unlessTaken(ctx context.Context, f *fence) error {
	if len(p.mine) == 0 {
		return nil
	}
	holder, err := f.current(ctx)
	switch {
	case err != nil:
		return err
	case holder != nobody && !slices.Contains(p.mine, holder):
		return errFenced
	}
	p.mine = []string{holder, f.holder} // f may have it although we are not told
	return nil
}

// Search takes the fence of a shard and marks every duplicate that is in the
// tables, as a projector does in its time.
func Search(ctx context.Context, cfg Config) error {
	p, err := New(cfg)
	if err != nil {
		return err
	}
	f, there, err := p.recover(ctx)
	if err != nil {
		return err
	}
	s := &search{cfg: &p.cfg, fence: f.beside("search")}
	if err := s.resume(ctx); err != nil {
		return err
	}
	for s.begin(there.Next); s.from < s.until; {
		if _, err := s.slice(ctx); err != nil {
			return err
		}
	}
	return nil
}
