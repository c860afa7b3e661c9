package intake

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/rescindhq/rescind/events/seal"
)

// keyAttempts is how often the keyring is asked before events are held: for
// about half a second.
const keyAttempts = 6

// ask asks the keyring until it answers.
func (w *writer) ask(ctx context.Context, question func() error) error {
	for failures := 0; ; failures++ {
		err := question()
		if err == nil || failures == keyAttempts || poison(err) {
			return err
		}
		if pause(ctx, failures) != nil {
			return err
		}
	}
}

// poison reports whether asking again cannot help: an entry of the keyring is
// damaged.
func poison(err error) bool { return errors.Is(err, seal.ErrSealed) }

// tenantKeys is a tenant's keys with the one that seals what names no person.
type tenantKeys struct {
	*seal.Tenant
	own seal.SubjectKey
}

// tenants is the keys of each tenant that is named, nil for those that cannot
// be had.
func (w *writer) tenants(ctx context.Context, candidates []*candidate) map[string]*tenantKeys {
	out := map[string]*tenantKeys{}
	for _, c := range candidates {
		name := c.event.Tenant
		if _, asked := out[name]; asked || !c.live() {
			continue
		}
		var k tenantKeys
		err := w.ask(ctx, func() (err error) {
			if k.Tenant, err = w.cfg.Keyring.Tenant(ctx, name); err == nil {
				k.own, err = w.cfg.Keyring.TenantKey(ctx, name)
			}
			return err
		})
		if err != nil {
			out[name] = nil
			w.cfg.Logger.Error("no keys of a tenant, holding its events", "err", err)
			continue
		}
		out[name] = &k
	}
	return out
}

// people gives each event that names a person that person's key, and every
// other its tenant's. Where the keyring cannot be reached events are held; where
// the entry of one person is damaged, that person's events are refused as
// defects.
func (w *writer) people(ctx context.Context, candidates []*candidate) {
	var people []seal.Person
	of := map[seal.Person][]*candidate{}
	for _, c := range candidates {
		switch p := c.person(); {
		case !c.live():
		case p.Subject == "":
			c.key = c.tenant.own
		case of[p] == nil:
			people = append(people, p)
			fallthrough
		default:
			of[p] = append(of[p], c)
		}
	}
	keys, errs := w.subjects(ctx, people)
	for i, p := range people {
		for _, c := range of[p] {
			switch {
			case errs[i] == nil:
				c.key = keys[i]
			case poison(errs[i]):
				c.defect()
			default:
				c.hold()
			}
		}
	}
}

func (c *candidate) person() seal.Person {
	return seal.Person{Tenant: c.event.Tenant, Issuer: c.event.Data.Issuer, Subject: c.event.Data.Subject}
}

// subjects is the key of each of people, or why there is none.
func (w *writer) subjects(ctx context.Context, people []seal.Person) ([]seal.SubjectKey, []error) {
	keys, errs := make([]seal.SubjectKey, len(people)), make([]error, len(people))
	if len(people) == 0 {
		return keys, errs
	}
	err := w.ask(ctx, func() error {
		all, err := w.cfg.Keyring.Subjects(ctx, people)
		copy(keys, all)
		return err
	})
	switch {
	case err == nil:
	case poison(err):
		w.cfg.Logger.Error("a damaged entry in the keyring, asking for each subject alone", "count", len(people), "err", err)
		w.subjectsApart(ctx, people, keys, errs)
	default:
		w.cfg.Logger.Error("no keys of subjects, holding their events", "count", len(people), "err", err)
		for i := range errs {
			errs[i] = err
		}
	}
	return keys, errs
}

// subjectsApart asks for each person alone, several at once.
func (w *writer) subjectsApart(ctx context.Context, people []seal.Person, keys []seal.SubjectKey, errs []error) {
	var g errgroup.Group
	g.SetLimit(inFlight)
	for i := range people {
		g.Go(func() error {
			one, err := w.cfg.Keyring.Subjects(ctx, people[i:i+1])
			if err == nil {
				keys[i] = one[0]
			}
			errs[i] = err
			return nil
		})
	}
	_ = g.Wait() // errors are in errs
}
