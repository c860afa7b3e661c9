package gate

import (
	"context"
	"maps"
	"slices"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/erasure/ledger"
)

// complete writes into the ledger what the logs say was erased and it does not,
// and looks for that in the keyring as well.
func (g *gate) complete(ctx context.Context, s *survey, p *past) error {
	if len(p.erased) > 0 && s.people > 0 {
		if err := g.Ledger.Read(ctx, func(e ledger.Entry) error {
			if e, is := e.(ledger.Person); is {
				delete(p.erased, lineOf(e))
			}
			return nil
		}); err != nil {
			return err
		}
	}
	missing := slices.SortedFunc(maps.Values(p.erased), func(a, b ledger.Person) int { return a.At.Compare(b.At) })
	for some := range slices.Chunk(missing, atOnce) {
		if err := g.lookForPeople(ctx, s, s.people, some); err != nil {
			return err
		}
		s.people += len(some)
		entries := make([]ledger.Entry, len(some))
		for i := range some {
			s.exported(some[i])
			entries[i] = some[i]
		}
		if err := g.Ledger.Append(ctx, entries...); err != nil {
			return err
		}
	}
	g.report.Added, g.report.Erased = len(missing), s.people
	return nil
}

// unsaid is the requests of erasure that restored logs hold and do not say to be
// carried out, of people who are in the ledger: with when they were erased first.
func (g *gate) unsaid(ctx context.Context, s *survey, open map[seal.Reference][]*ledger.Person) (unsaid []ledger.Person, err error) {
	if len(open) == 0 {
		return nil, nil
	}
	err = g.Ledger.Read(ctx, func(e ledger.Entry) error {
		if e, is := e.(ledger.Person); is {
			for _, a := range open[referenceOf(e)] {
				if a.At.IsZero() || e.At.Before(a.At) {
					a.At = e.At
				}
			}
		}
		return nil
	})
	for who, requests := range open {
		for _, a := range requests {
			if !a.At.IsZero() && a.Request != s.back[who].Request {
				unsaid = append(unsaid, *a)
			}
		}
	}
	return unsaid, err
}

// lost is the people whose tokens would not be refused any more, because the
// logs that said so end before that.
func (g *gate) lost(ctx context.Context, p *past) (lost []ledger.Person, err error) {
	if len(p.restored) == 0 {
		return nil, nil
	}
	now := g.Now().UnixMilli()
	err = g.Ledger.Read(ctx, func(e ledger.Entry) error {
		who, is := e.(ledger.Person)
		if _, restored := p.restored[who.Shard]; !is || !restored || who.Refused.Hash.IsZero() || int64(who.Refused.Expires) <= now {
			return nil
		}
		if at, there := p.refused[refused{who.Tenant, who.Refused.Hash}]; !there || at < who.Refused.IssuedBefore {
			lost = append(lost, who)
			p.refused[refused{who.Tenant, who.Refused.Hash}] = who.Refused.IssuedBefore
		}
		return nil
	})
	return lost, err
}
