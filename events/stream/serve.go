package stream

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
)

// mayWait is how many requests wait at most to be answered together.
const mayWait = 256

// ServeTogether answers requests on subject, as one of group, until stop is
// called. All that wait at a time are given to answer at once, one time after
// the other, so that they share what an answer costs. What waits beyond 256 is not
// answered.
func ServeTogether(ctx context.Context, nc *nats.Conn, subject, group string, answer func(context.Context, []*nats.Msg)) (stop func() error, err error) {
	requests := make(chan *nats.Msg, mayWait)
	sub, err := nc.ChanQueueSubscribe(subject, group, requests)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case m := <-requests:
				answer(ctx, waiting(m, requests))
			case <-ctx.Done():
				return
			}
		}
	})
	return func() error {
		err := sub.Unsubscribe()
		cancel()
		done.Wait()
		return err
	}, nil
}

// waiting is first and all that wait behind it.
func waiting(first *nats.Msg, requests <-chan *nats.Msg) []*nats.Msg {
	all := []*nats.Msg{first}
	for {
		select {
		case m := <-requests:
			all = append(all, m)
		default:
			return all
		}
	}
}
