package bench

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"path/filepath"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/internal/sidebyside"
	"github.com/rescindhq/rescind/internal/workload"
)

const (
	sealingRounds = 60
	sealingPeople = 1000
	sealingParts  = 5000
	bareGCM       = "the same bytes through AES-256-GCM of the standard library, one key"
)

// sealing is how many personal parts one core seals in a second, of people whose
// ciphers are ready, beside the cipher alone.
func (b *forgetting) sealing(ctx context.Context) error {
	keys, stop, err := someKeys(ctx, filepath.Join(b.cfg.Dir, "sealing"))
	if err != nil {
		return err
	}
	defer stop()
	parts, mean, err := personalParts()
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	room, nonce := make([]byte, 0, 8192), make([]byte, gcm.NonceSize())
	ours := func(i int) {
		_, _ = keys[i%len(keys)].SealPersonalTo(room, tenant, "//orders.example.com", "id", parts[i%len(parts)]) // a key that is there
	}
	times := sidebyside.Time(sealingRounds, b.cfg.Calls, ours, func(i int) { gcm.Seal(room, nonce, parts[i%len(parts)], nil) })
	b.add(rated("sealing/rate", "parts/s", times[0], 1e9).beside(times[1], 1e9))
	b.add(rated("sealing/bytes", "MB/s", times[0], mean*1e3))
	return nil
}

// rated is what is done in a second where each call does so much in a ns: in the
// round in the middle, and in the one that was disturbed least.
func rated(name, unit string, t sidebyside.Timing, each float64) Result {
	return Result{Name: name, Unit: unit, Value: each / t.Median, Min: each / t.Median, Max: each / t.Least, N: sealingRounds}
}

// beside sets the bare cipher beside r, as it was in the same rounds.
func (r Result) beside(t sidebyside.Timing, each float64) Result {
	r.FloorName, r.Floor = bareGCM, each/t.Median
	r.Ratio = r.Value / r.Floor
	return r
}

// someKeys are those of some people, of a keyring on a server of its own.
func someKeys(ctx context.Context, dir string) (_ []seal.SubjectKey, stop func(), err error) {
	store, stop, err := keyStore(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	k, err := seal.NewKeyring(seal.Config{Store: store, Root: seal.GenerateKEK()})
	if err != nil {
		stop()
		return nil, nil, err
	}
	people := make([]seal.Person, sealingPeople)
	gen := workload.New(workload.Config{Subjects: 100 * sealingPeople})
	for i := range people {
		ev := gen.Next()
		people[i] = seal.Person{Tenant: tenant, Issuer: ev.Data.Issuer, Subject: ev.Data.Subject}
	}
	keys, err := k.Subjects(ctx, people)
	if err != nil {
		stop()
	}
	return keys, stop, err
}

// personalParts are those of events of the workload, and how long they are on
// average.
func personalParts() (parts [][]byte, mean float64, err error) {
	gen := workload.New(workload.Config{})
	for range sealingParts {
		ev := gen.Next()
		personal, _ := ev.Data.PersonalPart()
		b, err := personal.Marshal()
		if err != nil {
			return nil, 0, err
		}
		parts, mean = append(parts, b), mean+float64(len(b))/sealingParts
	}
	return parts, mean, nil
}
