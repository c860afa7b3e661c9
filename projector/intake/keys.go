package intake

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/internal/sleep"
)

// keyAttempts is how often the keyring is asked before events are held: for
// about half a second.
const keyAttempts = 6

// ask asks the keyring until it answers.
func (l *lane) ask(ctx context.Context, question func() error) error {
	for failures := 0; ; failures++ {
		err := l.in.guard("keyring", question)
		if err == nil || failures == keyAttempts || poison(err) {
			return err
		}
		if sleep.Backoff(ctx, failures) != nil {
			return err
		}
	}
}

// poison reports whether asking again cannot help: an entry of the keyring is
// damaged, or one of those that were asked for is our defect.
func poison(err error) bool { return errors.Is(err, seal.ErrSealed) || errors.Is(err, errDefect) }

// tenantKeys is a tenant's keys with the one that seals what names no person.
type tenantKeys struct {
	*seal.Tenant
	own seal.SubjectKey
}

// unlock gives each event its tenant's keys. Events of a tenant whose keys
// cannot be had are held.
func (l *lane) unlock(ctx context.Context, c *chunk) {
	known := map[string]*tenantKeys{}
	for i := range c.candidates {
		k := &c.candidates[i]
		if !k.live() {
			continue
		}
		keys, asked := known[k.event.Tenant]
		if !asked {
			keys = l.keysOf(ctx, k.event.Tenant)
			known[k.event.Tenant] = keys
		}
		if k.tenant = keys; keys == nil {
			k.hold()
		}
	}
}

// keysOf is the keys of a tenant, nil where they cannot be had.
func (l *lane) keysOf(ctx context.Context, name string) *tenantKeys {
	k := new(tenantKeys)
	err := l.ask(ctx, func() (err error) {
		if k.Tenant, err = l.cfg.Keyring.Tenant(ctx, name); err == nil {
			k.own, err = l.cfg.Keyring.TenantKey(ctx, name)
		}
		return err
	})
	if err != nil {
		l.cfg.Logger.Error("no keys of a tenant, holding its events", "err", err)
		return nil
	}
	return k
}

// people gives each event of cs that names a person the place of that person's
// key among those it returns. Where the keyring cannot be reached events are
// held; where the entry of one person is damaged, that person's events are
// refused as defects.
func (l *lane) people(ctx context.Context, cs []*chunk) []seal.SubjectKey {
	keys, errs := l.subjects(ctx, l.enumerate(cs))
	if errs == nil {
		return keys
	}
	for _, c := range cs {
		c.without(errs)
	}
	return keys
}

// enumerate is the people that events of cs name, each once, and notes their
// places in the events.
func (l *lane) enumerate(cs []*chunk) []seal.Person {
	people := make([]seal.Person, 0, len(cs[0].candidates))
	if l.places == nil {
		l.places = map[seal.Person]int{}
	}
	defer clear(l.places)
	for _, c := range cs {
		for i := range c.candidates {
			k := &c.candidates[i]
			if !k.live() || k.event.Data.Subject == "" {
				continue
			}
			p := seal.Person{Tenant: k.event.Tenant, Issuer: k.event.Data.Issuer, Subject: k.event.Data.Subject}
			place, known := l.places[p]
			if !known {
				place = len(people)
				l.places[p] = place
				people = append(people, p)
			}
			k.person = place
		}
	}
	return people
}

// without ends the events whose person's key could not be had: errs says why.
func (c *chunk) without(errs []error) {
	for i := range c.candidates {
		switch k := &c.candidates[i]; {
		case !k.live() || k.person < 0 || errs[k.person] == nil:
		case poison(errs[k.person]):
			k.defect()
		default:
			k.hold()
		}
	}
}

// keyOf is what k is sealed under.
func (k *candidate) keyOf(people []seal.SubjectKey) *seal.SubjectKey {
	if k.person < 0 {
		return &k.tenant.own
	}
	return &people[k.person]
}

// subjects is the key of each of people, or why there is none: no errors where
// each has one.
func (l *lane) subjects(ctx context.Context, people []seal.Person) (keys []seal.SubjectKey, errs []error) {
	if len(people) == 0 {
		return nil, nil
	}
	err := l.ask(ctx, func() (err error) {
		keys, err = l.cfg.Keyring.Subjects(ctx, people)
		return err
	})
	if err == nil {
		return keys, nil
	}
	keys, errs = make([]seal.SubjectKey, len(people)), make([]error, len(people))
	switch {
	case poison(err):
		l.cfg.Logger.Error("a damaged entry in the keyring, asking for each subject alone", "count", len(people), "err", err)
		l.subjectsApart(ctx, people, keys, errs)
	default:
		l.cfg.Logger.Error("no keys of subjects, holding their events", "count", len(people), "err", err)
		for i := range errs {
			errs[i] = err
		}
	}
	return keys, errs
}

// subjectsApart asks for each person alone, several at once.
func (l *lane) subjectsApart(ctx context.Context, people []seal.Person, keys []seal.SubjectKey, errs []error) {
	var g errgroup.Group
	g.SetLimit(inFlight)
	for i := range people {
		g.Go(func() error {
			errs[i] = l.in.guard("keyring", func() error {
				one, err := l.cfg.Keyring.Subjects(ctx, people[i:i+1])
				if err == nil {
					keys[i] = one[0]
				}
				return err
			})
			return nil
		})
	}
	_ = g.Wait() // errors are in errs
}
