package guard

import (
	"strconv"
	"sync"
	"time"
)

// unverified bounds how often is told of what nobody signed.
type unverified struct {
	most int // in a second

	mu     sync.Mutex
	second time.Time // when the present one began
	told   int       // in it
	since  uint64    // how many were not, since the last that was
	all    uint64    // how many were not
}

// tell reports whether one more is told of now, and how many were not before it.
// The clock is read here and not when a call came, so that calls which waited
// begin no second of their own.
func (u *unverified) tell(now func() time.Time) (untold uint64, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	at := now()
	if age := at.Sub(u.second); age >= time.Second || age < 0 { // the clock was set back
		u.second, u.told = at, 0
	}
	if u.told >= u.most {
		u.since++
		u.all++
		return 0, false
	}
	u.told++
	untold, u.since = u.since, 0
	return untold, true
}

// reportUnverified tells of a call of which nobody knows whose it is.
func (g *Guard) reportUnverified(at time.Time, call Call, refusal *Refusal) {
	untold, ok := g.unverified.tell(g.cfg.Now)
	if !ok {
		return
	}
	ev := g.event(at, call, nil, refusal)
	if untold > 0 {
		ev.Data.Attributes = map[string]string{"untold": strconv.FormatUint(untold, 10)}
	}
	g.cfg.Report.Report(ev)
}

// Untold is how many refusals were not told of, because of UnverifiedPerSecond.
func (g *Guard) Untold() uint64 {
	g.unverified.mu.Lock()
	defer g.unverified.mu.Unlock()
	return g.unverified.all
}
