package stream_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// TestHeld: what is put is there once, for its hold and person alone, until the
// hold is purged.
func TestHeld(t *testing.T) {
	t.Parallel()
	held := stream.NewHeld(start(t).api)
	one := stream.HeldPart{Tenant: "acme", Hold: events.Ref{1}, Subject: events.Ref{0xa}, Index: 7}
	otherHold, otherPerson, otherTenant, otherShard := one, one, one, one
	otherHold.Hold, otherPerson.Subject, otherTenant.Tenant, otherShard.Shard = events.Ref{2}, events.Ref{0xb}, "globex", 1
	all := []stream.HeldPart{one, otherHold, otherPerson, otherTenant, otherShard}
	if _, err := held.Get(t.Context(), one); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	for range 2 {
		for _, p := range all {
			if err := held.Put(t.Context(), p, []byte(p.Tenant+p.Hold.String())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, p := range all {
		if got, err := held.Get(t.Context(), p); err != nil || string(got) != p.Tenant+p.Hold.String() {
			t.Errorf("%+v: %q %v", p, got, err)
		}
		if got, err := held.List(t.Context(), p); err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), []uint64{7}) {
			t.Errorf("%+v: %v %v", p, got, err)
		}
	}
	if err := held.Purge(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	for i, p := range all {
		_, err := held.Get(t.Context(), p)
		if gone := p.Tenant == "acme" && p.Hold == one.Hold && p.Subject == one.Subject; gone != errors.Is(err, stream.ErrNotFound) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := held.Put(t.Context(), stream.HeldPart{Tenant: "a.b", Hold: one.Hold, Subject: one.Subject}, nil); err == nil {
		t.Error("a tenant that is no token was taken")
	}
	if err := held.Purge(t.Context(), stream.HeldPart{Tenant: "acme", Subject: one.Subject}); err == nil {
		t.Error("no hold was purged")
	}
}
