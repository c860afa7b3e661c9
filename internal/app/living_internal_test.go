package app

import (
	"errors"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/query/store"
	"github.com/rescindhq/rescind/query/store/storetest"
)

// TestLivingIsExactOnceTheRevocationIsRecorded: a store that is behind counts fewer
// than there are, and says so; one that has the revocation has all before it.
func TestLivingIsExactOnceTheRevocationIsRecorded(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	conn, standStill := storetest.Follow(kit, time.Minute)
	logged := func(ev events.Event) {
		t.Helper()
		before, err := kit.Log.Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ev.Tenant, ev.Data.Issuer, ev.Data.Subject = "acme", "https://id.example", "alice@example.com"
		kit.Publish(ev)
		lanetest.Eventually(t, "it is on the log", func() error {
			if m, err := kit.Log.Last(t.Context()); err != nil || m.Seq == before.Seq {
				return errors.Join(errors.New("not yet"), err)
			}
			return nil
		})
	}
	began := time.Now() // before the cut-off, however busy the machine is
	issue := func(jti string) {
		t.Helper()
		logged(events.Event{Type: events.TokenIssued, Data: events.Data{TokenID: jti, IssuedAt: events.TimestampOf(began), Expires: events.TimestampOf(began.Add(time.Hour))}})
	}
	issue("j-1")
	alice, err := kit.Keyring.Lookup(t.Context(), seal.Person{Tenant: "acme", Issuer: "https://id.example", Subject: "alice@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Second).Truncate(time.Millisecond)
	of := erasure.Living{Tenant: "acme", Person: alice.Ref, At: at}
	lanetest.Eventually(t, "the first is counted", func() error {
		n, _, err := living{store.New(conn), time.Hour}.Living(t.Context(), of)
		if n != 1 {
			err = errors.Join(errors.New("not yet"), err)
		}
		return err
	})
	standStill()
	issue("j-2")
	logged(events.Event{Source: erasure.Source, Type: events.SubjectRevoked, Data: events.Data{IssuedBefore: events.TimestampOf(at)}})
	if n, exact, err := (living{store.New(conn), time.Hour}).Living(t.Context(), of); exact || err != nil {
		t.Errorf("the store is behind: %d, exact: %t, %v", n, exact, err)
	}
	conn, _ = storetest.Follow(kit, time.Minute)
	lanetest.Eventually(t, "it is exact", func() error {
		n, exact, err := living{store.New(conn), time.Hour}.Living(t.Context(), of)
		if exact && n != 2 {
			t.Fatalf("%d, exact", n)
		}
		if !exact {
			err = errors.Join(errors.New("not yet"), err)
		}
		return err
	})
}
