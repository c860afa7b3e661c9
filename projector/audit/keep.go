package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Kept is a fence that is kept from projectors for longer than they stand by.
type Kept struct {
	fence  *fence
	end    context.CancelFunc
	ending sync.WaitGroup
}

// Keep takes the fence of a shard from whoever has it, returns once nothing of
// theirs is being inserted any more, and keeps it until End: a projector that was
// running stands by for as long. One that is started takes the fence all the
// same, and Still says so.
func Keep(ctx context.Context, cfg Config) (*Kept, error) {
	cfg = cfg.withDefaults()
	f, err := newFence(ctx, &cfg, new(open))
	if err != nil {
		return nil, err
	}
	if err := f.acquire(ctx); err != nil {
		return nil, err
	}
	running, end := context.WithCancel(ctx)
	k := &Kept{fence: f, end: end}
	k.ending.Go(func() { k.keep(running, cfg.Standby/4) })
	return k, nil
}

// keep shows that we are there until the fence is lost. An error of the server
// is no loss: the next one may be in time.
func (k *Kept) keep(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if errors.Is(k.fence.keep(ctx), errFenced) {
			return
		}
	}
}

// Still reports whether nobody has taken the fence since. If so, those who stand
// by do that for their whole time from now on.
func (k *Kept) Still(ctx context.Context) (bool, error) {
	err := k.fence.keep(ctx)
	if err == nil || errors.Is(err, errFenced) {
		return err == nil, nil
	}
	if holder, other := k.fence.current(ctx); other == nil && holder != k.fence.holder { // and with it went what we asked
		return false, nil
	}
	return false, err
}

// StillIn reports the same of tables that were given another name, over a
// connection to them, and keeps nothing.
func (k *Kept) StillIn(ctx context.Context, conn driver.Conn) (bool, error) {
	f := k.fence.beside("moved")
	f.conn = conn
	holder, err := f.current(ctx)
	return err == nil && holder == k.fence.holder, err
}

// End keeps the fence no longer, and returns when nothing more is done for it. It
// is left as it is: whoever stands by takes it when its time has passed.
func (k *Kept) End() {
	k.end()
	k.ending.Wait()
}

// keepFence makes us the holder again, where we are that: a new epoch is what
// those who stand by see of us.
const keepFence = `INSERT INTO fences (shard, epoch, holder)
SELECT {shard:UInt16}, max(epoch) + 1, {holder:String} FROM fences WHERE shard = {shard:UInt16}
HAVING throwIf(argMax(holder, (epoch, holder)) != {holder:String}, 'fenced') = 0`

func (f *fence) keep(ctx context.Context) error {
	if err := f.exec(ctx, keepFence); err != nil {
		return fmt.Errorf("keep fence shard=%d: %w", f.shard, err)
	}
	return nil
}
