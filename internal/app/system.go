package app

import (
	"context"
	"errors"
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

// startEvery is how often a start is said again that the intake did not take.
const startEvery = time.Second

// started says that the writer of log starts (PCI DSS 10.2.1.6). On an empty log
// that comes before anything else, so that the first record is never a
// revocation: the position of a view that has seen that one is the position of
// a view that has seen nothing. On another log a start that is not taken keeps
// nobody from writing, as only the writer empties an intake that is full: unsaid
// is what is left to say then.
func (a *app) started(ctx context.Context, js jetstream.JetStream, log *stream.Log) (unsaid *statement, err error) {
	start, err := a.statement(events.SystemStarted, log.Shard())
	if err != nil {
		return nil, err
	}
	refused := start.publish(ctx, js)
	if refused == nil {
		return nil, nil
	}
	switch last, err := log.Last(ctx); {
	case err != nil:
		return nil, errors.Join(refused, err)
	case last.Seq == 0:
		return nil, fmt.Errorf("%w; nothing is on %s yet, and its first record has to be this one: where the intake is full, raise nats.intake_max_bytes", refused, log.Stream())
	}
	a.log.Warn("the start is not in the intake yet", "shard", log.Shard(), "err", refused)
	return start, nil
}

// late says what started could not, once the writer has begun: the same event,
// so that it is on the log once whatever became of the first.
func (a *app) late(ctx context.Context, js jetstream.JetStream, unsaid *statement, begun <-chan struct{}) error {
	select {
	case <-begun:
	case <-ctx.Done():
		return nil
	}
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	for unsaid.publish(ctx, js) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// stopped is logged by whoever writes the log next.
func (a *app) stopped(ctx context.Context, js jetstream.JetStream, shard uint16) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	stop, err := a.statement(events.SystemStopped, shard)
	if err == nil {
		err = stop.publish(ctx, js)
	}
	if err != nil {
		a.log.Warn("the stop is not on the log", "shard", shard, "err", err)
	}
}

// statement is an event about the deployment itself.
type statement struct {
	typ     events.Type
	subject string
	body    []byte
}

func (a *app) statement(t events.Type, shard uint16) (*statement, error) {
	tenant := systemTenantOf(shard, a.cfg.Shards)
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", t.Name(), err)
	}
	body, err := events.MarshalEvent(&events.Event{
		ID: id.String(), Source: systemSource, Type: t, Time: time.Now().UTC().Truncate(time.Microsecond),
		Tenant: tenant, Environment: a.cfg.Environment, Data: events.Data{Actor: systemSource},
	})
	return &statement{t, stream.ServiceSubject(tenant, t), body}, err
}

func (s *statement) publish(ctx context.Context, js jetstream.JetStream) error {
	if _, err := js.Publish(ctx, s.subject, s.body); err != nil {
		return fmt.Errorf("publish %s: %w", s.typ.Name(), err)
	}
	return nil
}
