package natsd

import (
	"context"
	"testing"
)

// TestAccountsAreThereBeforeAnybodyConnects: an account that the server gets to
// know by a connection is there, for another, before its imports are.
func TestAccountsAreThereBeforeAnybodyConnects(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	before := s.ns.NumLoadedAccounts()
	for _, r := range Roles() {
		nc, err := s.Connect(r)
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
	if now := s.ns.NumLoadedAccounts(); now != before {
		t.Errorf("%d accounts, %d once everybody had connected", before, now)
	}
}
