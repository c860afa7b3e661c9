package app

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/rescindhq/rescind/internal/config"
	"github.com/rescindhq/rescind/query"
)

// operation answers how this process is, where it has no API that does. It is
// made behind the roles, which say what there is to be asked.
func (a *app) operation() (serve []role, err error) {
	if a.cfg.HTTP.OperationAddr == "" {
		return nil, nil
	}
	watching := query.WatchConfig{Probes: a.probes, Registry: a.registry, Logger: a.log}
	if a.cfg.Auth.Issuer != "" && a.cfg.Auth.JWKS != "" {
		if watching.Auth, err = a.auth(); err != nil {
			return nil, err
		}
	}
	handler, err := query.Watch(watching)
	if err != nil {
		return nil, err
	}
	listener, err := a.listen(a.cfg.HTTP.OperationAddr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && a.cfg.HTTP.OperationAddr == config.Default().HTTP.OperationAddr:
		a.log.Warn("/healthz, /readyz and /metrics are not served: the default address is taken, set http.operation_addr to another", "err", err)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("http.operation_addr: %w", err)
	}
	a.closers = append(a.closers, func() { listener.Close() })
	a.log.Info("operation listens", "addr", listener.Addr().String())
	return []role{{"operation", func(ctx context.Context) error {
		return a.serveHTTP(ctx, context.Background(), listener, handler, func() {})
	}}}, nil
}
