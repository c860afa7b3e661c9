package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/rescindhq/rescind/events"
)

// AcquireLock waits until nobody else holds the lock of that name, and holds
// it until release is called or this process is gone for ttl. The holder
// renews it three times in each ttl (at least 1 s). It is a lock of courtesy:
// a holder that is paused for longer than ttl does not learn that another has
// it, so it may only guard work that is safe to do twice.
func AcquireLock(ctx context.Context, js jetstream.JetStream, name string, ttl time.Duration) (release func(), err error) {
	if !events.ValidTenant(name) || ttl < time.Second {
		return nil, errors.New("lock: want a name of a-z A-Z 0-9 _ - and a ttl of at least 1s")
	}
	l := &lock{js: js, subject: lockPrefix + name, ttl: ttl, holder: nuid.Next()}
	if err := l.acquire(ctx); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	var renewing sync.WaitGroup
	renewing.Go(func() { l.renew(run) })
	return sync.OnceFunc(func() {
		stop()
		renewing.Wait()
		l.release()
	}), nil
}

// lock is one message that goes by itself after ttl.
type lock struct {
	js      jetstream.JetStream
	subject string
	ttl     time.Duration
	holder  string // who we are: unique
	seq     uint64 // of our message, or 0; of the renewing goroutine once it runs
}

// errHeld says that another holds the lock.
var errHeld = errors.New("held by another")

// put writes our message where there is none, or in place of our own.
func (l *lock) put(ctx context.Context) error {
	ack, err := l.js.Publish(ctx, l.subject, []byte(l.holder), jetstream.WithMsgTTL(l.ttl),
		jetstream.WithExpectStream(LocksStream), jetstream.WithExpectLastSequencePerSubject(l.seq))
	switch {
	case wrongLast(err):
		return l.adopt(ctx)
	case err != nil:
		return err
	}
	l.seq = ack.Sequence
	return nil
}

// adopt looks at the message that was there instead of the expected one: an
// earlier put of ours may have been stored although it failed.
func (l *lock) adopt(ctx context.Context) error {
	m, err := get{LastFor: l.subject}.from(ctx, l.js, LocksStream)
	if err == nil && string(m.Data) == l.holder {
		l.seq = m.Seq
		return nil
	}
	l.seq = 0
	return errHeld
}

func (l *lock) acquire(ctx context.Context) error {
	retry := time.NewTicker(min(l.ttl/10, 250*time.Millisecond))
	defer retry.Stop()
	for {
		if err := l.put(ctx); !errors.Is(err, errHeld) {
			return err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// renew ends when the lock was released or is another's. A renewal that fails
// otherwise is tried again: the lock is ours until ttl has passed.
func (l *lock) renew(ctx context.Context) {
	due := time.NewTicker(l.ttl / 3)
	defer due.Stop()
	for {
		select {
		case <-due.C:
			if err := l.put(ctx); errors.Is(err, errHeld) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// release removes our message, and only ours. Where that fails it goes after
// ttl.
func (l *lock) release() {
	if l.seq == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestWait)
	defer cancel()
	request := struct {
		Seq   uint64 `json:"seq"`
		Quick bool   `json:"no_erase"`
	}{l.seq, true}
	var answer struct{}
	_ = ask(ctx, l.js, "$JS.API.STREAM.MSG.DELETE."+LocksStream, request, &answer)
}
