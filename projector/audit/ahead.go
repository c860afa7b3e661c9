package audit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rescindhq/rescind/events/stream"
)

// ahead reads the log and decodes it while an insert is running. What it has
// decoded gathers in one chunk, which the inserter takes whole when it is done
// with the one before; so two chunks are in memory, and one piece of the log
// that was read and is not yet decoded.
type ahead struct {
	cfg *Config
	log LogReader

	// Of run's goroutine.
	at Position

	mu    sync.Mutex
	full  *chunk // gathers
	spare *chunk // empty, for when full is taken
	err   error  // why nothing more will come

	added chan struct{} // a signal, after something was added or run has ended
	taken chan struct{} // a signal, after something was taken
}

// pieceBytes is how much of the log is read at once, in bytes.
const pieceBytes = 1 << 20

func newAhead(cfg *Config, log LogReader, at Position) *ahead {
	return &ahead{
		cfg: cfg, log: log, at: at, full: new(chunk), spare: new(chunk),
		added: make(chan struct{}, 1), taken: make(chan struct{}, 1),
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run reads until ctx ends or the log cannot be read or followed. What stands
// before that is still taken.
func (a *ahead) run(ctx context.Context) {
	err := a.read(ctx)
	a.mu.Lock()
	a.err = err
	a.mu.Unlock()
	signal(a.added)
}

func (a *ahead) read(ctx context.Context) error {
	for {
		msgs, err := a.log.Next(ctx, pieceBytes)
		if err != nil {
			return fmt.Errorf("read log seq=%d: %w", a.at.Seq+1, err)
		}
		for i := range msgs {
			for !a.room() {
				select {
				case <-a.taken:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if err := a.add(&msgs[i]); err != nil {
				return err
			}
			signal(a.added)
		}
	}
}

// room reports whether another message may be added.
func (a *ahead) room() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fits()
}

func (a *ahead) fits() bool { return len(a.full.rows) < a.cfg.MaxRows && a.full.bytes < a.cfg.MaxBytes }

func (a *ahead) add(msg *stream.LogMessage) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at, err = a.full.add(msg, a.cfg.Shard, a.at)
	return err
}

// gather waits until the given time, unless as much is there before as one
// insert takes, or nothing more will come.
func (a *ahead) gather(ctx context.Context, until time.Time) {
	due := time.NewTimer(time.Until(until))
	defer due.Stop()
	for a.gathering() {
		select {
		case <-a.added:
		case <-due.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (a *ahead) gathering() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err == nil && a.fits()
}

// take waits for something and returns all that is there. done is the chunk
// that was taken before, which is not used any more; nil at first.
func (a *ahead) take(ctx context.Context, done *chunk) (*chunk, error) {
	if done != nil {
		done.reset()
	}
	for ctx.Err() == nil {
		c, err := a.tryTake(done)
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-a.added:
		case <-ctx.Done():
		}
	}
	return nil, ctx.Err()
}

func (a *ahead) tryTake(done *chunk) (*chunk, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.full.rows) == 0 {
		return nil, a.err
	}
	if done != nil {
		a.spare = done
	}
	c := a.full
	a.full, a.spare = a.spare, nil
	signal(a.taken)
	return c, nil
}

// oldest is when the oldest batch that is waiting was written; zero for none.
func (a *ahead) oldest() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.full.batches) == 0 {
		return time.Time{}
	}
	return a.full.written()
}
