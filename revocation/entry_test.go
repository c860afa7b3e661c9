package revocation

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/events"
)

func TestEntryOfEveryType(t *testing.T) {
	t.Parallel()
	for _, typ := range events.Types() {
		r := events.Record{Type: typ, Tenant: "acme", Source: "s", ID: "1", Received: 5_999_999, Reason: "why",
			Revocation: &events.Revocation{Scope: typ.RevokedScope(), Hash: ref(1), IssuedBefore: 4999, Starts: 2999, Expires: 8001, FeedKey: 2}}
		var want Entry
		switch {
		case typ == events.RevocationLifted:
			r.Revocation.Lifts, r.Revocation.LiftsIndex, r.Revocation.Scope = ref(7), 7, events.ScopeToken
			want = Entry{Hash: ref(1), Index: 7, Lift: true, Expires: 9000, Key: KeyID{Tenant: "acme", Generation: 2}}
		case typ.RevokedScope() != "":
			want = Entry{Hash: ref(1), Index: 40, Scope: typ.RevokedScope(), IssuedBefore: 4000, Starts: 2000, Expires: 9000, At: 5000, Reason: "why", Key: KeyID{Tenant: "acme", Generation: 2}}
		}
		got, ok, err := EntryOf(&r, 40)
		if err != nil || ok == want.Hash.IsZero() {
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
		"lift of no hash":     {Type: events.RevocationLifted, Revocation: &events.Revocation{LiftsIndex: 1}},
		"cut-off before 1970": {Type: events.SubjectRevoked, Revocation: &events.Revocation{Hash: ref(1), IssuedBefore: -1}},
	} {
		if _, ok, err := EntryOf(&r, 40); ok || err == nil {
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
