package intake

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// TestRevocationTellsVerifiers publishes a revocation of each scope and reads
// what its record says.
func TestRevocationTellsVerifiers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// The clock stands still, so that what is derived from it is known.
	now := time.Now().UTC().Truncate(time.Millisecond)
	r.start(func(c *Config) {
		c.Now = func() time.Time { return now }
		c.MaxLifetime, c.Skew = 2*time.Hour, 3*time.Minute
	})
	const skew, lifetime = events.Timestamp(3 * 60_000), events.Timestamp(2 * 3600_000)
	at := now.Add(-time.Minute)
	ts, received := events.TimestampOf(at), events.TimestampOf(now)
	soon, far, before := received+60_000, received+10*3600_000, received-3600_000

	event := func(id string, typ events.Type, d events.Data) events.Event {
		d.Issuer = issuer
		return events.Event{ID: id, Source: "s", Type: typ, Time: at, Tenant: "acme", Environment: "test", Data: d}
	}
	evs := []events.Event{
		event("token", events.TokenRevoked, events.Data{TokenID: "j1", Expires: soon}),
		event("token of unknown expiry", events.TokenRevoked, events.Data{TokenID: "j2"}),
		event("session", events.SessionRevoked, events.Data{SessionID: "s1"}),
		event("short session", events.SessionRevoked, events.Data{SessionID: "s1", Expires: soon}),
		event("long session", events.SessionRevoked, events.Data{SessionID: "s1", Expires: far}),
		event("endless session", events.SessionRevoked, events.Data{SessionID: "s1", Expires: events.MaxTimestamp}),
		event("subject", events.SubjectRevoked, events.Data{Subject: "alice@example.com"}),
		event("subject before", events.SubjectRevoked, events.Data{Subject: "alice@example.com", IssuedBefore: before}),
		event("client", events.ClientRevoked, events.Data{ClientID: "app", IssuedBefore: before}),
		event("key", events.KeyRevoked, events.Data{KeyID: "k1"}),
		event("issuer", events.IssuerRevoked, events.Data{IssuedBefore: before}),
		event("tenant", events.TenantRevoked, events.Data{IssuedBefore: before}),
		event("grant", events.GrantRevoked, events.Data{GrantID: "g1"}),
		event("scheduled", events.SubjectRevoked, events.Data{Subject: "bob@example.com", Starts: far}),
		event("scheduled session", events.SessionRevoked, events.Data{SessionID: "s2", Starts: far}),
		event("suspended", events.KeyRevoked, events.Data{KeyID: "k2", Starts: soon, NotAfter: soon + 1}),
		event("suspended for longer than needed", events.TokenRevoked, events.Data{TokenID: "j3", Expires: soon, NotAfter: far}),
		event("verified", events.TokenVerified, events.Data{TokenID: "j1"}),
	}
	r.publish(evs...)
	r.drained()

	tenant, err := r.keyring.Tenant(t.Context(), "acme")
	r.check(err)
	entry := func(scope events.Scope, iss, id string, cut, expires events.Timestamp) *events.Revocation {
		feed := tenant.FeedKeyFor(scope, expires.Time().Sub(now))
		return &events.Revocation{Scope: scope, Hash: feed.Hash(scope, iss, id), IssuedBefore: cut, Expires: expires, FeedKey: feed.Generation}
	}
	term := func(r *events.Revocation, starts, notAfter events.Timestamp) *events.Revocation {
		r.Starts, r.NotAfter = starts, notAfter
		return r
	}
	want := map[string]*events.Revocation{
		"token":                   entry(events.ScopeToken, issuer, "j1", 0, soon+skew),
		"token of unknown expiry": entry(events.ScopeToken, issuer, "j2", 0, received+lifetime+skew),
		"session":                 entry(events.ScopeSession, issuer, "s1", 0, received+lifetime+skew),
		"short session":           entry(events.ScopeSession, issuer, "s1", 0, received+lifetime+skew),
		"long session":            entry(events.ScopeSession, issuer, "s1", 0, far+skew),
		"endless session":         entry(events.ScopeSession, issuer, "s1", 0, events.MaxTimestamp+skew),
		"subject":                 entry(events.ScopeSubject, issuer, "alice@example.com", ts, ts+lifetime+skew),
		"subject before":          entry(events.ScopeSubject, issuer, "alice@example.com", before, before+lifetime+skew),
		"client":                  entry(events.ScopeClient, issuer, "app", before, before+lifetime+skew),
		"key":                     entry(events.ScopeKey, issuer, "k1", 0, events.MaxTimestamp),
		"issuer":                  entry(events.ScopeIssuer, issuer, "", before, before+lifetime+skew),
		"tenant":                  entry(events.ScopeTenant, "", "", before, before+lifetime+skew),
		"grant":                   entry(events.ScopeGrant, issuer, "g1", 0, received+lifetime+skew),
		"scheduled":               term(entry(events.ScopeSubject, issuer, "bob@example.com", far, far+lifetime+skew), far, 0),
		"scheduled session":       term(entry(events.ScopeSession, issuer, "s2", 0, far+lifetime+skew), far, 0),
		"suspended":               term(entry(events.ScopeKey, issuer, "k2", 0, soon+1), soon, soon+1),
		"verified":                nil,

		"suspended for longer than needed": term(entry(events.ScopeToken, issuer, "j3", 0, soon+skew), 0, far),
	}
	got := map[string]*events.Revocation{}
	for id, e := range r.facts() {
		got[id] = e.Revocation
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestACutoffOfAScopeThatHasNoneIsNothing: earlier publishers said one. What they
// revoke is not to wait in quarantine, and is revoked as it is without, also for
// the controls.
func TestACutoffOfAScopeThatHasNoneIsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	r.start(func(c *Config) { c.Now = func() time.Time { return now } })
	ago := now.Add(-time.Hour)
	revoking := func(id string, typ events.Type, d events.Data) events.Event {
		d.Issuer = issuer
		return events.Event{ID: id, Source: "s", Type: typ, Time: ago, Tenant: "acme", Environment: "test", Data: d}
	}
	of := map[events.Type]events.Data{
		events.TokenRevoked: {TokenID: "j1"}, events.SessionRevoked: {SessionID: "s1"}, events.GrantRevoked: {GrantID: "g1"}, events.KeyRevoked: {KeyID: "k1"},
	}
	cutoffs := map[string]events.Timestamp{"past": events.TimestampOf(ago.Add(-time.Hour)), "ahead": events.TimestampOf(now.Add(48 * time.Hour))}
	for typ, d := range of {
		r.publish(revoking("plain "+string(typ), typ, d))
		for name, cut := range cutoffs {
			d.IssuedBefore = cut
			r.publish(revoking(name+" "+string(typ), typ, d))
		}
	}
	other := of[events.KeyRevoked]
	other.KeyID, other.IssuedBefore = "k2", cutoffs["past"]
	r.publish(revoking("other key", events.KeyRevoked, other))
	r.publish(signedBy("by k1", "k1"), signedBy("by k2", "k2"))
	r.drained()

	if got := r.reasons(); len(got) != 0 {
		t.Errorf("refused: %v", got)
	}
	facts := r.facts()
	for typ := range of {
		plain := facts["plain "+string(typ)]
		if plain.Record == nil || plain.Revocation == nil || plain.Revocation.IssuedBefore != 0 {
			t.Fatalf("%s: %+v", typ, plain)
		}
		for name := range cutoffs {
			got := facts[name+" "+string(typ)]
			if got.Record == nil {
				t.Errorf("%s, cut-off %s: not logged", typ, name)
				continue
			}
			got.Record.ID = plain.ID
			if d := cmp.Diff(plain.Record, got.Record, cmpopts.IgnoreFields(events.Record{}, "PayloadHash")); d != "" {
				t.Errorf("%s, cut-off %s: %s", typ, name, d)
			}
		}
	}
	found := map[string][]string{}
	for _, e := range r.records() {
		if c := e.Attributes["cause"]; c != "" {
			found[c] = append(found[c], e.Attributes["control"])
		}
	}
	k1, k2 := found[facts["by k1"].Ref().String()], found[facts["by k2"].Ref().String()]
	if d := cmp.Diff(k1, k2); d != "" || !slices.Contains(k1, "key-retired") {
		t.Errorf("findings about a key that was revoked: %v, and with a cut-off: %v", k1, k2)
	}
}

func TestLiftNamesWhatItLifts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	r.start(func(c *Config) { c.Now = func() time.Time { return now } })
	r.publish(revoked("x"))
	r.drained()
	revocation := r.facts()["revocation-of-x"]
	lift := func(id string, exp events.Timestamp, scope events.Scope, more map[string]string) events.Event {
		a := map[string]string{"revocation": revocation.Ref().String(), "position": "41", "hash": revocation.Revocation.Hash.String(), "scope": string(scope)}
		maps.Copy(a, more)
		return events.Event{
			ID: id, Source: "s", Type: events.RevocationLifted, Time: now, Tenant: "acme", Environment: "test", Data: events.Data{Expires: exp, Attributes: a},
		}
	}
	tenant, err := r.keyring.Tenant(t.Context(), "acme")
	r.check(err)
	under := map[string]string{"feed_key": "7"}
	far := events.TimestampOf(now.Add(100 * time.Hour))
	r.publish(lift("for ever", 0, events.ScopeToken, under), lift("until", far, events.ScopeToken, under), lift("soon", events.TimestampOf(now), events.ScopeToken, under),
		lift("key", 0, events.ScopeKey, under), lift("key by anybody's word", far, events.ScopeKey, under))
	for _, own := range []events.Event{lift("suspended key", far, events.ScopeKey, under), lift("key of no generation", far, events.ScopeKey, nil)} {
		own.Source = "rescind:api"
		b, err := events.MarshalEvent(&own)
		r.check(err)
		r.send(stream.ServiceSubject(own.Tenant, own.Type), events.ContentTypeEvent, b)
	}
	r.drained()
	facts := r.facts()
	for id, want := range map[string]*events.Revocation{
		"for ever":              {Scope: events.ScopeToken, FeedKey: 7, Expires: events.MaxTimestamp},
		"until":                 {Scope: events.ScopeToken, FeedKey: 7, Expires: far + 60_000},
		"soon":                  {Scope: events.ScopeToken, FeedKey: 7, Expires: events.TimestampOf(now.Add(24*time.Hour + time.Minute))},
		"key":                   {Scope: events.ScopeKey, FeedKey: 7, Expires: events.MaxTimestamp},
		"key by anybody's word": {Scope: events.ScopeKey, FeedKey: 7, Expires: events.MaxTimestamp},
		"suspended key":         {Scope: events.ScopeKey, FeedKey: 7, Expires: far + 60_000},
		"key of no generation":  {Scope: events.ScopeKey, FeedKey: tenant.FeedKeyFor(events.ScopeKey, 0).Generation, Expires: far + 60_000},
	} {
		want.Hash, want.Lifts, want.LiftsIndex = revocation.Revocation.Hash, revocation.Ref(), 41
		if d := cmp.Diff(want, facts[id].Revocation); d != "" {
			t.Errorf("%s: %s", id, d)
		}
	}
}

func TestMalformedLiftIsRefused(t *testing.T) {
	t.Parallel()
	w := &lane{cfg: &Config{}}
	good := map[string]string{"revocation": "0123456789abcdef0123456789abcdef", "position": "7", "hash": "0123456789abcdef0123456789abcdef", "scope": "token"}
	for name, bad := range map[string]string{"revocation": "12", "hash": "", "scope": "world", "position": "07"} {
		c := &candidate{event: &events.Event{Type: events.RevocationLifted, Data: events.Data{Attributes: map[string]string{}}}}
		for k, v := range good {
			c.event.Data.Attributes[k] = v
		}
		c.event.Data.Attributes[name] = bad
		if r, refusal := w.revocation(c, time.Now()); r != nil || refusal == nil || refusal.Reason != events.ReasonSchema {
			t.Errorf("%s: %v, %v", name, r, refusal)
		}
	}
}
