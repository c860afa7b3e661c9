package query

import (
	"encoding/base64"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/revocation"
)

// The routes that last: as long as the caller likes, or as the body is long.
const (
	streamRoute   = "/v1/revocations/stream"
	snapshotRoute = "/v1/revocations/snapshot"
)

func isStream(c echo.Context) bool { return c.Path() == streamRoute }

// lasting reports whether a request may take longer than others.
func lasting(c echo.Context) bool {
	return slices.Contains([]string{streamRoute, snapshotRoute, bulkRoute, exportRoute, renewRoute}, c.Path())
}

// StreamRevocations sends the feed for as long as the caller's token is valid.
func (s *Server) StreamRevocations(c echo.Context, _ StreamRevocationsParams) error {
	release, err := s.shares.streams.take(caller(c).Subject)
	if err != nil {
		return err
	}
	defer release()
	return s.cfg.Feed.Stream(c.Response(), c.Request(), caller(c).Expires)
}

// GetRevocationSnapshot answers with the newest snapshot.
func (s *Server) GetRevocationSnapshot(c echo.Context) error {
	return s.cfg.Feed.Snapshot(c.Response(), c.Request())
}

// HeadRevocationSnapshot says which the newest snapshot is.
func (s *Server) HeadRevocationSnapshot(c echo.Context) error {
	return s.cfg.Feed.Snapshot(c.Response(), c.Request())
}

// ListFeedKeys answers with the keys of the caller's tenants. One that reaches
// none is not asked about: no tenant would mean all.
func (s *Server) ListFeedKeys(c echo.Context, params ListFeedKeysParams) error {
	request := revocation.KeysRequest{After: revocation.KeyPlace{Tenant: params.AfterTenant, Generation: params.AfterGeneration}}
	if p := caller(c); !p.ReachesAll() {
		if request.Tenants = p.Tenants; len(p.Tenants) == 0 {
			return errTenant
		}
	}
	body, signature, err := s.cfg.Feed.Keys(c.Request().Context(), request)
	if err != nil {
		return err
	}
	c.Response().Header().Set(revocation.SignatureHeader, base64.StdEncoding.EncodeToString(signature))
	return c.JSONBlob(http.StatusOK, body)
}
