package seal

import (
	"fmt"
	"testing"
)

// BenchmarkReferences is one reference, the seat of a person and the digest of
// an event.
func BenchmarkReferences(b *testing.B) {
	t := &Tenant{name: "acme", lookup: newMAC(newKey()), reference: newMAC(newKey()), digest: newMAC(newKey())}
	canonical := make([]byte, 300)
	for name, do := range map[string]func(){
		"token":  func() { t.TokenRef("https://issuer.example", "0198b7f2-8d2a-7c3e-9b1a-111111111111") },
		"seat":   func() { t.seat("https://issuer.example", "user-12345@example.org") },
		"digest": func() { t.Digest(canonical) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}

// BenchmarkSeal is the personal part of one event: of a person whose cipher is
// ready, of one whose cipher has to be made, and appended to what has room.
func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{70, 200} {
		plain, room := make([]byte, n), make([]byte, 0, 300)
		cold := SubjectKey{Generation: 1, key: newDataKey()}
		ready := cold
		ready.ready = newSIV(&ready.key)
		for name, do := range map[string]func() ([]byte, error){
			"ready": func() ([]byte, error) {
				return ready.Seal("acme", "https://issuer.example", "0198b7f2-8d2a-7c3e", plain)
			},
			"cold": func() ([]byte, error) {
				return cold.Seal("acme", "https://issuer.example", "0198b7f2-8d2a-7c3e", plain)
			},
			"append": func() ([]byte, error) {
				return ready.SealTo(room, "acme", "https://issuer.example", "0198b7f2-8d2a-7c3e", plain)
			},
		} {
			b.Run(fmt.Sprintf("%d bytes %s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkWrap(b *testing.B) {
	w, plain := newWrapper(GenerateKEK()), make([]byte, 100)
	stored := w.wrap("k.acme.00ff", plain)
	b.Run("wrap", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.wrap("k.acme.00ff", plain)
		}
	})
	b.Run("unwrap", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := w.unwrap("k.acme.00ff", stored); err != nil {
				b.Fatal(err)
			}
		}
	})
}
