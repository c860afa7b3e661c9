package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// ticks is how many a second Linux counts processor time in.
const ticks = 100

// processor is the processor time that ClickHouse has taken since it started,
// zero where the system has no /proc. It is looked at once merges have ended:
// they are part of what rows cost.
func (r *rig) processor(ctx context.Context) (time.Duration, error) {
	if err := r.untilMerged(ctx); err != nil {
		return 0, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.stack.Engine.Pid()))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return spent(stat), err
}

// spending is the processor time that ClickHouse takes for what do does, with
// the merges that follow from it.
func (r *rig) spending(ctx context.Context, do func() error) (time.Duration, error) {
	before, err := r.processor(ctx)
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := r.processor(ctx)
	return after - before, err
}

// spent is user and system time in a /proc/PID/stat. The name of the program,
// in parentheses, may hold anything.
func spent(stat []byte) time.Duration {
	const user, system = 11, 12 // counted from what follows the name
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= system {
		return 0
	}
	u, _ := strconv.ParseInt(string(fields[user]), 10, 64) // 0 is not reported
	s, _ := strconv.ParseInt(string(fields[system]), 10, 64)
	return time.Duration(u+s) * time.Second / ticks
}

// untilMerged waits until no merge has been seen some times in a row.
func (r *rig) untilMerged(ctx context.Context) error {
	quiet := 0
	return poll(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		var n uint64
		err := r.db.QueryRow(ctx, "SELECT count() FROM system.merges").Scan(&n)
		if quiet++; n > 0 {
			quiet = 0
		}
		return quiet == 5, err
	})
}

// each is the microseconds of d for one of n events.
func each(d time.Duration, n int) float64 { return float64(d.Microseconds()) / float64(n) }
