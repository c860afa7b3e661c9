package intake

import (
	"runtime"
	"sync"
)

// smallShare is how many events at least a goroutine is worth.
const smallShare = 64

// parallel calls do for 0 to n-1, in no order, on as many processors as there
// are shares, and returns when all have returned. A panic in do ends the
// process: guard it.
func parallel(n, share int, do func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), (n+share-1)/share)
	if workers <= 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for i := k; i < n; i += workers {
				do(i)
			}
		})
	}
	wg.Wait()
}
