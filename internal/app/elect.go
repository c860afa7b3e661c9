package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events/stream"
)

// intakeTTL is that of the lock which is held by the one intake of a shard that
// writes. It is what a failover waits for, and the second or so that the server
// takes to notice: long enough for a write that the disk holds up, and short
// enough that somebody writes again within five seconds.
const intakeTTL = 2 * time.Second

func intakeLock(shard uint16) string { return fmt.Sprintf("intake-%d", shard) }

// silence is how long the connection over which an intake reads and writes may
// bring nothing, not even an answer to a ping, before its term ends.
const silence = 5 * time.Second

// errSilent says that who was elected can do nothing with that.
var errSilent = errors.New("the connection to read and write over is silent")

// elect is how the intakes of a shard take turns: over a connection of its own.
// Behind a backlog on its way to us, a renewal on the same connection would come
// too late, and every term would end before it had achieved anything. A term
// ends, too, when work is silent: who is elected and cut off from the log would
// keep the lock from one who is not.
func elect(elections, work *bus, shard uint16) func(context.Context) (context.Context, func(), error) {
	return func(ctx context.Context) (context.Context, func(), error) {
		lock, release, err := stream.Elect(ctx, elections.js, intakeLock(shard), intakeTTL)
		if err != nil {
			return nil, nil, err
		}
		term, end := context.WithCancelCause(lock)
		var watching sync.WaitGroup
		watching.Go(func() { end(untilSilent(term, work.nc, silence)) })
		return term, func() {
			release()
			watching.Wait()
		}, nil
	}
}

// untilSilent returns when nothing has come over nc for so long, or ctx has
// ended. Messages that keep coming are as good as an answer, which waits behind
// them.
func untilSilent(ctx context.Context, nc *nats.Conn, most time.Duration) error {
	tick := time.NewTicker(most / 5)
	defer tick.Stop()
	heard, messages := time.Now(), nc.Stats().InMsgs
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		asking, cancel := context.WithTimeout(ctx, most/5)
		err := nc.FlushWithContext(asking)
		cancel()
		switch in := nc.Stats().InMsgs; {
		case err == nil, in != messages:
			heard, messages = time.Now(), in
		case time.Since(heard) >= most:
			return fmt.Errorf("%w for %s", errSilent, most)
		}
	}
}
