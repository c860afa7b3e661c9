package feed

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
)

const (
	snapshotFile = "snapshot"
	keysFile     = "keys"
	verifierFile = "verifier" // its id
)

// restore makes a view of what was saved, where it is valid. It vouches for
// nothing, but what it revokes is revoked.
func (f *Feed) restore() {
	if f.cfg.Dir == "" {
		return
	}
	f.keys = f.savedKeys()
	data, ok := f.read(snapshotFile)
	if !ok {
		return
	}
	s, err := revocation.OpenSnapshot(f.cfg.PublicKey, data)
	if err != nil {
		f.cfg.Log.Warn("saved snapshot cannot be used", "err", err)
		return
	}
	v := f.viewOf(s)
	if len(v.set.Missing()) == 0 {
		v.position, v.others = s.Position, s.Others
	}
	f.replace(v)
	f.cfg.Log.Info("saved snapshot loaded", "seq", s.Seq, "last", s.Position, "count", s.Len())
}

func (f *Feed) savedKeys() (keys []events.FeedKey) {
	data, ok := f.read(keysFile)
	if !ok {
		return nil
	}
	var pages []savedPage
	if err := json.Unmarshal(data, &pages); err != nil {
		f.cfg.Log.Warn("saved keys cannot be read")
		return nil
	}
	for _, p := range pages {
		page, err := revocation.OpenKeys(f.cfg.PublicKey, p.Body, p.Signature)
		if err != nil {
			f.cfg.Log.Warn("saved keys cannot be used", "err", err)
			return nil
		}
		keys = append(keys, page.Keys...)
	}
	return keys
}

func (f *Feed) read(name string) ([]byte, bool) {
	data, err := os.ReadFile(filepath.Join(f.cfg.Dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.cfg.Log.Warn("saved feed cannot be read", "err", err)
	}
	return data, err == nil
}

// saveBeside fetches the newest snapshot and saves it, while the feed goes on.
func (f *Feed) saveBeside(ctx context.Context) {
	if f.cfg.Dir == "" || !f.saving.CompareAndSwap(false, true) {
		return
	}
	f.beside.Go(func() {
		defer f.saving.Store(false)
		data, err := f.store.snapshot(ctx)
		if err == nil {
			_, err = revocation.OpenSnapshot(f.cfg.PublicKey, data)
		}
		if err != nil {
			f.cfg.Log.Warn("snapshot not fetched for saving", "err", err)
			return
		}
		f.save(data)
	})
}

func (f *Feed) save(snapshot []byte) { f.write(snapshotFile, snapshot) }

func (f *Feed) saveKeys(pages []savedPage) {
	data, err := json.Marshal(pages)
	if err != nil {
		f.cfg.Log.Warn("keys not saved", "err", err)
		return
	}
	f.write(keysFile, data)
}

// write replaces a file as a whole: a crash leaves the old one or the new one.
func (f *Feed) write(name string, data []byte) {
	if f.cfg.Dir == "" {
		return
	}
	if err := overwrite(f.cfg.Dir, name, data); err != nil {
		f.cfg.Log.Warn("feed not saved", "err", err)
	}
}

func overwrite(dir, name string, data []byte) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, name+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(dir, name))
}
