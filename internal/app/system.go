package app

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

const (
	// systemTenant is the tenant of events about the deployment itself.
	systemTenant = "rescind"
	systemSource = "rescind:intake"
)

// systemTenantOf is the tenant of events about one shard, which are on its own
// log: the first of rescind, rescind-1, rescind-2 and so on that is in it.
func systemTenantOf(shard uint16, shards int) string {
	tenant := systemTenant
	for i := 1; events.ShardOf(tenant, shards) != shard; i++ {
		tenant = fmt.Sprintf("%s-%d", systemTenant, i)
	}
	return tenant
}

// started says on the log of a shard that its writer starts (PCI DSS 10.2.1.6).
// It comes before anything else, so that the first record of a log is never a
// revocation: the position of a view that has seen that one is the position of
// a view that has seen nothing.
func (a *app) started(ctx context.Context, js jetstream.JetStream, shard uint16) error {
	return a.say(ctx, js, events.SystemStarted, shard)
}

// stopped is logged by whoever writes the log next.
func (a *app) stopped(ctx context.Context, js jetstream.JetStream, shard uint16) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := a.say(ctx, js, events.SystemStopped, shard); err != nil {
		a.log.Warn("the stop is not on the log", "shard", shard, "err", err)
	}
}

func (a *app) say(ctx context.Context, js jetstream.JetStream, t events.Type, shard uint16) error {
	tenant := systemTenantOf(shard, a.cfg.Shards)
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("publish %s: %w", t.Name(), err)
	}
	body, err := events.MarshalEvent(&events.Event{
		ID: id.String(), Source: systemSource, Type: t, Time: time.Now().UTC().Truncate(time.Microsecond),
		Tenant: tenant, Environment: a.cfg.Environment, Data: events.Data{Actor: systemSource},
	})
	if err != nil {
		return err
	}
	if _, err := js.Publish(ctx, stream.ServiceSubject(tenant, t), body); err != nil {
		return fmt.Errorf("publish %s: %w", t.Name(), err)
	}
	return nil
}
