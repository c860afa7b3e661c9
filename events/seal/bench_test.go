package seal

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/rescindhq/rescind/internal/workload"
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

// BenchmarkPersonal is the personal part of an event of the workload, and of
// that the packing.
func BenchmarkPersonal(b *testing.B) {
	s, g := SubjectKey{Generation: 1, key: newDataKey()}, workload.New(workload.Config{})
	s.ready = newSIV(&s.key)
	var plain [][]byte
	for range 500 {
		ev := g.Next()
		p, _ := ev.Data.PersonalPart()
		one, err := p.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		plain = append(plain, one)
	}
	room, at := make([]byte, 0, 4096), 0
	next := func() []byte { at++; return plain[at%len(plain)] }
	for name, do := range map[string]func(){
		"pack": func() { appendPacked(room, next()) },
		"seal": func() { _, _ = s.SealTo(room, "acme", "https://issuer.example", "0198b7f2-8d2a-7c3e", next()) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				do()
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkWrap(b *testing.B) {
	k, plain := newKey(), make([]byte, 100)
	w := &wrapper{epoch: 1, key: newXAES(&k)}
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
