package stream_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

func TestEventSubjectParsesToItself(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tenant := rapid.StringMatching(`[a-zA-Z0-9_-]{1,64}`).Draw(t, "tenant")
		typ := rapid.SampledFrom(events.Types()).Draw(t, "type")
		gotTenant, gotType, err := stream.ParseEventSubject(stream.EventSubject(tenant, typ))
		if err != nil || gotTenant != tenant || gotType != typ {
			t.Fatalf("got %q, %q, %v", gotTenant, gotType, err)
		}
		gotTenant, gotType, err = stream.ParseEventSubject(stream.ServiceSubject(tenant, typ))
		if err != nil || gotTenant != tenant || gotType != typ {
			t.Fatalf("of a service: got %q, %q, %v", gotTenant, gotType, err)
		}
	})
}

func TestMalformedEventSubjectNamesNoKnownType(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "rescind", "rescind.events", "rescind.events.", "rescind.events.acme", "rescind.events.acme.", "rescind.events.acme.token",
		"rescind.events.acme.token.issued.v1", "rescind.events.acme.token.issued.service.service", "rescind.events.acme.token.service", "rescind.events.acme.service", "rescind.events.ac me.token.issued", "rescind.events.*.token.issued",
		"rescind.events..token.issued", "rescind.log.control", "token.issued",
	} {
		tenant, typ, err := stream.ParseEventSubject(s)
		if err == nil {
			t.Errorf("%q: parsed as tenant %q, type %q", s, tenant, typ)
		}
		if typ == "" || typ.Known() && events.ValidTenant(tenant) {
			t.Errorf("%q: tenant %q and type %q would let an event on it pass", s, tenant, typ)
		}
	}
}

func TestUnknownTypeParses(t *testing.T) {
	t.Parallel()
	tenant, typ, err := stream.ParseEventSubject("rescind.events.acme.token.invented")
	if err != nil || tenant != "acme" || typ.Known() || typ.Name() != "token.invented" {
		t.Fatalf("got %q, %q, %v", tenant, typ, err)
	}
}

func FuzzParseEventSubject(f *testing.F) {
	f.Add("rescind.events.acme.token.issued")
	f.Add("rescind.events.acme.token")
	f.Add("rescind.events.acme.token.issued.service")
	f.Fuzz(func(t *testing.T, s string) {
		tenant, typ, err := stream.ParseEventSubject(s)
		if err == nil && stream.EventSubject(tenant, typ) != s && stream.ServiceSubject(tenant, typ) != s {
			t.Fatalf("%q parsed as %q, %q", s, tenant, typ)
		}
	})
}

func TestEveryTypeHasASubjectOfItsOwn(t *testing.T) {
	t.Parallel()
	var all []string
	for _, typ := range events.Types() {
		all = append(all, stream.EventSubject("acme", typ))
	}
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != len(events.Types()) {
		t.Fatalf("%d subjects for %d types", n, len(events.Types()))
	}
}
