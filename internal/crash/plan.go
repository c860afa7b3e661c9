package crash

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Strike kills some processes at once, or makes one stand still, a while after
// the one before: once so many events were acknowledged, or so much time has
// passed.
type Strike struct {
	Events  int
	After   time.Duration
	Victims []string
	Freeze  time.Duration // the one victim is not killed but stopped for so long
}

// String is s as a line of a history.
func (s Strike) String() string {
	if s.Freeze > 0 {
		return fmt.Sprintf("%v stands still for %s", s.Victims, s.Freeze.Round(time.Millisecond))
	}
	return fmt.Sprint(s.Victims)
}

// Between two strikes passes anything up to twice these: from killing what has
// just been started to leaving everything in peace for a moment. Where work goes
// on all the same the events come first, and where something that all need must
// be started again the time: it is then what the slowest machine is left.
const (
	meanEvents = 40
	meanPause  = 800 * time.Millisecond
)

// A process stands still for longer than the lock of the one that writes lasts
// (2 s), so that another one takes over from it before it wakes.
const (
	leastFreeze = 2500 * time.Millisecond
	mostFreeze  = 5 * time.Second
)

// Plan is strikes that kill n processes, the last one perhaps some more. One in
// ten stops one of those that may be frozen instead, and goes on meanwhile. The
// same seed, number and victims give the same strikes; what the processes are
// doing when they are struck is another matter and differs from run to run.
func Plan(seed uint64, n int, victims, freezable []string) (strikes []Strike) {
	rnd := rand.New(rand.NewPCG(seed, 0x6372617368))
	for n > 0 {
		s := Strike{Events: rnd.IntN(2 * meanEvents), After: time.Duration(rnd.Int64N(int64(2 * meanPause)))}
		if rnd.IntN(10) == 0 && len(freezable) > 0 {
			s.Victims = []string{freezable[rnd.IntN(len(freezable))]}
			s.Freeze = leastFreeze + time.Duration(rnd.Int64N(int64(mostFreeze-leastFreeze)))
			strikes = append(strikes, s)
			continue
		}
		for _, i := range rnd.Perm(len(victims))[:atOnce(rnd.IntN(100), len(victims))] {
			s.Victims = append(s.Victims, victims[i])
		}
		n -= len(s.Victims)
		strikes = append(strikes, s)
	}
	return strikes
}

// atOnce is how many of all are killed together: mostly one, sometimes several,
// now and then everything.
func atOnce(percent, all int) int {
	switch {
	case percent < 75:
		return 1
	case percent < 90:
		return min(2, all)
	case percent < 96:
		return min(3, all)
	default:
		return all
	}
}
