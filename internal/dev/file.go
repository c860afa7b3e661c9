package dev

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// File is DIR/dev.json: where a running stack is and how to get in. It holds
// tokens and a password, so its mode is 0600.
type File struct {
	HTTP       string            `json:"http"`    // base URL of the API
	Console    string            `json:"console"` // base URL of the console, "" where there is none
	NATS       string            `json:"nats"`    // nats://host:port
	ClickHouse FileClickHouse    `json:"clickhouse"`
	Tokens     map[string]string `json:"tokens"`     // access token by role
	NATSCreds  map[string]string `json:"nats_creds"` // credentials file by role
	FeedKey    string            `json:"feed_key"`   // public Ed25519 key that signs the feed, base64
	Shards     int               `json:"shards"`     // logs that tenants are split over
	PID        int               `json:"pid"`
}

// FileClickHouse is how to reach the database. The user owns it.
type FileClickHouse struct {
	Addr     string `json:"addr"` // host:port, native protocol
	User     string `json:"user"`
	Password string `json:"password"`
	Database string `json:"database"`
}

func filePath(dir string) string { return filepath.Join(dir, "dev.json") }

// ReadFile reads DIR/dev.json. fs.ErrNotExist means that nothing runs there.
func ReadFile(dir string) (*File, error) {
	b, err := os.ReadFile(filePath(dir))
	if err != nil {
		return nil, err
	}
	f := new(File)
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("%s: %w", filePath(dir), err)
	}
	return f, nil
}

// write replaces DIR/dev.json as a whole, so that a reader never sees half.
func (f *File) write(dir string) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	tmp := filePath(dir) + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filePath(dir))
}
