package query

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// WatchConfig is what Watch shows.
type WatchConfig struct {
	// Auth says whose tokens GET /metrics wants, as a Server does. nil answers it
	// for callers on this host, and for nobody else, as far as a proxy here says that
	// it calls for somebody.
	Auth *AuthConfig
	// Probes are asked by GET /readyz.
	Probes []Probe
	// Registry is what GET /metrics shows. Required.
	Registry *prometheus.Registry
	// Logger is told of faults of ours. Default slog.Default.
	Logger *slog.Logger
}

// Watch is the routes by which a process without the API is watched: /healthz,
// /readyz and /metrics, as a Server answers them.
func Watch(cfg WatchConfig) (http.Handler, error) {
	s := &Server{
		cfg:     Config{Probes: cfg.Probes, Registry: cfg.Registry, Logger: cfg.Logger},
		metrics: promhttp.HandlerFor(cfg.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}),
	}
	s.cfg.defaults()
	s.log = s.cfg.Logger
	guard := fromHere
	if cfg.Auth != nil {
		v, err := newVerifier(*cfg.Auth)
		if err != nil {
			return nil, fmt.Errorf("query: %w", err)
		}
		s.verifier, guard = v, s.require(access["getMetrics"]...)
	}
	if err := s.register(); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	e := echo.New()
	e.HTTPErrorHandler = s.fail
	e.Use(s.around)
	e.GET("/healthz", s.GetHealth)
	e.GET("/readyz", s.GetReadiness)
	e.GET("/metrics", s.GetMetrics, guard)
	return e, nil
}

// proxied are the headers by which a proxy says that it calls for somebody else.
var proxied = []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}

// fromHere lets pass who calls over loopback, and for nobody else.
func fromHere(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		at, err := netip.ParseAddrPort(c.Request().RemoteAddr)
		through := slices.ContainsFunc(proxied, func(name string) bool { return len(c.Request().Header.Values(name)) > 0 })
		if err != nil || !at.Addr().Unmap().IsLoopback() || through {
			return &tokenError{"no tokens are known here, so metrics are for callers on this host: set auth.issuer and auth.jwks"}
		}
		return next(c)
	}
}
