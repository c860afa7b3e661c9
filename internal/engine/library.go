package engine

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// maxLibrarySize bounds what a package may unpack to.
const maxLibrarySize = 4 << 30

// stamp is kept beside the library. Hashing 566 MB takes longer than starting
// the engine, so it is done once; after that a file of the same size and
// modification time is taken for the same file, and any other is hashed again.
type stamp struct {
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	ModTime int64  `json:"mtime_ns"`
}

func stampPath(library string) string { return library + ".stamp.json" }

// cacheDir is os.UserCacheDir()/rescind/engine/<version>, by our own getenv.
func (f finder) cacheDir() (string, error) {
	base := f.getenv("XDG_CACHE_HOME")
	if home := f.getenv("HOME"); f.goos == "darwin" && home != "" {
		base = filepath.Join(home, "Library", "Caches")
	} else if base == "" && home != "" {
		base = filepath.Join(home, ".cache")
	}
	if !filepath.IsAbs(base) {
		return "", errors.New("no cache folder: HOME is not set")
	}
	return filepath.Join(base, "rescind", "engine", libraryVersion), nil
}

// cached returns the library in the cache if it is whole: os.ErrNotExist when
// there is none, another error when it is damaged.
func (f finder) cached() (Library, error) {
	dir, err := f.cacheDir()
	if err != nil {
		return Library{}, err
	}
	art, err := artifactFor(f.goos, f.goarch)
	if err != nil {
		return Library{}, err
	}
	path := filepath.Join(dir, libraryName)
	info, err := os.Stat(path)
	if err != nil {
		return Library{}, err
	}
	library := Library{Path: path, Version: libraryVersion, Size: info.Size()}
	known, err := readStamp(path, art)
	if err != nil {
		return Library{}, err
	}
	library.SHA256 = known.SHA256
	if known.Size != info.Size() {
		return Library{}, fmt.Errorf("%s is damaged: %d bytes, want %d", path, info.Size(), known.Size)
	}
	if known.ModTime == info.ModTime().UnixNano() {
		return library, nil
	}
	return library, rehash(library)
}

// readStamp returns what the library should be. A stamp that says something
// else than the pins is not believed; without one the pins stand, and without
// pins the library cannot be checked.
func readStamp(library string, art artifact) (stamp, error) {
	var known stamp
	content, err := os.ReadFile(stampPath(library))
	if err == nil && json.Unmarshal(content, &known) == nil && (art.sha256 == "" || known.SHA256 == art.sha256) {
		return known, nil
	}
	if art.sha256 == "" {
		return stamp{}, fmt.Errorf("%s cannot be checked: it has no stamp", library)
	}
	return stamp{Size: art.unpacked, SHA256: art.sha256}, nil
}

// rehash reads the whole file, and stamps it when it is what it should be.
func rehash(library Library) error {
	file, err := os.Open(library.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return fmt.Errorf("hash %s: %w", library.Path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != library.SHA256 {
		return fmt.Errorf("%s is damaged: sha256 %s, want %s", library.Path, got, library.SHA256)
	}
	// A stamp that cannot be written, in a folder that is read-only, costs a
	// hash at the next start and no more.
	_ = writeStamp(library.Path, library.SHA256)
	return nil
}

func writeStamp(library, sum string) error {
	info, err := os.Stat(library)
	if err != nil {
		return err
	}
	content, err := json.Marshal(stamp{Size: info.Size(), SHA256: sum, ModTime: info.ModTime().UnixNano()})
	if err != nil {
		return err
	}
	return writeFile(stampPath(library), content)
}

// unpack writes the one file that matters to target and checks package and file
// against their pins. It reads the package once: nothing is used before the
// hash of all of it is known.
func unpack(tarball, target string, art artifact) (Library, error) {
	file, err := os.Open(tarball)
	if err != nil {
		return Library{}, err
	}
	defer file.Close()
	packed := sha512.New()
	through := io.TeeReader(file, packed)
	library, err := extract(through, target)
	if err != nil {
		return Library{}, err
	}
	if _, err := io.Copy(io.Discard, through); err != nil { // what follows the archive counts too
		return Library{}, err
	}
	return library, checkPins(library, packed, art)
}

func checkPins(library Library, packed hash.Hash, art artifact) error {
	got := "sha512-" + base64.StdEncoding.EncodeToString(packed.Sum(nil))
	if art.integrity != "" && got != art.integrity {
		return fmt.Errorf("integrity of the package is %s, want %s", got, art.integrity)
	}
	if art.sha256 != "" && library.SHA256 != art.sha256 {
		return fmt.Errorf("sha256 of %s is %s, want %s", libraryName, library.SHA256, art.sha256)
	}
	return nil
}

// extract finds libchdb.so in the packed package and writes it to target.
func extract(packed io.Reader, target string) (Library, error) {
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		return Library{}, err
	}
	archive := tar.NewReader(unzipped)
	for {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return Library{}, fmt.Errorf("there is no %s in it", libraryName)
		}
		if err != nil {
			return Library{}, err
		}
		if entry.Name == "package/"+libraryName && entry.Typeflag == tar.TypeReg {
			return writeLibrary(archive, target, entry.Size)
		}
	}
}

// writeLibrary copies size bytes to target, syncs them, and hashes them.
func writeLibrary(from io.Reader, target string, size int64) (Library, error) {
	if size > maxLibrarySize {
		return Library{}, fmt.Errorf("%s is %d bytes, at most %d", libraryName, size, int64(maxLibrarySize))
	}
	file, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return Library{}, err
	}
	sum := sha256.New()
	_, err = io.CopyN(io.MultiWriter(file, sum), from, size)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return Library{}, fmt.Errorf("write %s: %w", target, err)
	}
	return Library{Path: target, Version: libraryVersion, Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// place moves a checked library to where it is looked for. The stamp comes
// second: a library without one is hashed when it is next looked at.
func place(library Library, target string) error {
	if err := os.Remove(stampPath(target)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(library.Path, target); err != nil {
		return err
	}
	return errors.Join(writeStamp(target, library.SHA256), syncFolder(filepath.Dir(target)))
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
