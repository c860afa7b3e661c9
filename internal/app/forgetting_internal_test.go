package app

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// TestForgettingWaitsForEveryHolder: when Fence or Renew returns, another process has
// dropped what it knew, and Destroy has nothing to tell it.
func TestForgettingWaitsForEveryHolder(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	var mu sync.Mutex
	var told []string
	holder, err := stream.NewHolder(d.projector.Conn(), func(tenant, handle string) {
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
	f := d.forgetting()
	handle, err := d.keys.Handle(t.Context(), "acme", d.ref)
	if err != nil || handle == "" {
		t.Fatalf("%q %v", handle, err)
	}
	var want []string
	for _, step := range []struct {
		name  string
		do    func() error
		tells bool
	}{
		{"fence", func() error { return f.Fence(t.Context(), "acme", d.ref) }, true},
		{"destroy", func() error { _, err := f.Destroy(t.Context(), "acme", d.ref); return err }, false},
		{"destroy again", func() error { _, err := f.Destroy(t.Context(), "acme", d.ref); return err }, false},
		{"fence where nobody is left", func() error { return f.Fence(t.Context(), "acme", d.ref) }, false},
		{"renew", func() error { _, err := f.RenewFor(t.Context(), d.person, events.Ref{1}); return err }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if step.tells {
			want = append(want, handle)
		}
		mu.Lock()
		if !slices.Equal(told, want) {
			t.Errorf("%s: told %q, want %q", step.name, told, want)
		}
		mu.Unlock()
	}
	if again, err := d.keys.Lookup(t.Context(), d.person); err != nil || again.Erased {
		t.Errorf("%v %v", again, err)
	}
}

// deployment is a server with a keyring that knows one person.
type deployment struct {
	server    *natsd.Server
	projector jetstream.JetStream
	keys      *seal.Keyring
	person    seal.Person
	ref       events.Ref

	t *testing.T
}

func newDeployment(t *testing.T) *deployment {
	t.Helper()
	server := natsdtest.Start(t)
	d := &deployment{
		server: server, projector: natsdtest.JetStream(t, server, natsd.Projector), person: seal.Person{Tenant: "acme", Issuer: "i", Subject: "s"}, t: t,
	}
	store, err := stream.OpenKeyStore(t.Context(), d.projector)
	if err != nil {
		t.Fatal(err)
	}
	if d.keys, err = seal.NewKeyring(seal.Config{Store: store, Root: seal.GenerateKEK()}); err != nil {
		t.Fatal(err)
	}
	made, err := d.keys.Subjects(t.Context(), []seal.Person{d.person})
	if err != nil {
		t.Fatal(err)
	}
	d.ref = made[0].Ref
	return d
}

// forgetting is the keyring, as a process of its own has it.
func (d *deployment) forgetting() forgetting {
	api := natsdtest.JetStream(d.t, d.server, natsd.API)
	return forgetting{d.keys, &bus{nc: api.Conn(), js: api}}
}

// TestRenewSaysWhatItKnows: where it cannot be asked who has dropped the key, nobody is told
// that everybody has. Asked again it is the same.
func TestRenewSaysWhatItKnows(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	if _, err := d.keys.Destroy(t.Context(), "acme", d.ref); err != nil {
		t.Fatal(err)
	}
	away := d.forgetting()
	away.bus.nc.Close()
	if got, err := away.RenewFor(t.Context(), d.person, events.Ref{1}); err == nil {
		t.Errorf("known everywhere, which nobody can say: %+v", got)
	}
	if again, err := d.forgetting().RenewFor(t.Context(), d.person, events.Ref{1}); err != nil || again.Generation != 2 {
		t.Errorf("asked again: %+v %v", again, err)
	}
}
