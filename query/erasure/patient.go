package erasure

import (
	"context"
	"time"
)

// syncTimes is how many times Config.WaitFor the log may take until all that is on
// it was seen.
const syncTimes = 5

// patient is a lane that says when it takes too long: who waits for one that
// stands still would wait without a word, and others behind it.
type patient struct {
	Lane
	most time.Duration
}

// Sync is the lane's, for as long as it may take.
func (p patient) Sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.most)
	defer cancel()
	return p.Lane.Sync(ctx)
}
