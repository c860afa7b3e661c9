package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// identity is every key of a deployment: an operator that vouches for the
// accounts, the system account that the server needs, our accounts, and for
// each role a signing key of its account and one user.
//
// Permissions hang on the role's signing key in the account's JWT, which is
// made anew at each start: a change of Permissions reaches credentials that
// were handed out long ago.
type identity struct {
	dir      string
	shards   int // logs that the permissions are for
	operator nkeys.KeyPair
	system   nkeys.KeyPair
	accounts map[account]nkeys.KeyPair
	signers  map[Role]nkeys.KeyPair
	creds    map[Role]string
}

// openIdentity finds the keys in dir, or makes those that are missing.
func openIdentity(dir string) (*identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	id := &identity{dir: dir, shards: 1, accounts: map[account]nkeys.KeyPair{}, signers: map[Role]nkeys.KeyPair{}, creds: map[Role]string{}}
	var err, errs error
	id.operator, err = id.key("operator", nkeys.PrefixByteOperator)
	errs = errors.Join(errs, err)
	id.system, err = id.key("system", nkeys.PrefixByteAccount)
	errs = errors.Join(errs, err)
	for _, a := range accounts() {
		id.accounts[a], err = id.key(string(a), nkeys.PrefixByteAccount)
		errs = errors.Join(errs, err)
	}
	for _, r := range Roles() {
		id.signers[r], err = id.key("role-"+string(r), nkeys.PrefixByteAccount)
		errs = errors.Join(errs, err)
	}
	if errs != nil {
		return nil, errs
	}
	return id, id.writeCreds()
}

// key reads the seed of that name, or makes and stores it.
func (id *identity) key(name string, kind nkeys.PrefixByte) (nkeys.KeyPair, error) {
	file := filepath.Join(id.dir, name+".nk")
	seed, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return newKey(file, kind)
	case err != nil:
		return nil, err
	}
	if err := private(file); err != nil {
		return nil, err
	}
	kp, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return kp, nil
}

// private refuses a key file that others can read.
func private(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o: want 0600", file, info.Mode().Perm())
	}
	return nil
}

func newKey(file string, kind nkeys.PrefixByte) (nkeys.KeyPair, error) {
	kp, err := nkeys.CreatePair(kind)
	if err != nil {
		return nil, err
	}
	seed, err := kp.Seed()
	if err != nil {
		return nil, err
	}
	return kp, writeFile(file, seed)
}

// writeFile writes a secret whole or not at all: a start that is killed must
// not leave half a key for the next one.
func writeFile(file string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// writeCreds writes the credentials of each role that has none of its account.
func (id *identity) writeCreds() error {
	for _, r := range Roles() {
		id.creds[r] = filepath.Join(id.dir, string(r)+".creds")
		switch current, err := id.current(r); {
		case err != nil:
			return fmt.Errorf("credentials of %s: %w", r, err)
		case current:
			continue
		}
		data, err := id.newUser(r)
		if err != nil {
			return fmt.Errorf("credentials of %s: %w", r, err)
		}
		if err := writeFile(id.creds[r], data); err != nil {
			return err
		}
	}
	return nil
}

// current reports whether r has credentials, and of the account that it is in:
// issuers and verifiers were in the core's once.
func (id *identity) current(r Role) (bool, error) {
	data, err := os.ReadFile(id.creds[r])
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	token, err := jwt.ParseDecoratedJWT(data)
	if err != nil {
		return false, err
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return false, err
	}
	return claims.IssuerAccount == public(id.accounts[accountOf(r)]), nil
}

// newUser is the credentials of a new user of role r.
func (id *identity) newUser(r Role) ([]byte, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	seed, err := user.Seed()
	if err != nil {
		return nil, err
	}
	claims := jwt.NewUserClaims(public(user))
	claims.Name = string(r)
	claims.IssuerAccount = public(id.accounts[accountOf(r)])
	claims.SetScoped(true)
	token, err := claims.Encode(id.signers[r])
	if err != nil {
		return nil, err
	}
	return jwt.FormatUserConfig(token, seed)
}

// public is the public half of kp, which is one that we made or read.
func public(kp nkeys.KeyPair) string {
	s, err := kp.PublicKey()
	if err != nil {
		return ""
	}
	return s
}

// options are the server's options.
func (id *identity) options(cfg Config) (*server.Options, error) {
	operator := jwt.NewOperatorClaims(public(id.operator))
	operator.Name = "rescind"
	operator.SystemAccount = public(id.system)
	resolver, err := id.resolver()
	if err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName: "rescind", Host: cfg.Host, Port: cfg.Port,
		JetStream: true, StoreDir: filepath.Join(id.dir, "data"), JetStreamMaxStore: cfg.MaxStore,
		SyncAlways: cfg.SyncEvery == 0, SyncInterval: cfg.SyncEvery,
		MaxPayload: MaxPayload, TrustedOperators: []*jwt.OperatorClaims{operator},
		SystemAccount: public(id.system), AccountResolver: resolver,
		NoSigs: true, NoLog: cfg.Log == nil, DisableJetStreamBanner: true,
	}
	if opts.Host == "" {
		opts.Host = "127.0.0.1"
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return opts, nil
}

// resolver holds the JWTs of the system account and ours.
func (id *identity) resolver() (*server.MemAccResolver, error) {
	system := jwt.NewAccountClaims(public(id.system))
	system.Name = "system"
	all := []*jwt.AccountClaims{system}
	for _, a := range accounts() {
		all = append(all, id.claims(a))
	}
	m := new(server.MemAccResolver)
	for _, claims := range all {
		if err := valid(claims); err != nil {
			return nil, err
		}
		token, err := claims.Encode(id.operator)
		if err != nil {
			return nil, err
		}
		if err := m.Store(claims.Subject, token); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// valid refuses claims that the server would drop in part, and say nothing.
func valid(claims *jwt.AccountClaims) error {
	faults := jwt.CreateValidationResults()
	claims.Validate(faults)
	return errors.Join(faults.Errors()...)
}

func scope(r Role, key string, shards int) *jwt.UserScope {
	s := jwt.NewUserScope()
	s.Key, s.Role, s.Template.Permissions = key, string(r), Permissions(r, shards)
	s.Template.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeStandard}
	return s
}
