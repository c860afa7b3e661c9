package crash

import (
	"math/rand/v2"
	"time"
)

// Strike kills some processes at once, a while after the one before: once so
// many events were acknowledged, or so much time has passed.
type Strike struct {
	Events  int
	After   time.Duration
	Victims []string
}

// Between two strikes passes anything up to twice these: from killing what has
// just been started to leaving everything in peace for a moment. Where work goes
// on all the same the events come first, and where something that all need must
// be started again the time: it is then what the slowest machine is left.
const (
	meanEvents = 40
	meanPause  = 800 * time.Millisecond
)

// Plan is strikes that kill n processes, the last one perhaps some more. The
// same seed, number and victims give the same strikes; what the processes are
// doing when they are struck is another matter and differs from run to run.
func Plan(seed uint64, n int, victims []string) (strikes []Strike) {
	rnd := rand.New(rand.NewPCG(seed, 0x6372617368))
	for n > 0 {
		s := Strike{Events: rnd.IntN(2 * meanEvents), After: time.Duration(rnd.Int64N(int64(2 * meanPause)))}
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
