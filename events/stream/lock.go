package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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
	_, release, err = Elect(ctx, js, name, ttl)
	return release, err
}

// Elect is AcquireLock for one who has to know when the lock is lost. The term
// outlives ctx, which bounds only the waiting, and ends on release, when
// another holds the lock, and when it could not be renewed for so long that
// another may: always before the server gives the lock away. Who was paused
// meanwhile, or whose machine slept, learns it when it goes on, so it must be safe
// to go on for a moment. Setting the clock forward by as much ends a term as well.
func Elect(ctx context.Context, js jetstream.JetStream, name string, ttl time.Duration) (term context.Context, release func(), err error) {
	_, term, release, err = elect(ctx, js, name, ttl, time.Now)
	return term, release, err
}

func elect(ctx context.Context, js jetstream.JetStream, name string, ttl time.Duration, now func() time.Time) (*lock, context.Context, func(), error) {
	if !events.ValidTenant(name) || ttl < time.Second {
		return nil, nil, nil, errors.New("lock: want a name of a-z A-Z 0-9 _ - and a ttl of at least 1s")
	}
	l := &lock{js: js, subject: lockPrefix + name, ttl: ttl, holder: nuid.Next(), now: now}
	if err := l.acquire(ctx); err != nil {
		return nil, nil, nil, fmt.Errorf("lock %s: %w", name, err)
	}
	term, end := context.WithCancelCause(context.WithoutCancel(ctx))
	var renewing sync.WaitGroup
	renewing.Go(func() { end(fmt.Errorf("lock %s: %w", name, l.renew(term))) })
	return l, term, sync.OnceFunc(func() {
		end(fmt.Errorf("lock %s: %w", name, errReleased))
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
	now     func() time.Time
	since   atomic.Pointer[time.Time] // from when the server counts ttl, or before that; nil before it was put

	// Of the renewing goroutine once it runs.
	seq uint64 // of our message, or 0
}

// age is how long the server may have counted.
func (l *lock) age() time.Duration { return passed(*l.since.Load(), l.now()) }

// lapsed reports whether another may hold the lock soon, or does: from then on it
// is not ours.
func (l *lock) lapsed() bool { return l.age() >= l.ttl*3/4 }

var (
	errHeld     = errors.New("held by another")
	errReleased = errors.New("released")
	errLapsed   = errors.New("could not be renewed in time")
)

// put writes our message where there is none, or in place of our own.
func (l *lock) put(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/2)
	defer cancel()
	asked := l.now()
	ack, err := l.js.Publish(ctx, l.subject, []byte(l.holder), jetstream.WithMsgTTL(l.ttl),
		jetstream.WithExpectStream(LocksStream), jetstream.WithExpectLastSequencePerSubject(l.seq))
	switch {
	case wrongLast(err):
		return l.adopt(ctx)
	case err != nil:
		return err
	}
	l.seq = ack.Sequence
	l.since.Store(&asked)
	return nil
}

// adopt looks at the message that was there instead of the expected one: an
// earlier put of ours may have been stored although it failed. Since when is not
// known, so the lock is held no longer for it.
func (l *lock) adopt(ctx context.Context) error {
	if l.seq = l.ours(ctx); l.seq == 0 {
		return errHeld
	}
	return nil
}

// ours is the sequence of our message, 0 where it is not seen.
func (l *lock) ours(ctx context.Context) uint64 {
	m, err := get{LastFor: l.subject}.from(ctx, l.js, LocksStream)
	if err != nil || string(m.Data) != l.holder {
		return 0
	}
	return m.Seq
}

func (l *lock) acquire(ctx context.Context) error {
	retry := time.NewTicker(min(l.ttl/10, 250*time.Millisecond))
	defer retry.Stop()
	for {
		err := l.put(ctx)
		if err == nil && l.since.Load() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, errHeld) {
			return err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// renew says why the lock is not ours any more: it was released, is another's,
// or was not renewed for three quarters of ttl. A renewal that fails is tried
// again until then.
func (l *lock) renew(ctx context.Context) error {
	due := time.NewTicker(l.ttl / 6)
	defer due.Stop()
	for {
		select {
		case <-due.C:
		case <-ctx.Done():
			return errReleased
		}
		switch {
		case l.lapsed():
			return errLapsed
		case l.age() < l.ttl/3:
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, l.ttl*3/4-l.age())
		err := l.put(ctx)
		cancel()
		if errors.Is(err, errHeld) {
			return errHeld
		}
	}
}

// release removes our message, and only ours, also where it seems to be gone: a
// clock that was set forward says so as well. Its sequence may be another's by now:
// a stream that was restored or made anew gives them out again. Where that fails it
// goes after ttl: there is no point in waiting longer for an answer.
func (l *lock) release() {
	ctx, cancel := context.WithTimeout(context.Background(), min(l.ttl, requestWait))
	defer cancel()
	seq := l.ours(ctx)
	if seq == 0 {
		return
	}
	request := struct {
		Seq   uint64 `json:"seq"`
		Quick bool   `json:"no_erase"`
	}{seq, true}
	var answer struct{}
	_ = ask(ctx, l.js, "$JS.API.STREAM.MSG.DELETE."+LocksStream, request, &answer)
}
