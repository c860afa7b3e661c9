package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// errLocked says that somebody else has the lock.
var errLocked = errors.New("locked by another process or engine")

// tryLock takes the lock on path, or fails with errLocked. The kernel lets the
// lock go when its holder dies.
func tryLock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return func() { _ = file.Close() }, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
}

// lockFile takes the lock on path, waiting for whoever has it until ctx ends;
// waiting is called once if it has to wait.
func lockFile(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for told := false; ; told = true {
		unlock, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		if !told {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-ticks.C:
		}
	}
}
