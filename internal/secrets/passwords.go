package secrets

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ClickHouseUsers are the database users of a deployment: owner in dev, the
// others everywhere.
func ClickHouseUsers() []string {
	return []string{"owner", "migrator", "projector", "api", "rebuilder"}
}

// ClickHousePassword is the path of the password of one of ClickHouseUsers.
func (f *Folder) ClickHousePassword(user string) string {
	return filepath.Join(f.dir, "clickhouse", user)
}

// passwords makes the password files that are not there yet.
func (f *Folder) passwords() error {
	if err := os.MkdirAll(filepath.Join(f.dir, "clickhouse"), 0o700); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	for _, user := range ClickHouseUsers() {
		if err := f.once(filepath.Join("clickhouse", user), newPassword); err != nil {
			return err
		}
	}
	return nil
}

func newPassword() ([]byte, error) { return []byte(rand.Text() + "\n"), nil }

// ReadPassword reads a password file.
func ReadPassword(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
