package deployment

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rescindhq/rescind/internal/engine"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/rebuild"
	"github.com/rescindhq/rescind/internal/secrets"
	"github.com/rescindhq/rescind/projector/audit"
	"github.com/rescindhq/rescind/query/store"
)

// natsStore is where the NATS container keeps its streams.
const natsStore = "/data"

// local is the part of nats.conf that is the operator's.
const local = "local.conf"

// Config says where to put what.
type Config struct {
	// Secrets is the folder for keys, passwords and credentials. Required.
	Secrets string
	// NATS is the folder for nats.conf. Empty writes none.
	NATS string
	// ClickHouse is the folder for rescind.xml. Empty writes none.
	ClickHouse string
	// Shards is how many logs the roles may reach in NATS. Default 1; what
	// Rescind is configured with.
	Shards int
	// Database is the one that the accounts may use.
	Database string
}

// Made is what Init made or found.
type Made struct {
	Secrets    string `json:"secrets"`
	NATS       string `json:"nats,omitempty"`       // path of nats.conf
	ClickHouse string `json:"clickhouse,omitempty"` // path of rescind.xml
	FeedKey    string `json:"feed_key"`             // public Ed25519 key that verifiers need, base64
}

// Init makes what is missing.
func Init(cfg Config) (Made, error) {
	keys, err := secrets.Init(cfg.Secrets)
	if err != nil {
		return Made{}, err
	}
	nats, err := natsd.Deploy(cfg.Secrets, natsStore, cfg.Shards)
	if err != nil {
		return Made{}, err
	}
	made := Made{Secrets: cfg.Secrets}
	if made.NATS, err = write(cfg.NATS, "nats.conf", append(nats.Config, "include ./"+local+"\n"...)); err != nil {
		return Made{}, err
	}
	if err := keep(cfg.NATS, local, "# What you write here is kept, as tls {}: nats.conf, which reads it last, is made anew by rescind keys init.\n"); err != nil {
		return Made{}, err
	}
	users, err := Users(keys, cfg.Database)
	if err != nil {
		return Made{}, err
	}
	accounts, err := engine.UsersXML(users)
	if err != nil {
		return Made{}, err
	}
	if made.ClickHouse, err = write(cfg.ClickHouse, "rescind.xml", accounts); err != nil {
		return Made{}, err
	}
	feed, err := keys.FeedPublicKey()
	made.FeedKey = base64.StdEncoding.EncodeToString(feed)
	return made, err
}

// Users are the accounts of ClickHouse that Rescind's roles use, each with the
// rights that it needs in the database.
func Users(keys *secrets.Folder, database string) ([]engine.User, error) {
	grants := map[string][]string{
		"migrator":  append(audit.MigratorGrants(database), "CREATE DATABASE ON "+database+".*"),
		"projector": audit.Grants(database),
		"api":       store.Grants(database),
		"rebuilder": rebuild.Grants(database),
	}
	var out []engine.User
	for _, name := range []string{"migrator", "projector", "api", "rebuilder"} {
		password, err := secrets.ReadPassword(keys.ClickHousePassword(name))
		if err != nil {
			return nil, err
		}
		out = append(out, engine.User{Name: name, Password: password, Grants: grants[name]})
	}
	return out, nil
}

// keep writes a file that is not there.
func keep(dir, name, text string) error {
	if _, err := os.Stat(filepath.Join(dir, name)); dir == "" || err == nil {
		return nil
	}
	_, err := write(dir, name, []byte(text))
	return err
}

// write puts a file that its reader, another user, can read into dir.
func write(dir, name string, b []byte) (string, error) {
	if dir == "" {
		return "", nil
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	return path, nil
}
