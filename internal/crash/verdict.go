package crash

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/rescindhq/rescind/internal/crash/checker"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

// Check is one look at what is left when the load has stopped. To have
// something else look as well, such as a command, append to [Checks]'s result.
type Check struct {
	Name string
	Run  func(context.Context) ([]checker.Fault, error)
}

// Checks is every check of a site: the log and what was acknowledged, the
// tables, the revocations. They are run in order, once nothing moves any more.
func (s *Site) Checks(l *Load) []Check {
	var log *checker.Log
	return []Check{
		{"log", func(ctx context.Context) (faults []checker.Fault, err error) {
			if log, err = checker.ReadLog(ctx, s.Streams()); err != nil {
				return nil, err
			}
			return append(log.Faults, log.Holds(l.Acked(), l.Published)...), nil
		}},
		{"tables", func(ctx context.Context) ([]checker.Fault, error) { return log.Tables(ctx, s.Database()) }},
		{"revocations", func(context.Context) ([]checker.Fault, error) { return s.revocations(l, log) }},
		{"quarantine", s.quarantine},
		{"refused", func(context.Context) (faults []checker.Fault, err error) {
			for _, r := range l.refused {
				faults = append(faults, checker.Fault("a publisher was refused: "+r))
			}
			return faults, nil
		}},
	}
}

// Verify stops the load, waits until all of it has arrived, and fails the test
// for whatever a check finds.
func (s *Site) Verify(l *Load) {
	s.t.Helper()
	l.Stop()
	s.Settle()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for _, c := range s.Checks(l) {
		faults, err := c.Run(ctx)
		if err != nil {
			s.t.Fatalf("check %s: %v", c.Name, err)
		}
		for _, f := range faults {
			s.t.Errorf("%s: %s", c.Name, f)
		}
	}
	s.t.Logf("%d events and %d revocations acknowledged, %d calls without an answer, %d repeated on purpose: each in the log once and in ClickHouse once",
		l.Count(), len(l.revoked), l.unsure, l.repeats)
}

// Settle waits until the intake is empty and ClickHouse has recorded the whole
// log, and both stay so.
func (s *Site) Settle() {
	s.t.Helper()
	js, db := s.Streams(), s.Database()
	var before uint64
	s.Await("everything in its place", func() error {
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		defer cancel()
		waiting, err := js.Stream(ctx, "RESCIND_INTAKE")
		if err != nil {
			return err
		}
		log, err := js.Stream(ctx, "RESCIND_LOG")
		if err != nil {
			return err
		}
		var recorded uint64
		if err := db.QueryRow(ctx, "SELECT max(seq) FROM batches").Scan(&recorded); err != nil {
			return err
		}
		left, last := waiting.CachedInfo().State.Msgs, log.CachedInfo().State.LastSeq
		if stood := before == last; left > 0 || recorded != last || !stood {
			before = last
			return fmt.Errorf("%d messages wait, %d of %d batches are recorded", left, recorded, last)
		}
		return nil
	})
}

// Recorded is the sequence of the last batch that ClickHouse has recorded, or 0
// where it does not say.
func (s *Site) Recorded() (seq uint64) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Database().QueryRow(ctx, "SELECT max(seq) FROM batches").Scan(&seq); err != nil {
		return 0
	}
	return seq
}

// Records is nil once ClickHouse has recorded n more batches than when it was
// called.
func (s *Site) Records(n uint64) func() error {
	from := s.Recorded()
	return func() error {
		if now := s.Recorded(); now < from+n {
			return fmt.Errorf("batch %d is recorded, want %d", now, from+n)
		}
		return nil
	}
}

// Follow is the view of a verifier that starts now and runs until the test
// ends.
func (s *Site) Follow() *feed.Feed {
	s.t.Helper()
	key, err := s.keys.FeedPublicKey()
	s.must(err)
	f := feed.New(feed.Config{Conn: s.Connect(natsd.Verifier), PublicKey: key})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Errorf("a verifier: %v", err)
		}
	})
	return f
}

// revocations asks a verifier that was there all the time, and one that starts
// now, about every token that was revoked, and about some that were not.
func (s *Site) revocations(l *Load, log *checker.Log) (faults []checker.Fault, err error) {
	var want uint64
	for _, b := range log.Batches {
		if b.Lane == "control" {
			want = b.Size - 1
		}
	}
	for who, f := range map[string]*feed.Feed{"a verifier that was there": l.follower, "a verifier that starts now": s.Follow()} {
		s.Await(who, func() error {
			if st := f.Status(); st.Doubt != "" || st.Position < want {
				return fmt.Errorf("at %d of %d, doubt %q", st.Position, want, st.Doubt)
			}
			return nil
		})
		for _, c := range l.revoked {
			if d := f.Decide(c); d.State != revocation.Revoked {
				faults = append(faults, checker.Fault(fmt.Sprintf("%s does not enforce an acknowledged revocation: jti=%s is %s", who, c.TokenID, d.State)))
			}
		}
		for _, c := range l.active {
			if d := f.Decide(c); d.State != revocation.Active {
				faults = append(faults, checker.Fault(fmt.Sprintf("%s refuses what nobody revoked: jti=%s is %s %s", who, c.TokenID, d.State, d.Cause)))
			}
		}
	}
	return faults, nil
}

// quarantine is empty, as every event was valid.
func (s *Site) quarantine(ctx context.Context) ([]checker.Fault, error) {
	q, err := s.Streams().Stream(ctx, "RESCIND_QUARANTINE")
	if err != nil {
		return nil, err
	}
	if n := q.CachedInfo().State.Msgs; n > 0 {
		return []checker.Fault{checker.Fault(fmt.Sprintf("%d valid events are in quarantine", n))}, nil
	}
	return nil, nil
}

// never is what no process may say, whatever is done to it from outside.
var never = []string{
	"DATA RACE", "panic:", "fatal error:", `"msg":"defect"`, "contradicts itself", "disagree with the log",
	"is not to be followed", "was replaced or rolled back", "events may have been lost",
}

// Sound fails the test if a process has said what it must never say.
func (s *Site) Sound() {
	s.t.Helper()
	for _, p := range s.processes() {
		for _, text := range never {
			if line, said := p.Said(text); said {
				s.t.Errorf("%s said: %s", p.Name, line)
			}
		}
	}
}

// ofConnection is what makes two connections that broke alike two reasons.
var ofConnection = regexp.MustCompile(`127\.0\.0\.1:\d+->`)

// Ends is why processes ended by themselves, and how often.
func (s *Site) Ends() string {
	count := map[string]int{}
	var order []string
	for _, p := range s.processes() {
		for _, why := range p.Ends() {
			why = ofConnection.ReplaceAllString(why, "")
			if count[p.Name+" "+why]++; count[p.Name+" "+why] == 1 {
				order = append(order, p.Name+" "+why)
			}
		}
	}
	var b strings.Builder
	for _, why := range order {
		fmt.Fprintf(&b, "  %d × %s\n", count[why], why)
	}
	return b.String()
}

var errNoProgress = errors.New("next to nothing was acknowledged")
