package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nkeys"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/rootdir"
	"github.com/rescindhq/rescind/internal/config"
)

// Check is every fault of c, and of the files and secrets that its roles would
// read. It connects to nothing: what Vault, KMS, NATS and ClickHouse hold is not
// asked.
func Check(c Config) error {
	a, err := open(c)
	if err != nil {
		return err
	}
	return errors.Join(a.checkKeys(), a.checkNATS(), a.checkClickHouse(), a.checkHTTP())
}

func (a *app) checkKeys() error {
	var errs []error
	if a.cfg.Runs(config.RoleRevoke) || a.cfg.Runs(config.RoleAPI) {
		_, err := a.feedKey()
		errs = append(errs, err)
	}
	root := a.cfg.Keys.Root
	if path, ok := root.Dir(); ok {
		_, err := rootdir.Open(path)
		errs = append(errs, named("keys.root", err))
	}
	if root.Permanent() {
		text, err := root.Secret().Resolve(a.getenv)
		if err == nil {
			_, err = seal.ParseKEK(text)
		}
		errs = append(errs, named("keys.root", err))
	}
	return errors.Join(append(errs, a.checkSecret("keys.root_token", a.cfg.Keys.RootToken))...)
}

func (a *app) checkNATS() error {
	n := a.cfg.NATS
	errs := []error{checkCreds("nats.operator_creds", n.OperatorCreds), checkCreds("nats.projector_creds", n.ProjectorCreds)}
	if a.cfg.Runs(config.RoleAPI) {
		errs = append(errs, checkCreds("nats.api_creds", n.APICreds))
	}
	_, err := clientTLS(n.CA)
	return errors.Join(append(errs, named("nats.ca", err))...)
}

func (a *app) checkClickHouse() error {
	c := a.cfg.ClickHouse
	var errs []error
	if a.cfg.Runs(config.RoleAudit) {
		errs = append(errs, a.checkSecret("clickhouse.migrator_password", c.MigratorPassword), a.checkSecret("clickhouse.projector_password", c.ProjectorPassword))
	}
	if a.cfg.Runs(config.RoleAPI) {
		errs = append(errs, a.checkSecret("clickhouse.api_password", c.APIPassword))
	}
	_, err := clientTLS(c.CA)
	return errors.Join(append(errs, named("clickhouse.ca", err))...)
}

func (a *app) checkHTTP() error {
	var errs []error
	if h := a.cfg.HTTP; h.Cert != "" {
		_, err := tls.LoadX509KeyPair(h.Cert, h.Key)
		errs = append(errs, named("http.cert", err))
	}
	if !a.cfg.Runs(config.RoleAPI) {
		return errors.Join(errs...)
	}
	_, err := a.auth()
	errs = append(errs, err)
	if a.cfg.OpenDSR.Cert != "" {
		_, err = a.openDSR()
		errs = append(errs, err)
	}
	_, err = readStatement(a.cfg.Requests.Statement)
	return errors.Join(append(errs, err)...)
}

func (a *app) checkSecret(key string, s config.Secret) error {
	_, err := s.Resolve(a.getenv)
	return named(key, err)
}

// checkCreds reads a credentials file, where one is named: who has none is known
// to the server by the URL, or is somebody.
func checkCreds(key, path string) error {
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err == nil {
		_, err = nkeys.ParseDecoratedUserNKey(b)
	}
	return named(key, err)
}

func named(key string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}
