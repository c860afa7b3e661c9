package app

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// TestForgettingWaitsForEveryHolder: when Fence, Destroy or Renew returns, another
// process has dropped what it knew; a second Destroy, which cannot know whose it
// was, drops all.
func TestForgettingWaitsForEveryHolder(t *testing.T) {
	t.Parallel()
	server := natsdtest.Start(t)
	projector := natsdtest.JetStream(t, server, natsd.Projector)
	store, err := stream.OpenKeyStore(t.Context(), projector)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.NewKeyring(seal.Config{Store: store, Root: seal.GenerateKEK()})
	if err != nil {
		t.Fatal(err)
	}
	person := seal.Person{Tenant: "acme", Issuer: "i", Subject: "s"}
	made, err := keys.Subjects(t.Context(), []seal.Person{person})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []string
	holder, err := stream.NewHolder(projector.Conn(), func(tenant, handle string) {
		mu.Lock()
		defer mu.Unlock()
		if tenant != "" { // of all tenants, it drops what it had before it was a holder
			told = append(told, handle)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := holder.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer cancel()
	<-when(t.Context(), holder.Live)
	api := natsdtest.JetStream(t, server, natsd.API)
	f := forgetting{keys, &bus{nc: api.Conn(), js: api}}
	handle, err := keys.Handle(t.Context(), "acme", made[0].Ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Fence(t.Context(), "acme", made[0].Ref); err != nil {
		t.Fatal(err)
	}
	want := []string{handle}
	for range 2 {
		done, err := f.Destroy(t.Context(), "acme", made[0].Ref)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		if want = append(want, done.Handle); !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		mu.Unlock()
	}
	if handle == "" || want[1] != handle || want[2] != "" {
		t.Errorf("handles %q", want)
	}
	if err := f.Fence(t.Context(), "acme", made[0].Ref); err != nil {
		t.Error(err)
	}
	again, err := f.RenewFor(t.Context(), person, events.Ref{1})
	if err != nil || again.Erased {
		t.Fatalf("%v %v", again, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want = append(want, handle); !slices.Equal(told, want) { // of the second Fence nobody was told: nobody was left to fence
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestRenewSaysWhatItKnows: where it cannot be asked who has dropped the key, nobody is told
// that everybody has. Asked again it is the same.
func TestRenewSaysWhatItKnows(t *testing.T) {
	t.Parallel()
	server := natsdtest.Start(t)
	store, err := stream.OpenKeyStore(t.Context(), natsdtest.JetStream(t, server, natsd.Projector))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.NewKeyring(seal.Config{Store: store, Root: seal.GenerateKEK()})
	if err != nil {
		t.Fatal(err)
	}
	person := seal.Person{Tenant: "acme", Issuer: "i", Subject: "s"}
	made, err := keys.Subjects(t.Context(), []seal.Person{person})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Destroy(t.Context(), "acme", made[0].Ref); err != nil {
		t.Fatal(err)
	}
	away := natsdtest.JetStream(t, server, natsd.API)
	away.Conn().Close()
	if got, err := (forgetting{keys, &bus{nc: away.Conn(), js: away}}).RenewFor(t.Context(), person, events.Ref{1}); err == nil {
		t.Errorf("known everywhere, which nobody can say: %+v", got)
	}
	api := natsdtest.JetStream(t, server, natsd.API)
	if again, err := (forgetting{keys, &bus{nc: api.Conn(), js: api}}).RenewFor(t.Context(), person, events.Ref{1}); err != nil || again.Generation != 2 {
		t.Errorf("asked again: %+v %v", again, err)
	}
}
