package rootdir

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rescindhq/rescind/events/seal"
)

// Dir is a root whose keys are in a folder.
type Dir struct {
	path string
	now  func() time.Time
}

var _ seal.Root = (*Dir)(nil)

// Open opens the root in the folder at path, which must be there and belong to
// its owner alone.
func Open(path string) (*Dir, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("root folder: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("root folder %s: not a folder", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("root folder %s: mode %04o lets others in: chmod 700", path, info.Mode().Perm())
	}
	return &Dir{path: path, now: time.Now}, nil
}

const suffix = ".key"

// Wrap implements seal.Root.
func (d *Dir) Wrap(ctx context.Context, secret []byte) (seal.Wrapped, error) {
	if err := ctx.Err(); err != nil {
		return seal.Wrapped{}, err
	}
	kek := seal.GenerateKEK()
	name, err := d.write(kek)
	if err != nil {
		return seal.Wrapped{}, fmt.Errorf("root folder: make a key: %w", err)
	}
	return seal.Wrapped{Key: name, Secret: kek.Encrypt(secret)}, nil
}

// write makes the file of kek. Under its temporary name it is no key of ours: a
// process that is stopped here leaves nothing that could be half a key.
func (d *Dir) write(kek seal.KEK) (name string, err error) {
	var random [16]byte
	rand.Read(random[:])
	name = hex.EncodeToString(random[:])
	temporary := filepath.Join(d.path, name+".new")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(kek.Text() + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, d.file(name)); err != nil {
		return "", err
	}
	return name, d.sync()
}

func (d *Dir) file(name string) string { return filepath.Join(d.path, name+suffix) }

// sync makes names that came and went durable.
func (d *Dir) sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Unwrap implements seal.Root.
func (d *Dir) Unwrap(ctx context.Context, w seal.Wrapped) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kek, err := d.read(w.Key)
	if err != nil {
		return nil, err
	}
	secret, err := kek.Decrypt(w.Secret)
	if err != nil {
		return nil, fmt.Errorf("root folder: key %s: %w", w.Key, err)
	}
	return secret, nil
}

func (d *Dir) read(name string) (seal.KEK, error) {
	if !valid(name) {
		return seal.KEK{}, fmt.Errorf("root folder: not the name of a key in it: %w", seal.ErrRootKey)
	}
	info, err := os.Stat(d.file(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return seal.KEK{}, d.missing(name)
	case err != nil:
		return seal.KEK{}, fmt.Errorf("root folder: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return seal.KEK{}, fmt.Errorf("root folder: key %s: mode %04o lets others read it: chmod 600", name, info.Mode().Perm())
	}
	text, err := os.ReadFile(d.file(name))
	if err != nil {
		return seal.KEK{}, fmt.Errorf("root folder: %w", err)
	}
	kek, err := seal.ParseKEK(string(text))
	if err != nil { // it is being destroyed, or was damaged
		return seal.KEK{}, fmt.Errorf("root folder: key %s: %w", name, err)
	}
	return kek, nil
}

// missing says that there is no such key, if there is the folder at all.
func (d *Dir) missing(name string) error {
	if _, err := os.Stat(d.path); err != nil {
		return fmt.Errorf("root folder: %w", err)
	}
	return fmt.Errorf("root folder: key %s: %w", name, seal.ErrRootKey)
}

// valid keeps other files out of reach of a name that somebody changed.
func valid(name string) bool {
	b, err := hex.DecodeString(name)
	return err == nil && len(b) == 16
}

// Destroy implements seal.Root: it overwrites the file and removes it.
func (d *Dir) Destroy(ctx context.Context, key string) (gone time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return gone, err
	}
	if !valid(key) {
		return gone, fmt.Errorf("root folder: not the name of a key in it: %w", seal.ErrRootKey)
	}
	err = overwrite(d.file(key))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := d.missing(key); !errors.Is(err, seal.ErrRootKey) {
			return gone, err
		}
	case err != nil:
		return gone, fmt.Errorf("root folder: overwrite key %s: %w", key, err)
	}
	if err := os.Remove(d.file(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return gone, fmt.Errorf("root folder: remove key %s: %w", key, err)
	}
	if err := d.sync(); err != nil {
		return gone, fmt.Errorf("root folder: %w", err)
	}
	return d.now(), nil
}

// overwrite puts random bytes, and nothing else, in the place of a file's.
func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	random := make([]byte, info.Size())
	rand.Read(random)
	_, err = f.WriteAt(random, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// Delay implements seal.Root: what is removed is gone.
func (d *Dir) Delay() (time.Duration, error) { return 0, nil }
