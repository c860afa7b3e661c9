package faults_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/rescindhq/rescind/internal/faults"
)

func TestAllFaultsInOrder(t *testing.T) {
	t.Parallel()
	var l faults.List
	l.Check(false, "shards %d: want 1 to %d", 0, 64)
	l.Check(true, "not a fault")
	l.Between("skew", time.Hour, 0, time.Minute)
	l.Add(io.EOF)
	l.Add(nil)
	const want = "shards 0: want 1 to 64\nskew 1h0m0s: want 0s to 1m0s\nEOF"
	if err := l.Err(); err == nil || err.Error() != want || !errors.Is(err, io.EOF) {
		t.Errorf("%v, want %s", err, want)
	}
	if err := l.Of("intake"); err == nil || err.Error() != "intake: "+want || !errors.Is(err, io.EOF) {
		t.Errorf("%v, want %s behind what it is of", err, want)
	}
}

func TestNoFaultIsNoError(t *testing.T) {
	t.Parallel()
	var l faults.List
	l.Add(nil)
	l.Check(true, "not a fault")
	if l.Err() != nil || l.Of("intake") != nil {
		t.Errorf("%v, %v: want none", l.Err(), l.Of("intake"))
	}
}

func TestBoundsAreWithin(t *testing.T) {
	t.Parallel()
	for d, ok := range map[time.Duration]bool{
		time.Second - 1: false, time.Second: true, time.Second + 1: true, time.Minute - 1: true, time.Minute: true, time.Minute + 1: false,
	} {
		var l faults.List
		l.Between("period", d, time.Second, time.Minute)
		if (l.Err() == nil) != ok {
			t.Errorf("%s between 1s and 1m: %v", d, l.Err())
		}
	}
}
