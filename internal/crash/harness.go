package crash

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Run says how long and how hard a harness works.
type Run struct {
	Seed  uint64
	Kills int // at least so many processes are killed
}

// Harness carries out the plan of r on a site under load.
func (s *Site) Harness(r Run) {
	s.t.Helper()
	began := time.Now()
	l := StartLoad(s, r.Seed)
	var history []string
	defer func() {
		if s.t.Failed() {
			s.t.Logf("seed %d, strikes:\n%s\nprocesses that ended by themselves:\n%s", r.Seed, strings.Join(history, "\n"), s.Ends())
		}
	}()
	var frozen sync.WaitGroup
	defer frozen.Wait() // who stands still could not stop
	for _, strike := range Plan(r.Seed, r.Kills, s.victims(), s.freezable()) {
		if err := s.pause(strike, l); err != nil {
			s.t.Fatal(err)
		}
		history = append(history, fmt.Sprintf("%7.2fs acknowledged=%d %s", time.Since(began).Seconds(), l.Count(), strike))
		if strike.Freeze > 0 {
			frozen.Go(func() { s.Role(strike.Victims[0]).Freeze(strike.Freeze) })
			continue
		}
		s.strike(strike.Victims)
	}
	frozen.Wait()
	struck := time.Since(began)
	s.Verify(l)
	s.Sound()
	kills, freezes, starts := s.tally()
	if least := kills.total(); l.Count() < least {
		s.t.Errorf("%d events under %d kills: %v", l.Count(), least, errNoProgress)
	}
	s.t.Logf("seed %d: %d kills (%v), %d freezes, %d starts, %d events acknowledged, struck for %s, checked after %s\nended by themselves:\n%s",
		r.Seed, kills.total(), kills, freezes, starts, l.Count(), struck.Round(time.Second), (time.Since(began) - struck).Round(time.Second), s.Ends())
}

// victims is the names of everything that can be killed.
func (s *Site) victims() (names []string) {
	for _, p := range s.processes() {
		names = append(names, p.Name)
	}
	return names
}

// freezable is the names of everything that can be made to stand still: of
// ClickHouse that would only be what supervises it.
func (s *Site) freezable() (names []string) {
	for _, p := range append([]*Process{s.NATS}, s.Roles...) {
		names = append(names, p.Name)
	}
	return names
}

// strike kills all victims at once and returns when they are gone.
func (s *Site) strike(victims []string) {
	s.t.Helper()
	var killing sync.WaitGroup
	for _, name := range victims {
		killing.Go(s.Role(name).Kill)
	}
	killing.Wait()
}

// pause waits until strike is due.
func (s *Site) pause(strike Strike, l *Load) error {
	over := time.NewTimer(strike.After)
	defer over.Stop()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for due := l.progress() + strike.Events; l.progress() < due; {
		select {
		case <-tick.C:
		case <-over.C:
			return nil
		case <-s.t.Context().Done():
			return s.t.Context().Err()
		}
	}
	return nil
}

// tally is kills by victim.
type tally map[string]int

func (k tally) total() (n int) {
	for _, kills := range k {
		n += kills
	}
	return n
}

// String is k in the order of names.
func (k tally) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(k)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, k[name]))
	}
	return strings.Join(parts, ", ")
}

func (s *Site) tally() (kills tally, freezes, starts int) {
	kills = tally{}
	for _, p := range s.processes() {
		kills[p.Name] = p.Kills()
		freezes += p.Freezes()
		starts += p.Starts()
	}
	return kills, freezes, starts
}
