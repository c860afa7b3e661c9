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
