package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/query/erasure/gate"
	"github.com/rescindhq/rescind/query/erasure/ledger"
)

const (
	gateLock = "gate"
	gateTTL  = 5 * time.Second // who was killed in it keeps others for no longer
)

// gate lets this process pass once nothing that was erased is back. What only
// revokes or records has nobody's key, and waits for nothing. The bus of the API is
// nil where there is none.
func (a *app) gate(ctx context.Context, b, api *bus) error {
	if !a.cfg.Runs(config.RoleIntake) && !a.cfg.Runs(config.RoleAPI) {
		return nil
	}
	keys, err := a.gateKeyring(ctx, b)
	if err != nil {
		return err
	}
	if err := a.openLedger(ctx, keys); err != nil {
		return err
	}
	logs, err := stream.OpenLogs(ctx, b.js, a.cfg.Shards)
	if err != nil {
		return err
	}
	_, err = gate.Pass(ctx, gate.Config{
		Ledger: a.erasures(), Logs: gateLogs(logs), Keyring: keys, Exports: exportsOf(api), Environment: a.cfg.Environment, Logger: a.log,
		TenantOf: func(shard uint16) string { return systemTenantOf(shard, a.cfg.Shards) },
		Publish:  func(ctx context.Context, ev events.Event) error { return b.publish(ctx, ev) },
		Drop: func(ctx context.Context) error {
			_, err := stream.AwaitEviction(ctx, b.js, systemTenant, "")
			return err
		},
		Lock: func(ctx context.Context) (func(), error) { return stream.AcquireLock(ctx, b.js, gateLock, gateTTL) },
	})
	return err
}

// gateKeyring is a keyring that keeps nothing of anybody in memory.
func (a *app) gateKeyring(ctx context.Context, b *bus) (*seal.Keyring, error) {
	cfg, err := a.keyringConfig(ctx, b)
	if err != nil {
		return nil, err
	}
	return seal.NewKeyring(cfg)
}

// openLedger opens the erasure ledger of the keyring, where there is to be one.
func (a *app) openLedger(ctx context.Context, keys *seal.Keyring) error {
	dir := a.cfg.LedgerDir()
	if dir == "" {
		a.log.Warn("there is no erasure.ledger: a backup of all data, restored, brings back who was erased since")
		return nil
	}
	id, secret, err := keys.LedgerKey(ctx)
	if errors.Is(err, seal.ErrEpoch) {
		err = fmt.Errorf("%w: the keyring is from an epoch whose key is destroyed, and opens nothing: restore a newer copy", err)
	}
	if err != nil {
		return err
	}
	a.ledger, err = ledger.Open(dir, ledger.Key{ID: id, Secret: secret})
	return err
}

// erasures is the ledger, or one that keeps nothing.
func (a *app) erasures() gate.Ledger {
	if a.ledger == nil {
		return noLedger{}
	}
	return a.ledger
}

// noLedger has the gate read all that the logs say of erasures, each time.
type noLedger struct{}

func (noLedger) Read(context.Context, func(ledger.Entry) error) error { return nil }
func (noLedger) Append(context.Context, ...ledger.Entry) error        { return nil }

// exportsOf is the exports that a process serves, which whoever has no API may not
// touch.
func exportsOf(api *bus) gate.Exports {
	if api == nil {
		return noExports{}
	}
	return stream.NewExports(api.js)
}

// noExports is those of a process that serves none.
type noExports struct{}

func (noExports) People(context.Context) (map[seal.Reference]bool, error) { return nil, nil }
func (noExports) DropAll(context.Context, string, events.Ref) error       { return nil }

func gateLogs(logs []*stream.Log) (out []gate.Log) {
	for _, l := range logs {
		out = append(out, l)
	}
	return out
}

// publish puts an event of ours into the intake, which names nobody.
func (b *bus) publish(ctx context.Context, ev events.Event) error {
	body, err := events.MarshalEvent(&ev)
	if err != nil {
		return err
	}
	_, err = b.js.Publish(ctx, stream.ServiceSubject(ev.Tenant, ev.Type), body)
	return err
}
