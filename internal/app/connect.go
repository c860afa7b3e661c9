package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/rootaws"
	"github.com/rescindhq/rescind/events/seal/rootdir"
	"github.com/rescindhq/rescind/events/seal/rootgcp"
	"github.com/rescindhq/rescind/events/seal/rootvault"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/internal/natsd"
)

// bus is a connection to NATS in one role.
type bus struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// connect connects in a role. What NATS denies is logged, and told to denied,
// which may be nil: the request itself would only wait for an answer.
func (a *app) connect(role natsd.Role, creds string, denied func(error)) (*bus, error) {
	opts := append(natsd.Options(role, creds),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			a.log.Error("nats refuses", "role", string(role), "err", err)
			if denied != nil && errors.Is(err, nats.ErrPermissionViolation) {
				denied(err)
			}
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				a.log.Warn("nats disconnected", "role", string(role), "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { a.log.Info("nats reconnected", "role", string(role)) }),
	)
	if ca := a.cfg.NATS.CA; ca != "" {
		opts = append(opts, nats.RootCAs(ca))
	}
	nc, err := nats.Connect(a.cfg.NATS.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats at %s as %s: %w", a.cfg.NATS.URL, role, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("jetstream as %s: %w", role, err)
	}
	return &bus{nc: nc, js: js}, nil
}

// ensureStreams brings the streams up to date with the operator's credentials,
// and drops them at once. Without such credentials the streams must be there.
func (a *app) ensureStreams(ctx context.Context) error {
	if a.cfg.NATS.OperatorCreds == "" {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b, err := a.connect(natsd.Operator, a.cfg.NATS.OperatorCreds, func(err error) {
		cancel(fmt.Errorf("nats.operator_creds %s: %w", a.cfg.NATS.OperatorCreds, err))
	})
	if err != nil {
		return err
	}
	defer b.nc.Close()
	err = stream.Ensure(ctx, b.js, a.topology())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// topology is the streams of this deployment.
func (a *app) topology() stream.Topology {
	return stream.Topology{Shards: a.cfg.Shards, Replicas: a.cfg.NATS.Replicas, IntakeMaxBytes: a.cfg.NATS.IntakeMaxBytes}
}

// checkLogs says whether the logs are as many as the configuration says, and
// those that this deployment began with.
func (a *app) checkLogs(ctx context.Context, js jetstream.JetStream) error {
	if err := stream.CheckShards(ctx, js, a.cfg.Shards); err != nil {
		return err
	}
	for shard := range a.cfg.Shards {
		if err := stream.Anchor(ctx, js, stream.LogStreamOf(uint16(shard))); err != nil {
			return err
		}
	}
	return nil
}

// keyring opens the keyring over b and keeps its caches free of people who are
// forgotten elsewhere.
func (a *app) keyring(ctx context.Context, b *bus) (*seal.Keyring, error) {
	cfg, err := a.keyringConfig(ctx, b)
	if err != nil {
		return nil, err
	}
	var keys *seal.Keyring
	holder, err := stream.NewHolder(b.nc, func(tenant, handle string) { keys.Evict(tenant, handle) })
	if err != nil {
		return nil, err
	}
	cfg.Held, cfg.OnTampering = holder.Live, a.watchTampering(b)
	keys, err = seal.NewKeyring(cfg)
	if err != nil {
		return nil, err
	}
	a.beside(holder.Run)
	a.beside(func(ctx context.Context) error { return a.forgetEpochs(ctx, keys) })
	_, err = b.nc.Subscribe(stream.LiveErasures+".>", func(m *nats.Msg) {
		place := strings.TrimPrefix(m.Subject, stream.LiveErasures+".")
		if tenant, handle, ok := strings.Cut(place, "."); ok {
			keys.Evict(tenant, handle)
		}
	})
	return keys, err
}

// keyringConfig is where the keyring is, and how long its epochs last.
func (a *app) keyringConfig(ctx context.Context, b *bus) (cfg seal.Config, err error) {
	cfg.EpochLasts, cfg.EpochKeep = a.cfg.Keys.Epoch, a.cfg.Keys.Keep
	if cfg.EpochKeep == 0 {
		cfg.EpochKeep = -1 // 0 is the default there
	}
	if cfg.Root, err = a.root(ctx); err != nil {
		return cfg, fmt.Errorf("keys.root: %w", err)
	}
	cfg.Store, err = stream.OpenKeyStore(ctx, b.js)
	return cfg, err
}

// root is where the keys of the keyring's epochs are.
func (a *app) root(ctx context.Context) (seal.Root, error) {
	if path, ok := a.cfg.Keys.Root.Dir(); ok {
		return rootdir.Open(path)
	}
	if url, ok := a.cfg.Keys.Root.Vault(); ok {
		return rootvault.New(rootvault.Config{URL: url, Token: func() (string, error) { return a.cfg.Keys.RootToken.Resolve(a.getenv) }})
	}
	if region, ok := a.cfg.Keys.Root.AWS(); ok {
		return rootaws.New(ctx, rootaws.Config{Region: region})
	}
	if key, ok := a.cfg.Keys.Root.GCP(); ok {
		return rootgcp.New(ctx, rootgcp.Config{Key: key})
	}
	text, err := a.cfg.Keys.Root.Secret().Resolve(a.getenv)
	if err != nil {
		return nil, err
	}
	return seal.ParseKEK(text)
}

// clickHouse is how to reach ClickHouse as one user.
func (a *app) clickHouse(user string, password config.Secret) (*clickhouse.Options, error) {
	c := a.cfg.ClickHouse
	secret, err := password.Resolve(a.getenv)
	if err != nil {
		return nil, fmt.Errorf("clickhouse user %s: %w", user, err)
	}
	o := &clickhouse.Options{
		Addr: []string{c.Addr}, Auth: clickhouse.Auth{Database: c.Database, Username: user, Password: secret},
		DialTimeout: 5 * time.Second, Compression: &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
	}
	if c.Secure {
		if o.TLS, err = clientTLS(c.CA); err != nil {
			return nil, fmt.Errorf("clickhouse.ca: %w", err)
		}
	}
	return o, nil
}

func clientTLS(ca string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca == "" {
		return c, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	return c, nil
}
