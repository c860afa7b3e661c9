package stream_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
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

// TestExports: what is put last is there, for its export alone, until that is
// dropped, or every export of the person.
func TestExports(t *testing.T) {
	t.Parallel()
	exports := stream.NewExports(start(t).api)
	one := stream.ExportPlace{Tenant: "acme", Subject: events.Ref{1}, Export: events.Ref{0xa}}
	otherExport, otherPerson, otherTenant := one, one, one
	otherExport.Export, otherPerson.Subject, otherTenant.Tenant = events.Ref{0xb}, events.Ref{2}, "globex"
	all := []stream.ExportPlace{one, otherExport, otherPerson, otherTenant}
	parts := []string{stream.ExportChunk(0), stream.ExportChunk(1), stream.ExportMade, stream.ExportLink}
	for _, p := range all {
		for _, part := range parts {
			for _, what := range []string{"first ", "last "} {
				if err := exports.Put(t.Context(), p, part, []byte(what+part+p.Tenant)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	there := func(p stream.ExportPlace) (n int) {
		for _, part := range parts {
			got, err := exports.Get(t.Context(), p, part)
			if err == nil && string(got) == "last "+part+p.Tenant {
				n++
			} else if !errors.Is(err, stream.ErrNotFound) {
				t.Errorf("%s of %+v: %q %v", part, p, got, err)
			}
		}
		return n
	}
	want := func(counts ...int) {
		t.Helper()
		for i, p := range all {
			if got := there(p); got != counts[i] {
				t.Errorf("%+v has %d parts, want %d", p, got, counts[i])
			}
		}
	}
	want(4, 4, 4, 4)
	if err := exports.Drop(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	want(0, 4, 4, 4)
	if err := exports.DropAll(t.Context(), one.Tenant, one.Subject); err != nil {
		t.Fatal(err)
	}
	want(0, 0, 4, 4)
	people, err := exports.People(t.Context())
	if err != nil || len(people) != 2 || !people[seal.Reference{Tenant: "acme", Ref: otherPerson.Subject}] || !people[seal.Reference{Tenant: "globex", Ref: one.Subject}] {
		t.Errorf("people %v, %v", people, err)
	}
	for _, p := range []stream.ExportPlace{{Tenant: "a.b", Subject: one.Subject, Export: one.Export}, {Tenant: "acme", Export: one.Export}, {Tenant: "acme", Subject: one.Subject}} {
		if exports.Put(t.Context(), p, stream.ExportMade, nil) == nil || exports.Drop(t.Context(), p) == nil {
			t.Errorf("%+v was taken for a place", p)
		}
		if _, err := exports.Get(t.Context(), p, stream.ExportMade); err == nil || errors.Is(err, stream.ErrNotFound) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if exports.DropAll(t.Context(), "acme", events.Ref{}) == nil || exports.DropAll(t.Context(), ">", one.Subject) == nil {
		t.Error("the exports of nobody were dropped")
	}
}
