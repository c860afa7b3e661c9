package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/workload"
)

// together is for how many people keys are made at once.
const together = 1000

// keyring is what the keyring takes for a person, on the disk and in the memory of
// NATS, and of a process that has all of them at hand; and how fast it grows.
func (b *forgetting) keyring(ctx context.Context) error {
	dir := filepath.Join(b.cfg.Dir, "keyring")
	store, stop, err := keyStore(ctx, dir)
	if err != nil {
		return err
	}
	defer stop()
	root, n := seal.GenerateKEK(), float64(b.cfg.People)
	small, err := seal.NewKeyring(seal.Config{Store: store, Root: root, CacheSubjects: 2})
	if err != nil {
		return err
	}
	if _, err := small.Tenant(ctx, tenant); err != nil {
		return err
	}
	bytes, heap, began := diskOf(dir), heapInUse(), time.Now()
	if err := b.meet(ctx, small); err != nil {
		return err
	}
	b.add(alone("keyring/rate", "people/s", n/time.Since(began).Seconds()))
	b.add(alone("keyring/disk", "B/person", (diskOf(dir)-bytes)/n))
	b.add(alone("keyring/memory_nats", "B/person", float64(heapInUse()-heap)/n))
	large, err := seal.NewKeyring(seal.Config{Store: store, Root: root, CacheSubjects: b.cfg.People})
	if err != nil {
		return err
	}
	heap = heapInUse()
	if err := b.meet(ctx, large); err != nil {
		return err
	}
	b.add(alone("keyring/memory_cached", "B/person", float64(heapInUse()-heap)/n))
	runtime.KeepAlive(large) // or there would be nothing left to measure
	return nil
}

// meet asks for the keys of everybody.
func (b *forgetting) meet(ctx context.Context, k *seal.Keyring) error {
	for first := 0; first < b.cfg.People; first += together {
		people := make([]seal.Person, min(together, b.cfg.People-first))
		for i := range people {
			people[i] = seal.Person{Tenant: tenant, Issuer: workload.Issuer, Subject: fmt.Sprintf("person-%d@example.com", first+i)}
		}
		if _, err := k.Subjects(ctx, people); err != nil {
			return err
		}
		if first%(100*together) == 0 {
			b.cfg.Progress(fmt.Sprintf("%d of %d people", first, b.cfg.People))
		}
	}
	return nil
}

// keyStore is the keyring's store on a server of its own, which syncs every write.
func keyStore(ctx context.Context, dir string) (_ *stream.KeyStore, stop func(), err error) {
	server, err := natsd.Start(ctx, natsd.Config{Dir: dir})
	if err != nil {
		return nil, nil, err
	}
	stop = func() { _ = server.Shutdown(context.WithoutCancel(ctx)) } // the folder is thrown away
	defer func() {
		if err != nil {
			stop()
		}
	}()
	nc, err := server.Connect(natsd.Operator)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, nil, err
	}
	if err := stream.Ensure(ctx, js, stream.Topology{}); err != nil {
		return nil, nil, err
	}
	projector, err := server.Connect(natsd.Projector)
	if err != nil {
		return nil, nil, err
	}
	down := stop
	stop = func() { nc.Close(); projector.Close(); down() }
	if js, err = jetstream.New(projector); err != nil {
		return nil, nil, err
	}
	store, err := stream.OpenKeyStore(ctx, js)
	return store, stop, err
}

// diskOf is what the files below dir hold.
func diskOf(dir string) (n float64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		if info, gone := d.Info(); gone == nil {
			n += float64(info.Size())
		}
		return err
	})
	return n
}
