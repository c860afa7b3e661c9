package config

import (
	"fmt"
	"os"
	"strings"
)

// Secret says where a secret is: file:PATH or env:NAME. It never holds one.
type Secret string

func (s Secret) valid() bool {
	return s == "" || strings.HasPrefix(string(s), "file:") || strings.HasPrefix(string(s), "env:")
}

// Resolve reads the secret, without the newline at its end. A file that others
// may read is refused. An empty Secret resolves to "".
func (s Secret) Resolve(getenv func(string) string) (string, error) {
	kind, ref, _ := strings.Cut(string(s), ":")
	switch {
	case s == "":
		return "", nil
	case kind == "env":
		v := getenv(ref)
		if v == "" {
			return "", fmt.Errorf("secret env:%s: the variable is not set", ref)
		}
		return v, nil
	case kind == "file":
		return readSecret(ref)
	default:
		return "", fmt.Errorf("secret: want file:PATH or env:NAME")
	}
}

func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("secret %s: mode %04o lets others read it: chmod 600", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
