package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// TestARebuildEndsWithItsLock: who rebuilds and loses the lock to another goes
// on no longer, and says why.
func TestARebuildEndsWithItsLock(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	js := natsdtest.JetStream(t, s, natsd.Projector)
	locks, err := natsdtest.JetStream(t, s, natsd.Operator).Stream(t.Context(), stream.LocksStream)
	if err != nil {
		t.Fatal(err)
	}
	errEnded := errors.New("ended")
	err = underLock(t.Context(), js, rebuildTTL, func(ctx context.Context) error {
		if err := locks.Purge(t.Context()); err != nil {
			return err
		}
		release, err := stream.AcquireLock(t.Context(), js, migrationLock, time.Minute)
		if err != nil {
			return err
		}
		defer release()
		select {
		case <-ctx.Done():
			return errEnded
		case <-time.After(time.Minute):
			return errors.New("it goes on")
		}
	})
	if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "lock "+migrationLock) {
		t.Errorf("err %v: want that it ended, and why", err)
	}
	if err := underLock(t.Context(), js, rebuildTTL, func(ctx context.Context) error { return ctx.Err() }); err != nil {
		t.Errorf("the next one: %v", err)
	}
}
