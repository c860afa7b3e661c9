package app

import (
	"fmt"
	"os"
	"unicode/utf8"

	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/export"
	"github.com/rescindhq/rescind/query/store"
)

// exports makes the office that answers requests for access and portability.
func (a *app) exports(p *parts, archive *store.Archive) (*export.Office, error) {
	statement, err := readStatement(a.cfg.Requests.Statement)
	if err != nil {
		return nil, err
	}
	return export.New(export.Config{
		Archive: archive, Keyring: p.keys, Store: stream.NewExports(p.bus.js), Statement: statement, LinkTTL: a.cfg.Requests.Link,
	})
}

func readStatement(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("requests.statement: %w", err)
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("requests.statement %s: want UTF-8", path)
	}
	return string(b), nil
}
