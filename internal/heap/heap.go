package heap

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// Goal is how large the heap of a deployment's process may grow before it is
// collected, where what is alive allows that. With what the process takes beside
// its heap it is less than 512 MiB.
const Goal = 320 << 20

const (
	most  = 400         // percent: beyond it little is left to gain
	least = 25          // what is alive is mostly without pointers: a collection is cheap
	every = time.Second // how often it is looked at; what is alive grows slowly
)

// Keep has the collector aim at a heap of goal bytes until stop is called,
// unless the environment says something else.
func Keep(getenv func(string) string, goal uint64) (stop func()) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	k := keeper{goal: goal, set: most}
	before := debug.SetGCPercent(most)
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { k.run(done) })
	return func() {
		close(done)
		running.Wait()
		debug.SetGCPercent(before)
	}
}

// keeper knows what it has set.
type keeper struct {
	goal uint64
	set  int // percent
}

func (k *keeper) run(done <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			k.adjust(alive())
		case <-done:
			return
		}
	}
}

// adjust sets what suits so many bytes that are alive. Small differences are
// left alone: each change stops all goroutines for a moment.
func (k *keeper) adjust(alive uint64) {
	if p := percent(alive, k.goal); p < k.set*9/10 || p > k.set*11/10 {
		debug.SetGCPercent(p)
		k.set = p
	}
}

// percent is how much the heap may grow beyond what is alive.
func percent(alive, goal uint64) int {
	if alive >= goal {
		return least
	}
	return int(min(max((goal-alive)*100/max(alive, 1), least), most))
}

// alive is the bytes that the last collection has found in use; 0 before the
// first.
func alive() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
