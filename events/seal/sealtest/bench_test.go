package sealtest_test

import (
	"fmt"
	"testing"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// BenchmarkSubjects is one batch of the intake on a real server: 1000 people
// who are all new, or all in the store and not in the cache.
func BenchmarkSubjects(b *testing.B) {
	server := natsdtest.Start(b)
	store, err := stream.OpenKeyStore(b.Context(), natsdtest.JetStream(b, server, natsd.Projector))
	if err != nil {
		b.Fatal(err)
	}
	kek := seal.GenerateKEK()
	people, round := make([]seal.Person, 1000), 0
	subjects := func(b *testing.B) {
		k, err := seal.NewKeyring(seal.Config{Store: store, KEK: kek})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := k.Subjects(b.Context(), people); err != nil {
			b.Fatal(err)
		}
	}
	strangers := func() {
		round++
		for i := range people {
			people[i] = seal.Person{Tenant: "acme", Issuer: "https://issuer.example", Subject: fmt.Sprint(round, i)}
		}
	}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			strangers()
			subjects(b)
		}
	})
	b.Run("known", func(b *testing.B) {
		strangers()
		subjects(b)
		for b.Loop() {
			subjects(b)
		}
	})
}
