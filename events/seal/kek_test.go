package seal

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestParseKEK(t *testing.T) {
	t.Parallel()
	raw := make([]byte, keySize)
	for i := range raw {
		raw[i] = byte(250 + i) // has + and / in base64
	}
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"standard":        {base64.StdEncoding.EncodeToString(raw), true},
		"standard, bare":  {base64.RawStdEncoding.EncodeToString(raw), true},
		"url":             {base64.URLEncoding.EncodeToString(raw), true},
		"url, bare":       {base64.RawURLEncoding.EncodeToString(raw), true},
		"white space":     {"\n " + base64.StdEncoding.EncodeToString(raw) + "\r\n", true},
		"empty":           {"", false},
		"one byte less":   {base64.StdEncoding.EncodeToString(raw[1:]), false},
		"one byte more":   {base64.StdEncoding.EncodeToString(append(raw, 1)), false},
		"hex":             {strings.Repeat("0a", keySize), false},
		"not base64":      {strings.Repeat("!", 44), false},
		"two of them":     {strings.Repeat(base64.StdEncoding.EncodeToString(raw)+"\n", 2), false},
		"mixed alphabets": {strings.Repeat("+", 21) + strings.Repeat("-", 22), false},
	} {
		k, err := ParseKEK(c.text)
		switch {
		case (err == nil) != c.ok:
			t.Errorf("%s: error %v, want ok %t", name, err, c.ok)
		case c.ok && string(k.key[:]) != string(raw):
			t.Errorf("%s: another key", name)
		case err != nil && c.text != "" && strings.Contains(err.Error(), c.text):
			t.Errorf("%s: the error repeats the key", name)
		}
	}
}

func TestLoadKEKWantsAFileOfItsOwners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "kek")
	want := GenerateKEK()
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(want.key[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o660: false, 0o644: false, 0o601: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		got, err := LoadKEK(path)
		if (err == nil) != ok || ok && got != want {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if _, err := LoadKEK(dir); err == nil {
		t.Error("a directory was loaded")
	}
	if _, err := LoadKEK(filepath.Join(dir, "none")); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("missing file: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = u.Unwrap()
	}
}

func TestKEKFromEnv(t *testing.T) {
	t.Parallel()
	want := GenerateKEK()
	env := map[string]string{"GOOD": base64.StdEncoding.EncodeToString(want.key[:]), "BAD": "x"}
	getenv := func(name string) string { return env[name] }
	if got, err := KEKFromEnv(getenv, "GOOD"); err != nil || got != want {
		t.Errorf("good: %v", err)
	}
	for _, name := range []string{"BAD", "NONE"} {
		if _, err := KEKFromEnv(getenv, name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v, want one that names the variable", name, err)
		}
	}
}

func TestEnsureKEKGivesAllTheSame(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	keys := make([]KEK, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = EnsureKEK(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || !k.set {
			t.Fatal("two keys were made")
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d files left, %v; want 1", len(entries), err)
	}
	if info, _ := entries[0].Info(); info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v", info.Mode())
	}
}

func TestEnsureKEKNeverReplacesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := EnsureKEK(path); err == nil {
		t.Fatal("a damaged file was replaced: everything sealed before would be lost")
	}
	if b, _ := os.ReadFile(path); string(b) != "damaged" {
		t.Fatal("the file was changed")
	}
}

func TestKeysDoNotPrintThemselves(t *testing.T) {
	t.Parallel()
	k := GenerateKEK()
	s := SubjectKey{Generation: 1, key: k.key}
	var out strings.Builder
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "kek", k, "config", Config{KEK: k}, "subject", s)
	j, _ := json.Marshal(map[string]any{"kek": k, "subject": s})
	fmt.Fprintf(&out, "%v %+v %#v %s %x %v %#v %+v %s", k, k, k, k, k, Config{KEK: k}, s, s, j)
	for _, secret := range []string{
		fmt.Sprintf("%x", k.key), base64.StdEncoding.EncodeToString(k.key[:]),
		strings.Trim(fmt.Sprint([keySize]byte(k.key)), "[]"),
		strings.ReplaceAll(strings.Trim(fmt.Sprint([keySize]byte(k.key)), "[]"), " ", ","),
	} {
		if strings.Contains(out.String(), secret) {
			t.Fatalf("a key was printed: %s", out.String())
		}
	}
}
