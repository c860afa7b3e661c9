package deployment_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rescindhq/rescind/internal/deployment"
)

// tree reads every file below dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestInitKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := deployment.Config{Secrets: filepath.Join(dir, "secrets"), NATS: filepath.Join(dir, "nats"), ClickHouse: filepath.Join(dir, "ch"), Database: "rescind"}
	first, err := deployment.Init(cfg)
	if err != nil {
		t.Fatal(err)
	}
	secrets := tree(t, cfg.Secrets)
	second, err := deployment.Init(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(secrets, tree(t, cfg.Secrets)); d != "" || first != second {
		t.Errorf("a second run changed a secret: %v %v %s", first, second, d)
	}
}

// TestServersGetNoSecrets looks for every secret in what the servers read.
func TestServersGetNoSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := deployment.Config{Secrets: filepath.Join(dir, "secrets"), NATS: filepath.Join(dir, "nats"), ClickHouse: filepath.Join(dir, "ch"), Database: "rescind"}
	if _, err := deployment.Init(cfg); err != nil {
		t.Fatal(err)
	}
	read := tree(t, cfg.NATS)
	for path, text := range tree(t, cfg.ClickHouse) {
		read[path] = text
	}
	if len(read) != 3 {
		t.Fatalf("%d files for the servers", len(read))
	}
	for path, secret := range tree(t, cfg.Secrets) {
		if strings.HasSuffix(path, "jwks.json") {
			continue
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
		for where, text := range read {
			if strings.Contains(text, strings.TrimSpace(secret)) {
				t.Errorf("%s holds what is in %s", where, path)
			}
		}
	}
}
