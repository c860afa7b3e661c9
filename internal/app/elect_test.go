package app

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// TestWhoCannotWriteDoesNotKeepItsTerm: an intake that is cut off from the log and
// not from the elections leaves the lock to one that is not.
func TestWhoCannotWriteDoesNotKeepItsTerm(t *testing.T) {
	t.Parallel()
	s := natsdtest.Start(t)
	proxy := natsdtest.Proxy(t, s)
	work, err := nats.Connect(proxy.URL(), natsd.Options(natsd.Projector, s.CredsFile(natsd.Projector))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(work.Close)
	elections := &bus{js: natsdtest.JetStream(t, s, natsd.Projector)}
	term, resign, err := elect(elections, &bus{nc: work}, 0)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer resign()
	select {
	case <-term.Done():
		t.Fatalf("nothing has happened: %v", context.Cause(term))
	case <-time.After(silence + time.Second):
	}
	proxy.HoldBoth()
	began := time.Now()
	select {
	case <-term.Done():
	case <-time.After(time.Minute):
		t.Fatal("it keeps its term")
	}
	if cause := context.Cause(term); !errors.Is(cause, errSilent) || time.Since(began) < silence/2 {
		t.Errorf("after %s: %v", time.Since(began), cause)
	}
	resign()
	next, leave, err := elect(elections, &bus{nc: natsdtest.Connect(t, s, natsd.Projector)}, 0)(t.Context())
	if err != nil || next.Err() != nil {
		t.Fatalf("the next one: %v, %v", err, context.Cause(next))
	}
	leave()
	if next.Err() == nil {
		t.Error("a term goes on after it was left")
	}
}
