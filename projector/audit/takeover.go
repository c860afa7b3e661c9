package audit

import "context"

// Fence takes the fence of a shard from whoever has it, and returns once
// nothing of theirs is being inserted any more. A projector that is running
// stands by for a while and then takes it back: whoever calls this has to be
// done by then, or not to mind.
func Fence(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	f, err := newFence(ctx, &cfg, new(open))
	if err != nil {
		return err
	}
	return f.acquire(ctx)
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
	for s.from < there.Next {
		if _, err := s.run(ctx, s.from+min(there.Next-s.from, maxSearched)); err != nil {
			return err
		}
	}
	return nil
}
