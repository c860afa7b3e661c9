package revocation

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

// ofOne draws revocations of one subject and lifts of some of them, told twice
// and out of order as well.
func ofOne(t *rapid.T) []Entry {
	key, chance := feedKey("acme", 1), rapid.IntRange(0, 3)
	var out []Entry
	for n := range rapid.IntRange(0, 5*crowdRows).Draw(t, "revocations") {
		when := rapid.SampledFrom([]events.Timestamp{ms(-2 * time.Second), ms(-time.Second), ms(0), ms(time.Second), ms(time.Hour)})
		e := revoke(uint64(n+1), key, events.ScopeSubject, someone, when.Draw(t, "cutoff")-ms(0)+someone.IssuedAt)
		e.Expires = when.Draw(t, "expires")
		if chance.Draw(t, "starts") == 0 {
			e.Starts = when.Draw(t, "from")
		}
		out = append(out, e)
		if chance.Draw(t, "lift") == 0 {
			out = append(out, lift(e))
		}
		if chance.Draw(t, "again") == 0 {
			again := e
			again.IssuedBefore, again.Expires, again.Reason = e.IssuedBefore+second, when.Draw(t, "later"), "again"
			out = append(out, again)
		}
	}
	return rapid.Permutation(out).Draw(t, "order")
}

// TestManyOfOneTargetDecideAsTheModel: whether they come one by one or in
// batches, however they are laid out, loaded from a snapshot, and swept or not.
func TestManyOfOneTargetDecideAsTheModel(t *testing.T) {
	t.Parallel()
	keys := []events.FeedKey{feedKey("acme", 1)}
	rapid.Check(t, func(t *rapid.T) {
		entries := ofOne(t)
		s, one := setOf(entries...), setOf()
		for i := range entries {
			one.Apply(entries[i])
		}
		message, err := s.Snapshot(Head{Epoch: 1}, events.Ref{}, signer)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := OpenSnapshot(public, message)
		if err != nil {
			t.Fatal(err)
		}
		loaded := opened.Set(t0.Add(-time.Hour))
		loaded.SetKeys(keys)
		if d := cmp.Diff(s.Entries(), one.Entries(), cmp.AllowUnexported(KeyID{})); d != "" {
			t.Fatal(d)
		}
		for _, sweep := range []bool{false, true} {
			for _, at := range []time.Duration{-1500 * time.Millisecond, 0, time.Second, time.Minute} {
				want := model(entries).decide(someone, keys, t0.Add(at))
				for i, got := range []*Set{s, one, loaded} {
					if sweep {
						got.Sweep(t0.Add(at))
					}
					if d := got.Decide(&someone, t0.Add(at)); d != want {
						t.Fatalf("set %d at %s: %+v, want %+v", i, at, d, want)
					}
				}
			}
		}
	})
}

// TestNoGapWhileATargetBecomesACrowd: at every moment one of its revocations
// has effect, and no decision is made of the moments between, while others
// become crowds and are swept away.
func TestNoGapWhileATargetBecomesACrowd(t *testing.T) {
	t.Parallel()
	key := feedKey("acme", 1)
	for range 10 {
		before := revoke(1, key, events.ScopeSubject, someone, 0)
		s := setOf(before)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := range uint64(20 * crowdRows) {
				e := revoke(n+2, key, events.ScopeSubject, someone, 0)
				s.Apply(e, other(n, key))
				s.Apply(lift(before))
				before = e
				if n%(2*crowdRows) == 0 {
					s.Sweep(t0)
				}
			}
		}()
		for c, more := someone, true; more; {
			if d := s.Decide(&c, t0); d.State != Revoked {
				t.Fatalf("got %+v", d)
			}
			select {
			case <-done:
				more = false
			default:
			}
		}
	}
}

// other is a revocation of somebody else that is over.
func other(n uint64, key events.FeedKey) Entry {
	c := someone
	c.Subject = "somebody else"
	e := revoke(n+1, key, events.ScopeSubject, c, 0)
	e.Expires = ms(-time.Hour)
	return e
}

// TestCrowdsLeaveNothing: not a row, not a number, not what they have in common.
func TestCrowdsLeaveNothing(t *testing.T) {
	t.Parallel()
	s, key := setOf(), feedKey("acme", 1)
	const n = 64*leafRows + 1 // more than one turn of a sweep
	for i := range uint64(n) {
		s.Apply(revoke(i+1, key, events.ScopeSubject, someone, 0))
	}
	if got := len(s.Entries()); got != n || s.Len() != n {
		t.Fatalf("%d entries of %d, want %d", got, s.Len(), n)
	}
	if p := s.dir.Load().page(0); p.n != 1 {
		t.Fatalf("a page of %d rows", p.n)
	}
	if got := s.Sweep(t0.Add(time.Hour)); got != n || s.Len() != 0 {
		t.Fatalf("swept %d, left %d", got, s.Len())
	}
	if s.SetKeys(nil); len(s.kinds.numbers) != 0 || len(s.madeBy) != 0 || s.dir.Load().page(0).n != 0 || len(s.crowds.free) != s.crowds.given {
		t.Fatalf("left behind: %d kinds, %d keys, %d rows, %d of %d numbers", len(s.kinds.numbers), len(s.madeBy), s.dir.Load().page(0).n,
			s.crowds.given-len(s.crowds.free), s.crowds.given)
	}
}

// TestAChangeOfACrowdLeavesTheRest: one more of n is some rows and parts anew,
// and what decides is found in a few, whatever was lifted, has not begun or is
// over.
func TestAChangeOfACrowdLeavesTheRest(t *testing.T) {
	t.Parallel()
	var of kinds
	of.init()
	living := of.take(&kind{known: true})
	lifted := of.take(&kind{known: true, lifted: true})
	const n = 100_000
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{index: uint64(i), cutoff: int64(i + 1), expires: endless, kind: lifted}
		switch {
		case i == 7:
			rows[i].kind = living
		case i > n-1000:
			rows[i].kind, rows[i].starts = living, 100
		case i < 5000:
			rows[i].kind, rows[i].expires = living, 10
		}
	}
	rows[7].expires = endless
	c := newCrowd(slices.Clone(rows), &of)
	best := row{cutoff: none}
	if c.tree.decides(50, &of, &best); best.index != 7 {
		t.Errorf("found %d", best.index)
	}
	more := c.with([]row{{index: n, cutoff: endless, expires: endless, kind: living}}, &of)
	before := leavesOf(&c.tree, nil)
	kept := 0
	for _, l := range leavesOf(&more.tree, nil) {
		if slices.Contains(before, l) {
			kept++
		}
	}
	if kept < len(before)-1 {
		t.Errorf("kept %d leaves of %d", kept, len(before))
	}
}

// TestTheFirstOfACrowdDecides: of two with the same cut-off the one with the
// least index, though the part of the other was looked at first.
func TestTheFirstOfACrowdDecides(t *testing.T) {
	t.Parallel()
	var of kinds
	of.init()
	living := of.take(&kind{known: true})
	rows := make([]row, 3*leafRows)
	for i := range rows {
		rows[i] = row{index: uint64(i), cutoff: 5, expires: endless, kind: living}
	}
	rows[2*leafRows].cutoff, rows[2*leafRows].starts = 10, 100
	c := newCrowd(rows, &of)
	for now, want := range map[int64]uint64{50: 0, 100: 2 * leafRows} {
		best := row{cutoff: none}
		if c.tree.decides(now, &of, &best); best.index != want {
			t.Errorf("at %d row %d decides, want %d", now, best.index, want)
		}
	}
}

// TestACrowdIsSweptInTurns: of so many leaves.
func TestACrowdIsSweptInTurns(t *testing.T) {
	t.Parallel()
	var of kinds
	of.init()
	rows := make([]row, 10*leafRows)
	for i := range rows {
		rows[i] = row{index: uint64(i), expires: int64(1 + i%2)}
	}
	c, budget := newCrowd(rows, &of), 3
	parts, gone := c.tree.without(1, &budget, &of, nil)
	if len(gone) != 3*leafRows/2 {
		t.Errorf("dropped %d rows", len(gone))
	}
	left := grown(parts)
	budget = walkStep
	if _, gone = left.without(1, &budget, &of, nil); len(gone) != 7*leafRows/2 {
		t.Errorf("dropped %d rows after that", len(gone))
	}
}

// leavesOf tells leaves by where their rows are.
func leavesOf(t *tree, out []*row) []*row {
	if t.parts == nil {
		return append(out, &t.rows[0])
	}
	for i := range t.parts {
		out = leavesOf(&t.parts[i], out)
	}
	return out
}

// TestACrowdIsWalkedInTurns: every row of it once, however many leaves a turn
// has.
func TestACrowdIsWalkedInTurns(t *testing.T) {
	t.Parallel()
	var of kinds
	of.init()
	for _, n := range []int{1, leafRows, leafRows*fanout + 1, leafRows*fanout*fanout + 1} {
		rows := make([]row, n)
		for i := range rows {
			rows[i].index = uint64(2 * i)
		}
		c := newCrowd(rows, &of)
		for _, leaves := range []int{1, 3, fanout, walkStep} {
			var seen []row
			for from, more := uint64(0), true; more; more = from <= c.tree.last {
				budget := leaves
				from = c.tree.visit(from, &budget, func(rows []row) { seen = append(seen, rows...) })
				if budget < 0 {
					t.Fatalf("%d leaves in a turn of %d", leaves-budget, leaves)
				}
			}
			if !slices.Equal(seen, rows) {
				t.Fatalf("saw %d rows of %d, %d leaves a turn", len(seen), n, leaves)
			}
		}
	}
}

// TestLookedAtInACrowdIsBounded: what is lifted is passed over by the part.
func TestLookedAtInACrowdIsBounded(t *testing.T) {
	t.Parallel()
	var of kinds
	of.init()
	lifted := of.take(&kind{known: true, lifted: true})
	rows := make([]row, 10_000)
	for i := range rows {
		rows[i] = row{index: uint64(i), cutoff: endless, expires: endless, kind: lifted}
	}
	c := newCrowd(rows, &of)
	if best := (row{cutoff: none}); c.tree.may(0, &best) {
		t.Error("lifted revocations are looked through")
	}
}

// TestThereIsRoomForTheWidestRow: of a page as long as no directory can divide.
func TestThereIsRoomForTheWidestRow(t *testing.T) {
	t.Parallel()
	rows := make([]row, 0, 4000)
	for i := range cap(rows) {
		r := row{hash: hash{1, uint64(i)}, cutoff: 1, starts: 1, expires: 1, kind: uint32(i)}
		rows = append(rows, r)
	}
	last := &rows[len(rows)-1]
	*last = row{hash: last.hash, index: math.MaxUint64, cutoff: seconds(events.MaxTimestamp), starts: seconds(events.MaxTimestamp), expires: seconds(events.MaxTimestamp), kind: math.MaxUint32}
	p := newPage(rows, 0)
	if want := uint16(112 + 12 + 32 + 38 + 64); p.bitsOfTheRow != want {
		t.Errorf("a row of %d bits is told as one of %d", want, p.bitsOfTheRow)
	}
	if d := cmp.Diff(rows, p.rows(nil, 0), cmp.AllowUnexported(row{}, hash{}), equal); d != "" {
		t.Error(d)
	}
}
