package gate

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/erasure/ledger"
)

const (
	atOnce  = 5000 // references that are looked for together
	abreast = 4    // times that, under way
)

// survey is what the ledger says, and what is there of that.
type survey struct {
	people  int
	seen    map[uint16]ledger.Seen
	highest map[uint16]uint64       // log index of what was erased behind seen; not there where nothing was
	exports map[seal.Reference]bool // of people: whether they are in the ledger

	mu    sync.Mutex
	back  map[seal.Reference]found
	holds map[seal.Reference]bool
}

// found is what the ledger says of somebody who is back: its last line, but when and
// for what they were erased, as its first has it.
type found struct {
	first, last int // lines
	ledger.Person
}

// and is f with a line about the same person, before or behind what f has. The zero
// found has none.
func (f found) and(line int, p ledger.Person) found {
	switch {
	case f.Tenant == "":
		return found{line, line, p}
	case line < f.first:
		f.first, f.At, f.Request = line, p.At, p.Request
	case line > f.last:
		p.At, p.Request = f.At, f.Request
		f.last, f.Person = line, p
	}
	return f
}

// survey reads the ledger and looks in the keyring for all that it names.
func (g *gate) survey(ctx context.Context) (*survey, error) {
	exports, err := g.Exports.People(ctx)
	if err != nil {
		return nil, err
	}
	for who := range exports {
		exports[who] = false
	}
	s := &survey{exports: exports, seen: map[uint16]ledger.Seen{}, highest: map[uint16]uint64{}, back: map[seal.Reference]found{}, holds: map[seal.Reference]bool{}}
	looking, ctx := errgroup.WithContext(ctx)
	looking.SetLimit(abreast)
	var people []ledger.Person
	var holds []seal.Reference
	err = g.Ledger.Read(ctx, func(e ledger.Entry) error {
		switch e := e.(type) {
		case ledger.Person:
			s.highest[e.Shard] = max(s.highest[e.Shard], e.Index)
			s.exported(e)
			people = append(people, e)
		case ledger.Hold:
			holds = append(holds, seal.Reference{Tenant: e.Tenant, Ref: e.Key})
		case ledger.Seen:
			s.seen[e.Shard] = e
			delete(s.highest, e.Shard)
		}
		if len(people)+len(holds) >= atOnce {
			g.look(ctx, looking, s, people, holds)
			people, holds = nil, nil
		}
		return ctx.Err()
	})
	g.look(ctx, looking, s, people, holds)
	if failed := looking.Wait(); failed != nil {
		return nil, failed
	}
	g.report.Erased = s.people
	return s, err
}

// exported notes that somebody of whom there may be exports was erased.
func (s *survey) exported(p ledger.Person) {
	if _, there := s.exports[referenceOf(p)]; there {
		s.exports[referenceOf(p)] = true
	}
}

// look looks for some lines in the keyring, beside others.
func (g *gate) look(ctx context.Context, looking *errgroup.Group, s *survey, people []ledger.Person, holds []seal.Reference) {
	line := s.people
	s.people += len(people)
	looking.Go(func() error {
		if err := g.lookForPeople(ctx, s, line, people); err != nil {
			return err
		}
		back, err := g.Keyring.ReturnedHolds(ctx, holds)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range back {
			s.holds[r] = true
		}
		return err
	})
}

func (g *gate) lookForPeople(ctx context.Context, s *survey, line int, people []ledger.Person) error {
	refs := make([]seal.Reference, len(people))
	for i, p := range people {
		refs[i] = referenceOf(p)
	}
	back, err := g.Keyring.Returned(ctx, refs)
	if err != nil || len(back) == 0 {
		return err
	}
	is := make(map[seal.Reference]bool, len(back))
	for _, r := range back {
		is[r] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range people {
		if is[refs[i]] {
			s.back[refs[i]] = s.back[refs[i]].and(line+i, p)
		}
	}
	return nil
}

func referenceOf(p ledger.Person) seal.Reference { return seal.Reference{Tenant: p.Tenant, Ref: p.Ref} }
