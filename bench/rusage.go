package bench

import (
	"syscall"
	"time"
)

// processorTime is the time, user and system, that this process has had of the
// processors. On a shared machine it compares where the clock does not.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // only for people
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
