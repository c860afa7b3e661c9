package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/query/erasure"
	"github.com/rescindhq/rescind/query/export"
)

// exportRoute is the one that lasts as long as an export is long.
const exportRoute = "/v1/exports/:tenant/:id/:secret"

// The steps of handing out an export, each recorded before it is done.
const (
	stepLink     = "link"
	stepDownload = "download"
)

// linkHolder stands for whoever has a link: nobody knows who that is.
const linkHolder = "rescind:link"

const (
	exportLogged = 10 * time.Second // that the record may take to be on the log
	exportStall  = time.Minute      // that one chunk may take to be sent
)

var errNoExports = errors.New("this process hands out no exports")

// IssueExport makes a link to what a request was answered with.
func (s *Server) IssueExport(c echo.Context, id ID) error {
	var in ExportLinkInput
	if c.Request().ContentLength != 0 {
		if err := readJSON(c, &in); err != nil {
			return err
		}
	}
	if s.cfg.Exports == nil {
		return errNoExports
	}
	if in.To != "" {
		if _, err := export.ParseRecipient(in.To); err != nil {
			return invalid("to", "%s", err.Error())
		}
	}
	p, ctx := caller(c), c.Request().Context()
	r, err := s.cfg.Requests.Get(id, p.Reaches)
	if err != nil {
		return err
	}
	place, err := s.cfg.Requests.Export(id, p.Reaches)
	if err != nil {
		return err
	}
	issuer, subject, err := s.cfg.Exports.Whose(ctx, place)
	if err != nil {
		return err
	}
	if err := s.recordExport(ctx, &r, events.Data{Actor: p.Subject, Issuer: issuer, Subject: subject}, stepLink); err != nil {
		return err
	}
	l, err := s.cfg.Exports.Issue(ctx, place, in.To)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, ExportLink{
		Link: "/v1/exports/" + r.Tenant + "/" + r.ID + "/" + l.Secret, Passphrase: l.Passphrase, Until: l.Until, Bytes: l.Bytes,
	})
}

// recordExport publishes audit.exported and returns once it is on the log. What
// it is about must not be done before.
func (s *Server) recordExport(ctx context.Context, r *erasure.Request, d events.Data, step string) error {
	d.Attributes = map[string]string{"purpose": "request for " + r.Type, "request": r.ID, "route": "exports", "step": step}
	ev, err := s.event(events.AuditExported, r.Tenant, d)
	if err != nil {
		return err
	}
	if err := s.publish(ctx, ev); err != nil {
		return &unrecorded{err}
	}
	if s.positionWithin(ctx, ev, exportLogged) == nil {
		return &unrecorded{errors.New("it is not on the log in time")}
	}
	return nil
}

// DownloadExport sends what a link leads to. Whoever has no link to it learns
// nothing, not even whether there is such a request.
func (s *Server) DownloadExport(c echo.Context, tenant, id, secret string) error {
	ctx := c.Request().Context()
	r, place, err := s.exportAt(tenant, id)
	if err != nil {
		return err
	}
	d, err := s.cfg.Exports.Open(ctx, place, secret)
	if err != nil {
		return err
	}
	release, err := s.shares.downloads.take(place.Export.String())
	if err != nil {
		return err
	}
	defer release()
	if err := http.NewResponseController(c.Response()).SetReadDeadline(time.Time{}); err != nil { // that of the server would end what takes long, and holds for who has no link
		return err
	}
	if err := s.recordExport(ctx, &r, events.Data{Actor: linkHolder, Issuer: d.Issuer, Subject: d.Subject}, stepDownload); err != nil {
		return err
	}
	if err := d.Again(ctx); err != nil {
		return err
	}
	s.sendExport(c, &r, d)
	return nil
}

// exportAt is the request of a tenant that was answered with an export, and
// where that is. Its error tells nothing.
func (s *Server) exportAt(tenant, id string) (r erasure.Request, place stream.ExportPlace, err error) {
	if s.cfg.Exports == nil {
		return r, place, export.ErrGone
	}
	its := func(t string) bool { return t == tenant }
	if r, err = s.cfg.Requests.Get(id, its); err == nil {
		place, err = s.cfg.Requests.Export(id, its)
	}
	if err != nil {
		return r, place, export.ErrGone
	}
	return r, place, nil
}

// sendExport sends d. What goes wrong from here on can only be told by sending
// less than was announced.
func (s *Server) sendExport(c echo.Context, r *erasure.Request, d *export.Download) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, echo.MIMEOctetStream)
	h.Set(echo.HeaderContentDisposition, `attachment; filename="export-`+r.Type+`.zip.age"`)
	h.Set(echo.HeaderContentLength, strconv.FormatInt(d.Bytes, 10))
	h.Set("Referrer-Policy", "no-referrer")
	c.Response().WriteHeader(http.StatusOK)
	ctx := c.Request().Context()
	if err := d.Send(ctx, &unstalled{c.Response(), http.NewResponseController(c.Response())}); err != nil {
		s.log.WarnContext(ctx, "export not sent whole", slog.Any("err", withoutPeer(err)))
	}
}

// withoutPeer is err without the address of whoever is at the other end, who may be
// a data subject.
func withoutPeer(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return err
}

// unstalled gives each write a time of its own, however long all take.
type unstalled struct {
	to      http.ResponseWriter
	control *http.ResponseController
}

func (u *unstalled) Write(p []byte) (int, error) {
	if err := u.control.SetWriteDeadline(time.Now().Add(exportStall)); err != nil {
		return 0, err
	}
	return u.to.Write(p)
}
