package stream

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/internal/faults"
)

// PublisherConfig says who publishes, and how much may wait.
type PublisherConfig struct {
	// Conn is the connection, with credentials that may publish the types in
	// question. It is not closed by the publisher. Required.
	Conn *nats.Conn
	// Tenant is given to events that name none. Where it is empty, every event
	// must name its own.
	Tenant string
	// Environment is given to events that name none, and is what each must name:
	// an event of another environment is refused here.
	Environment string
	// Source is given to events that name none: a URI-reference of the publisher.
	Source string
	// Service says that this is one of Rescind's own services: events with a
	// source of our own are published where the credentials of issuers and
	// verifiers do not reach. Without it such an event is refused.
	Service bool
	// BatchEvents is how many events travel in one message at most. Default
	// 500, 1 to 1000. They are of one tenant and one type.
	BatchEvents int
	// Abreast is how many messages of one tenant and type may be under way at
	// once. Default 1, which keeps the order of their events; at most 16. More
	// is for events of which any may come first.
	Abreast int
	// Linger is how long an event waits for others to share its message. 0, the
	// default, sends at once; what comes while a message is under way shares
	// the next. At most 1 s.
	Linger time.Duration
	// MaxPendingEvents bounds the events that wait for their outcome. Default
	// 100,000. At the bound Publish and Queue wait. When as many that were queued
	// have failed and wait for Flush to report them, Queue refuses.
	MaxPendingEvents int
	// MaxPendingBytes bounds what they take encoded, likewise. Default 64 MiB, at
	// least 2.
	MaxPendingBytes int64
	// Keys is where the keys come from that events are encrypted to. They are
	// asked for again each hour, and when the one in use ends. Default: of the
	// projector, over Conn (IntakeKeys).
	Keys func(context.Context) (envelope.Set, error)
	// RetryFor is how long an event is tried again, under the same ids, before
	// it is reported as unconfirmed. Default 30 s, at least 1 s.
	RetryFor time.Duration
	// Log is told of messages that had to be tried again. Default
	// slog.DiscardHandler.
	Log *slog.Logger
}

func (c PublisherConfig) withDefaults() PublisherConfig {
	c.BatchEvents = cmp.Or(c.BatchEvents, 500)
	c.Abreast = cmp.Or(c.Abreast, 1)
	c.MaxPendingEvents = cmp.Or(c.MaxPendingEvents, 100_000)
	c.MaxPendingBytes = cmp.Or(c.MaxPendingBytes, 64<<20)
	c.RetryFor = cmp.Or(c.RetryFor, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Keys == nil {
		c.Keys = func(ctx context.Context) (envelope.Set, error) { return IntakeKeys(ctx, c.Conn) }
	}
	return c
}

// Validate reports all faults of c.
func (c PublisherConfig) Validate() error {
	c = c.withDefaults()
	var f faults.List
	f.Check(c.Conn != nil, "conn is missing")
	f.Check(c.Tenant == "" || events.ValidTenant(c.Tenant), "tenant: want 1 to %d of a-z A-Z 0-9 _ -", events.MaxTenantBytes)
	f.Check(c.BatchEvents >= 1 && c.BatchEvents <= 1000, "batch events %d: want 1 to 1000", c.BatchEvents)
	f.Check(c.Abreast >= 1 && c.Abreast <= inFlight, "abreast %d: want 1 to %d", c.Abreast, inFlight)
	f.Check(c.Linger >= 0 && c.Linger <= time.Second, "linger %s: want 0 to 1s", c.Linger)
	f.Check(c.MaxPendingEvents >= 1, "max pending events %d: want at least 1", c.MaxPendingEvents)
	f.Check(c.MaxPendingBytes >= 2*events.MaxMessageBytes, "max pending bytes %d: want at least 2 MiB", c.MaxPendingBytes)
	f.Check(c.RetryFor >= time.Second, "retry for %s: want at least 1s", c.RetryFor)
	return f.Err()
}

// inFlight is how many messages may be under way at once; of one subject it is
// PublisherConfig.Abreast.
const inFlight = 16

// Publisher publishes events, encrypted to the intake. It is safe for many goroutines, which share
// messages.
type Publisher struct {
	cfg     PublisherConfig
	policy  events.Policy
	sealer  sealer
	idKey   [32]byte // of message ids
	js      jetstream.JetStream
	run     context.Context // ends when nothing more is sent
	stop    context.CancelFunc
	places  *semaphore.Weighted // MaxPendingEvents
	bytes   *semaphore.Weighted // MaxPendingBytes
	senders *semaphore.Weighted
	flush   *semaphore.Weighted // one Flush at a time
	scratch sync.Pool           // *[]byte, to encode into
	own     sync.Pool           // *events.Event, to complete and encode
	bodies  sync.Pool           // *[]byte, of messages under way: the client library copies them
	failed  unreported

	mu       sync.Mutex
	closed   bool
	lines    map[kind]*line // those with something to send
	sending  sync.WaitGroup // their goroutines
	queued   *group         // what was queued since the last Flush
	reported []*group       // what a Flush gave up waiting for, for the next one
}

// NewPublisher checks cfg. It does not touch the network.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	cfg = cfg.withDefaults()
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	run, stop := context.WithCancel(context.Background())
	p := &Publisher{
		cfg: cfg, policy: events.Policy{Environment: cfg.Environment}, sealer: sealer{ask: cfg.Keys, now: time.Now}, js: js, run: run, stop: stop,
		places: semaphore.NewWeighted(int64(cfg.MaxPendingEvents)), bytes: semaphore.NewWeighted(cfg.MaxPendingBytes),
		senders: semaphore.NewWeighted(inFlight), flush: semaphore.NewWeighted(1),
		scratch: sync.Pool{New: func() any { return new([]byte) }},
		own:     sync.Pool{New: func() any { return new(events.Event) }},
		bodies:  sync.Pool{New: func() any { return new([]byte) }},
		lines:   map[kind]*line{},
	}
	p.queued = newGroup(&p.failed)
	rand.Read(p.idKey[:])
	return p, nil
}

// Publish returns nil when every event is durable in the intake. Otherwise the
// error is a *NotAccepted, which lists the events that are not; where ctx ends
// first, those without an outcome are ErrUnconfirmed in it.
func (p *Publisher) Publish(ctx context.Context, evs ...events.Event) error {
	g := newGroup(nil)
	own, block, items := slices.Clone(evs), make([]item, len(evs)), make([]*item, len(evs))
	for i := range own {
		p.complete(&own[i])
		block[i] = item{ev: &own[i], of: g}
		items[i] = &block[i]
	}
	g.add(len(items))
	g.seal()
	p.enqueueAll(ctx, items)
	if err := g.wait(ctx); err != nil {
		return outcomeSoFar(g, items, err)
	}
	return outcome(g)
}

// Queue returns when the event has a place in the publisher's memory; its
// outcome is in the next Flush. The error says why it has none.
func (p *Publisher) Queue(ctx context.Context, ev events.Event) error {
	it, own := new(item), p.own.Get().(*events.Event)
	*own = ev
	defer func() { *own = events.Event{}; p.own.Put(own) }()
	p.complete(own)
	if err := p.join(it); err != nil {
		return fmt.Errorf("queue event: %w", err)
	}
	if err := p.enqueue(ctx, it, own); err != nil {
		it.withdraw()
		return fmt.Errorf("queue event: %w", err)
	}
	return nil
}

// join adds it to what the next Flush reports.
func (p *Publisher) join(it *item) error {
	if p.failed.events.Load() >= int64(p.cfg.MaxPendingEvents) || p.failed.bytes.Load() >= p.cfg.MaxPendingBytes {
		return errors.New("as many events have failed as may be pending: call Flush")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	it.of = p.queued
	it.of.add(1)
	return nil
}

// Flush waits until every event that was queued before has its outcome. The
// error is a *NotAccepted of those that were not accepted since the last
// Flush; where ctx ends first it is the error of ctx, and the next Flush
// reports them.
func (p *Publisher) Flush(ctx context.Context) error {
	if err := p.flush.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("flush publisher: %w", err)
	}
	defer p.flush.Release(1)
	p.mu.Lock()
	p.queued.seal()
	p.reported = append(p.reported, p.queued)
	groups := p.reported
	p.queued = newGroup(&p.failed)
	p.mu.Unlock()
	for _, g := range groups {
		if err := g.wait(ctx); err != nil {
			return fmt.Errorf("flush publisher: %w", err)
		}
	}
	p.mu.Lock()
	p.reported = nil
	p.mu.Unlock()
	return outcome(groups...)
}

// Close takes no more events, waits for the outcome of those it has, and
// returns what Flush would. When ctx ends it gives up: what has no outcome then
// is not confirmed. The connection stays open.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		p.sending.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	p.stop()
	<-idle
	p.sealer.refreshing.Wait()                 // nobody sends any more, so that nobody begins another
	return p.Flush(context.WithoutCancel(ctx)) // does not wait: every event has its outcome
}

// Warm asks for the key that events are encrypted to, so that the first event
// does not wait for it. Nobody has to call it, and its error may be ignored:
// what is published asks again.
func (p *Publisher) Warm(ctx context.Context) error {
	_, err := p.sealer.key(ctx)
	return err
}

// complete gives ev what it left out.
func (p *Publisher) complete(ev *events.Event) {
	if ev.ID == "" {
		ev.ID = uuid.Must(uuid.NewV7()).String()
	}
	if ev.Time.IsZero() {
		ev.Time = time.Now()
	}
	ev.Tenant = cmp.Or(ev.Tenant, ev.Data.Tenant, p.cfg.Tenant)
	ev.Environment = cmp.Or(ev.Environment, p.cfg.Environment)
	ev.Source = cmp.Or(ev.Source, p.cfg.Source)
}
