package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/dsr"
	"github.com/rescindhq/rescind/query/proposal"
)

// Source is the CloudEvents source of the events that this package publishes.
const Source = "rescind:api"

// Config is what a Server needs.
type Config struct {
	// Auth says whose access tokens are accepted. Required.
	Auth AuthConfig

	// Policy is the deployment's, as the intake has it, so that refusals are
	// immediate. Environment is required.
	Policy events.Policy

	// Shards is how many logs tenants are split over, as in the lane. Default 1;
	// at most events.MaxShards.
	Shards int

	// What the routes are made of. All are required.
	Publisher  Publisher
	Lane       Lane // must not run before New was called
	Events     EventStore
	Findings   FindingStore
	Keyring    Keyring
	IntakeKeys EnvelopeKeys
	Decider    Decider
	Reach      ReachStore
	History    History
	Requests   Requests
	Quarantine QuarantineStore
	Feed       Feed

	// OpenDSR signs what controllers are answered. Default none: its routes are
	// answered 404.
	OpenDSR *dsr.Signer

	// Bulk publishes the lines of bulk jobs, whose order does not matter. Default
	// Publisher.
	Bulk Publisher

	// Shares bound what one caller or tenant does at once. None may be below 0.
	Shares Shares

	// CallbackKeys is the public keys that callbacks are signed with. Default none
	// are.
	CallbackKeys func(context.Context) ([]Key, error)
	// Exports hands out what requests were answered with. Default nobody does:
	// there is none.
	Exports Exports

	// Receipts knows who enforces revocations. Default nobody does: Prefer: wait
	// is ignored then, no revocation says where it is enforced, and GET
	// /v1/verifiers is answered 503.
	Receipts Receipts

	// Probes are what GET /readyz asks. Default none: always ready.
	Probes []Probe

	// Registry is what GET /metrics shows; the server adds its own metrics.
	// Default a new one.
	Registry *prometheus.Registry

	// WaitFor is how long a revocation waits to be on the log before the
	// answer goes out without its position. Default 2 s; above 0.
	WaitFor time.Duration

	// MaxLifetime is the longest that a token may live, and Skew how far the
	// clocks of verifiers may be apart: as the intake has them. Revocations of
	// what has expired by them everywhere are refused. Default 24 h and 1 min;
	// above 0.
	MaxLifetime time.Duration
	Skew        time.Duration

	// LeakBound is how old a verifier's view may be: what is accepted later
	// after its revocation is late. Default 5 s; above 0.
	LeakBound time.Duration

	// ApprovalAbove is how many subjects a revocation of scope client, key,
	// issuer or tenant may hit without a second person. Default 0: nobody is
	// asked. ApprovalTTL is how long a proposal waits to be approved, and an
	// approval to be used. Default 1 h; above 0.
	ApprovalAbove uint64
	ApprovalTTL   time.Duration

	// CountFor is how long a wide revocation waits to know what it hits.
	// Revoking must not wait for the audit store: what cannot be counted in
	// that time is revoked, and its event says so. Default 2 s; above 0.
	CountFor time.Duration

	// Timeout bounds every request but those that last by nature, each of which
	// has bounds of its own. Default 30 s; above 0.
	Timeout time.Duration

	// Revocations is how many of the last revocations are kept in memory, so
	// that they can be shown and lifted at once and while the audit store is
	// away; about 600 bytes each. Default 10,000; up to 10,000,000.
	Revocations int

	// Now is the clock. Default time.Now.
	Now func() time.Time

	// Logger is told of faults of ours, never of a person. Default
	// slog.Default.
	Logger *slog.Logger
}

func (c *Config) defaults() {
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Bulk == nil {
		c.Bulk = c.Publisher
	}
	c.Shards = max(c.Shards, 1)
	c.Shares.defaults()
	if c.WaitFor == 0 {
		c.WaitFor = 2 * time.Second
	}
	if c.MaxLifetime == 0 {
		c.MaxLifetime = 24 * time.Hour
	}
	if c.Skew == 0 {
		c.Skew = time.Minute
	}
	if c.LeakBound == 0 {
		c.LeakBound = 5 * time.Second
	}
	if c.CountFor == 0 {
		c.CountFor = 2 * time.Second
	}
	if c.ApprovalTTL == 0 {
		c.ApprovalTTL = time.Hour
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Revocations == 0 {
		c.Revocations = 10_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c.defaults()
	faults := []error{c.Auth.validate()}
	for _, part := range []struct {
		name    string
		missing bool
	}{
		{"publisher", c.Publisher == nil}, {"lane", c.Lane == nil}, {"events", c.Events == nil},
		{"findings", c.Findings == nil}, {"keyring", c.Keyring == nil}, {"intake keys", c.IntakeKeys == nil}, {"decider", c.Decider == nil},
		{"reach", c.Reach == nil}, {"history", c.History == nil},
		{"requests", c.Requests == nil}, {"quarantine", c.Quarantine == nil}, {"feed", c.Feed == nil}, {"policy: environment", c.Policy.Environment == ""},
	} {
		if part.missing {
			faults = append(faults, fmt.Errorf("%s is missing", part.name))
		}
	}
	if c.WaitFor < 0 || c.Timeout < 0 {
		faults = append(faults, errors.New("wait_for and timeout: want more than 0"))
	}
	if c.MaxLifetime < 0 || c.Skew < 0 {
		faults = append(faults, errors.New("max_lifetime and skew: want more than 0"))
	}
	if c.LeakBound < 0 || c.ApprovalTTL < 0 || c.CountFor < 0 {
		faults = append(faults, errors.New("leak_bound, approval_ttl and count_for: want more than 0"))
	}
	if min(c.Shares.Bulk, c.Shares.BulkOfTenant, c.Shares.Streams, c.Shares.Past, c.Shares.Downloads) < 0 {
		faults = append(faults, errors.New("shares: want more than 0"))
	}
	if c.Shards > events.MaxShards {
		faults = append(faults, fmt.Errorf("shards %d: want 1 to %d", c.Shards, events.MaxShards))
	}
	if c.Revocations < 1 || c.Revocations > 10_000_000 {
		faults = append(faults, fmt.Errorf("revocations %d: want 1 to 10000000", c.Revocations))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	return nil
}

// Server answers the routes of schemas/openapi.yaml.
type Server struct {
	cfg       Config
	log       *slog.Logger
	echo      *echo.Echo
	verifier  *verifier
	jwks      []byte
	metrics   http.Handler
	recent    *revocations
	bulk      *bulk
	shares    shares
	proposals *proposal.Book
	requests  *prometheus.HistogramVec
}

var _ ServerInterface = (*Server)(nil)

// New is a server that follows cfg.Lane. It opens no listener: serve its
// Handler.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.defaults()
	if cfg.Auth.Now == nil {
		cfg.Auth.Now = cfg.Now
	}
	v, err := newVerifier(cfg.Auth)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	jwks, err := MarshalJWKS(cfg.Auth.Keys)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	s := &Server{
		cfg: cfg, log: cfg.Logger, verifier: v, jwks: jwks, recent: newRevocations(cfg.Revocations), bulk: newBulk(), shares: newShares(cfg.Shares),
		proposals: proposal.NewBook(proposal.Config{TTL: cfg.ApprovalTTL, Revoker: Source}),
		metrics:   promhttp.HandlerFor(cfg.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}),
	}
	if err := s.register(); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	cfg.Lane.Handle(s.recent.apply)
	cfg.Lane.Handle(s.bulk.apply)
	cfg.Lane.Handle(s.proposals.Apply)
	s.echo = s.routes()
	return s, nil
}

// Handler serves every route.
func (s *Server) Handler() http.Handler { return s.echo }

func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = s.fail
	e.Use(s.around)
	guards := map[string][]echo.MiddlewareFunc{}
	for operation, scopes := range access {
		if len(scopes) > 0 {
			guards[operation] = []echo.MiddlewareFunc{s.require(scopes...)}
		}
	}
	RegisterHandlersWithOptions(e, s, RegisterHandlersOptions{OperationMiddlewares: guards})
	return e
}

// register adds the server's metrics. A route is named by its pattern, so the
// labels are a bounded set.
func (s *Server) register() error {
	s.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "rescind_http_request_seconds", Help: "Time to answer a request, by route and status.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
	}, []string{"route", "method", "status"})
	return s.cfg.Registry.Register(s.requests)
}

// around is what every request gets: an id, headers, a deadline, and a problem
// for a panic.
func (s *Server) around(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		h := c.Response().Header()
		h.Set(echo.HeaderXRequestID, "urn:uuid:"+uuid.NewString())
		h.Set(echo.HeaderCacheControl, "no-store")
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		if !lasting(c) {
			ctx, cancel := context.WithTimeout(c.Request().Context(), s.cfg.Timeout)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
		}
		if err := s.recovered(next, c); err != nil {
			s.fail(err, c)
		}
		if isStream(c) {
			return nil // how long it was open is no time to answer
		}
		s.requests.WithLabelValues(c.Path(), method(c), strconv.Itoa(c.Response().Status)).Observe(time.Since(began).Seconds())
		return nil
	}
}

// method is the request's, or "other": anybody can make up one.
func method(c echo.Context) string {
	known := []string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete}
	if slices.Contains(known, c.Request().Method) {
		return c.Request().Method
	}
	return "other"
}

func (s *Server) recovered(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(c.Request().Context(), "panic in a handler", slog.String("route", c.Path()), slog.String("stack", string(debug.Stack())))
			err = errDefect
		}
	}()
	return next(c)
}

// publish validates our own events as the intake will, and publishes them. A
// *events.Refusal is the fault of what the caller sent.
func (s *Server) publish(ctx context.Context, evs ...events.Event) error {
	for i := range evs {
		if r := s.cfg.Policy.Validate(&evs[i], s.cfg.Now()); r != nil {
			return r
		}
	}
	return s.cfg.Publisher.Publish(ctx, evs...)
}

// event is an event of ours, now.
func (s *Server) event(t events.Type, tenant string, d events.Data) (events.Event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return events.Event{}, fmt.Errorf("make an id: %w", err)
	}
	return events.Event{
		ID: id.String(), Source: Source, Type: t, Time: s.cfg.Now().UTC().Truncate(time.Microsecond),
		Tenant: tenant, Environment: s.cfg.Policy.Environment, Data: d,
	}, nil
}

// position waits a bounded time for ev to be on the log; nil where it is not
// there yet.
func (s *Server) position(ctx context.Context, ev events.Event) *uint64 {
	return s.positionWithin(ctx, ev, s.cfg.WaitFor)
}

func (s *Server) positionWithin(ctx context.Context, ev events.Event, d time.Duration) *uint64 {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	index, err := s.cfg.Lane.Wait(ctx, events.EventRef(ev.Tenant, ev.Source, ev.ID))
	if err != nil {
		return nil
	}
	return &index
}
