package proposal_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/lane"
	"github.com/rescindhq/rescind/query/proposal"
)

const revoker = "rescind:api"

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// step is one event of proposal p, minutes after the start.
type step struct {
	typ     events.Type
	actor   string
	minutes int
	change  func(*events.Record)
}

func entry(i int, s step) lane.Entry {
	at := start.Add(time.Duration(s.minutes) * time.Minute).UnixMicro()
	r := &events.Record{Tenant: "acme", Source: proposal.Source, Type: s.typ, Actor: s.actor, Time: at, Received: at,
		Attributes: map[string]string{proposal.AttrProposal: "p", proposal.AttrBody: "b1", proposal.AttrScope: "client", proposal.AttrReach: "1200"}}
	if s.typ.RevokedScope() != "" {
		r.Source = revoker
	}
	if s.change != nil {
		s.change(r)
	}
	return lane.Entry{Index: uint64(i), Record: r}
}

// TestStates: what the log says comes to these states, half an hour after the
// last event.
func TestStates(t *testing.T) {
	t.Parallel()
	propose := step{events.RevocationProposed, "ann", 0, nil}
	approve := step{events.RevocationApproved, "bob", 10, nil}
	use := step{events.ClientRevoked, "ann", 20, nil}
	deny := step{events.RevocationDenied, "eve", 15, nil}
	with := func(s step, change func(*events.Record)) step { s.change = change; return s }
	lift := with(propose, func(r *events.Record) { r.Attributes[proposal.AttrLifts] = "r" })
	late := func(s step, minutes int) step { s.minutes = minutes; return s }
	for name, c := range map[string]struct {
		steps []step
		want  proposal.State
	}{
		"proposed":                  {[]step{propose}, proposal.Proposed},
		"approved":                  {[]step{propose, approve}, proposal.Approved},
		"used":                      {[]step{propose, approve, use}, proposal.Used},
		"used without approval":     {[]step{propose, use}, proposal.Proposed},
		"used to lift":              {[]step{propose, approve, with(use, func(r *events.Record) { r.Type = events.RevocationLifted })}, proposal.Approved},
		"a lift, used":              {[]step{lift, approve, with(use, func(r *events.Record) { r.Type = events.RevocationLifted })}, proposal.Used},
		"a lift, used to revoke":    {[]step{lift, approve, use}, proposal.Approved},
		"used twice":                {[]step{propose, approve, use, use}, proposal.Used},
		"denied":                    {[]step{propose, deny}, proposal.Denied},
		"approval taken back":       {[]step{propose, approve, deny, use}, proposal.Denied},
		"denied, then approved":     {[]step{propose, deny, approve}, proposal.Denied},
		"denied after it was used":  {[]step{propose, approve, use, late(deny, 30)}, proposal.Used},
		"approved by themself":      {[]step{propose, with(approve, func(r *events.Record) { r.Actor = "ann" })}, proposal.Proposed},
		"approved as ANN":           {[]step{propose, with(approve, func(r *events.Record) { r.Actor = " ANN" })}, proposal.Proposed},
		"approved by nobody":        {[]step{propose, with(approve, func(r *events.Record) { r.Actor = "" })}, proposal.Proposed},
		"approved for another body": {[]step{propose, with(approve, func(r *events.Record) { r.Attributes[proposal.AttrBody] = "b2" })}, proposal.Proposed},
		"approved by an issuer":     {[]step{propose, with(approve, func(r *events.Record) { r.Source = "issuer" })}, proposal.Proposed},
		"used by an issuer":         {[]step{propose, approve, with(use, func(r *events.Record) { r.Source = "issuer" })}, proposal.Approved},
		"of another tenant":         {[]step{propose, with(approve, func(r *events.Record) { r.Tenant = "globex" })}, proposal.Proposed},
		"approved too late":         {[]step{propose, late(approve, 60)}, proposal.Expired},
		"used too late":             {[]step{propose, approve, late(use, 70)}, proposal.Expired},
		"proposed again":            {[]step{propose, with(late(propose, 5), func(r *events.Record) { r.Actor = "eve" }), late(with(approve, func(r *events.Record) { r.Actor = "ann" }), 6)}, proposal.Proposed},
	} {
		b := proposal.NewBook(proposal.Config{Revoker: revoker})
		last := 0
		for i, s := range c.steps {
			b.Apply(entry(i, s))
			last = max(last, s.minutes)
		}
		p, err := b.Get("p", func(tenant string) bool { return tenant == "acme" })
		if got := p.State(start.Add(time.Duration(last+30) * time.Minute)); got != c.want || err != nil {
			t.Errorf("%s: %s %v, want %s", name, got, err, c.want)
		}
	}
}

// TestApprovalIsForOneBodyAndOneHour.
func TestApprovalIsForOneBodyAndOneHour(t *testing.T) {
	t.Parallel()
	b := proposal.NewBook(proposal.Config{Revoker: revoker})
	b.Apply(entry(0, step{events.RevocationProposed, "ann", 0, nil}))
	get := func() proposal.Proposal {
		p, err := b.Get("p", func(string) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	state := new(proposal.StateError)
	p := get()
	if err := p.Permits("b1", start); !errors.As(err, &state) {
		t.Errorf("not approved: %v", err)
	}
	b.Apply(entry(1, step{events.RevocationApproved, "bob", 10, nil}))
	p = get()
	for at, want := range map[time.Duration]bool{10 * time.Minute: true, 70*time.Minute - 1: true, 70 * time.Minute: false} {
		if err := p.Permits("b1", start.Add(at)); (err == nil) != want {
			t.Errorf("after %s: %v", at, err)
		}
	}
	if err := p.Permits("b2", start.Add(11*time.Minute)); !errors.Is(err, proposal.ErrBody) {
		t.Errorf("another body: %v", err)
	}
	if _, err := b.Get("p", func(tenant string) bool { return tenant == "globex" }); !errors.Is(err, proposal.ErrNotFound) {
		t.Errorf("of another tenant: %v", err)
	}
	if *p.Reach != 1200 || p.Scope != events.ScopeClient || p.ProposedBy != "ann" || p.DecidedBy != "bob" || p.Position != 1 {
		t.Errorf("%+v", p)
	}
}

// TestBookIsBounded: the oldest are forgotten, and the list is the newest first.
func TestBookIsBounded(t *testing.T) {
	t.Parallel()
	b := proposal.NewBook(proposal.Config{Revoker: revoker, Keep: 3})
	for i := range 5 {
		b.Apply(entry(i, step{events.RevocationProposed, "ann", i, func(r *events.Record) { r.Attributes[proposal.AttrProposal] = fmt.Sprint("p", i) }}))
	}
	all := func(string) bool { return true }
	var ids []string
	for _, p := range b.List(all, 10) {
		ids = append(ids, p.ID)
	}
	if fmt.Sprint(ids) != "[p4 p3 p2]" || len(b.List(all, 2)) != 2 {
		t.Error(ids)
	}
	if _, err := b.Get("p1", all); !errors.Is(err, proposal.ErrNotFound) {
		t.Error(err)
	}
}

// TestOneTenantDoesNotCrowdOutAnother: who proposes without end loses their own
// oldest proposals, and nobody else's.
func TestOneTenantDoesNotCrowdOutAnother(t *testing.T) {
	t.Parallel()
	b := proposal.NewBook(proposal.Config{Revoker: revoker, Keep: 3})
	propose := func(i int, tenant string) {
		b.Apply(entry(i, step{events.RevocationProposed, "ann", i, func(r *events.Record) {
			r.Tenant, r.Attributes[proposal.AttrProposal] = tenant, fmt.Sprint(tenant, i)
		}}))
	}
	propose(0, "acme")
	for i := 1; i < 10; i++ {
		propose(i, "globex")
	}
	var ids []string
	for _, p := range b.List(func(string) bool { return true }, 10) {
		ids = append(ids, p.ID)
	}
	if fmt.Sprint(ids) != "[globex9 globex8 acme0]" {
		t.Error(ids)
	}
}

// TestTermsAreCarried: what is described in an event comes back from its record,
// every member, and one that differs is named.
func TestTermsAreCarried(t *testing.T) {
	t.Parallel()
	all := proposal.Terms{Scope: events.ScopeKey, Issuer: "i", Client: "c", KeyID: "k", Expires: 4, Cutoff: 1, Starts: 2, NotAfter: 3, Reason: "r", Ticket: "t", Lifts: "l"}
	d := events.Data{Attributes: map[string]string{}}
	all.Describe(&d)
	b := proposal.NewBook(proposal.Config{Revoker: revoker})
	b.Apply(entry(0, step{events.RevocationProposed, "ann", 0, func(r *events.Record) {
		r.Issuer, r.Client, r.KeyID, r.Expires, r.Reason, r.Ticket = d.Issuer, d.ClientID, d.KeyID, d.Expires, d.Reason, d.Ticket
		maps.Copy(r.Attributes, d.Attributes)
	}}))
	p, err := b.Get("p", func(string) bool { return true })
	if err != nil || p.Terms != all {
		t.Errorf("%+v %v", p.Terms, err)
	}
	for i := range reflect.TypeFor[proposal.Terms]().NumField() {
		other := all
		reflect.ValueOf(&other).Elem().Field(i).SetZero()
		name := reflect.TypeFor[proposal.Terms]().Field(i).Tag.Get("json")
		if got := all.Differ(other); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
