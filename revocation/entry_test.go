package revocation

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
)

func TestEntryOfEveryType(t *testing.T) {
	t.Parallel()
	for _, typ := range events.Types() {
		r := events.Record{Type: typ, Tenant: "acme", Source: "s", ID: "1", Received: 5_000_000, Reason: "why",
			Revocation: &events.Revocation{Scope: typ.RevokedScope(), Hash: ref(1), IssuedBefore: 4, Expires: 9, FeedKey: 2}}
		var want Entry
		switch {
		case typ == events.RevocationLifted:
			r.Revocation.Lifts, r.Revocation.Scope = ref(7), events.ScopeToken
			want = Entry{Hash: ref(1), ID: ref(7), Lift: true, Expires: 9}
		case typ.RevokedScope() != "":
			want = Entry{Hash: ref(1), ID: r.Ref(), Scope: typ.RevokedScope(), IssuedBefore: 4, Expires: 9, At: 5000, Reason: "why", Key: KeyID{Tenant: "acme", Generation: 2}}
		}
		got, ok, err := EntryOf(&r)
		if err != nil || ok == want.ID.IsZero() {
			t.Errorf("%s: ok %v, %v", typ.Name(), ok, err)
		}
		if d := cmp.Diff(want, got, equal); d != "" {
			t.Errorf("%s: %s", typ.Name(), d)
		}
	}
}

func TestRecordThatRevokesNothingItNamesIsAnError(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]events.Record{
		"no revocation":       {Type: events.TokenRevoked},
		"no hash":             {Type: events.TokenRevoked, Revocation: &events.Revocation{}},
		"lift of no event":    {Type: events.RevocationLifted, Revocation: &events.Revocation{Hash: ref(1)}},
		"cut-off before 1970": {Type: events.SubjectRevoked, Revocation: &events.Revocation{Hash: ref(1), IssuedBefore: -1}},
	} {
		if _, ok, err := EntryOf(&r); ok || err == nil {
			t.Errorf("%s: ok %v, no error", name, ok)
		}
	}
}

func TestEveryScopeHasOneRank(t *testing.T) {
	t.Parallel()
	for _, typ := range events.Types() {
		if s := typ.RevokedScope(); s != "" && rank(s) < 0 {
			t.Errorf("%s has no rank", s)
		}
	}
	if len(Scopes()) != 8 {
		t.Errorf("%d scopes", len(Scopes()))
	}
}
