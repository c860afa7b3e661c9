package query

import (
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/query/verifiers"
	"github.com/rescindhq/rescind/revocation"
)

const (
	bulkRoute    = "/v1/revocations/bulk"
	bulkType     = "application/x-ndjson"
	bulkLine     = 16 << 10           // bytes of a line
	bulkLines    = 10_000_000         // of a job
	bulkAge      = 7 * 24 * time.Hour // of a job that may go on
	bulkReadWait = 30 * time.Second   // for the next lines
	bulkSendWait = 10 * time.Second   // for the answer to be taken
	bulkAhead    = time.Minute        // of a job's clock before ours
	bulkUnlogged = 20 * bulkBatch     // accepted lines of a job that are not on the log
	bulkStandsBy = time.Second / 2    // for a log that stands still
)

var errBulkBusy = &problemError{KindUnavailable, http.StatusServiceUnavailable, "cannot be done now", "other jobs are running: try again when one is done", ""}

func bulkState(format string, args ...any) error {
	return &problemError{KindState, http.StatusConflict, "not in this state", fmt.Sprintf(format, args...), "from"}
}

// RevokeBulk publishes a revocation for each line of the body.
func (s *Server) RevokeBulk(c echo.Context, params RevokeBulkParams) error {
	media, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType))
	if err != nil || media != bulkType {
		return &problemError{KindContentType, http.StatusUnsupportedMediaType, "content type", "want " + bulkType, ""}
	}
	key, id, err := s.bulkKey(caller(c), params.Tenant, params.Job)
	if err != nil {
		return err
	}
	at := madeAt(id)
	if s.cfg.Now().Sub(at) > bulkAge || at.Sub(s.cfg.Now()) > bulkAhead {
		return invalid("job", "want a UUID of version 7 that was made within the last %s", bulkAge)
	}
	from := max(params.From, 1)
	if from > bulkLines {
		return invalid("from", "a job has at most %d lines", bulkLines)
	}
	release, err := s.takeBulk(caller(c), key.tenant)
	if err != nil {
		return err
	}
	defer release()
	job, skip, read, err := s.bulk.begin(key, id, uint32(from), params.RescindDigest)
	if err != nil {
		return err
	}
	r := &bulkRun{s: s, c: c, key: key, id: id, job: job, moved: time.Now(), at: at, actor: caller(c), control: http.NewResponseController(c.Response()), line: uint32(from) - 1, skip: skip, lines: read}
	err = r.run(c.Request().Context())
	if err := r.control.SetWriteDeadline(time.Now().Add(bulkSendWait)); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return s.showBulk(c, key, params.Job)
}

// takeBulk takes a place for a job: of the caller's, and of the tenant's, as many
// callers of one are not to keep out all others.
func (s *Server) takeBulk(p *Principal, tenant string) (release func(), err error) {
	of, err := s.shares.bulkOf.take(tenant)
	if err != nil {
		return nil, err
	}
	by, err := s.shares.bulk.take(p.Subject)
	if err != nil {
		of()
		return nil, err
	}
	return func() { by(); of() }, nil
}

// GetBulk shows how far a job is.
func (s *Server) GetBulk(c echo.Context, id ID, params GetBulkParams) error {
	key, _, err := s.bulkKey(caller(c), params.Tenant, id)
	if err != nil {
		return err
	}
	return s.showBulk(c, key, id)
}

func (s *Server) showBulk(c echo.Context, key jobKey, job string) error {
	out, received, ok := s.bulk.show(key)
	if !ok {
		return ErrNotFound
	}
	out.ID = job
	view := s.cfg.Decider.Decide(revocation.Claims{Tenant: key.tenant}).Position
	out.Applied = out.Logged >= out.Accepted && (out.Position == nil || view >= *out.Position)
	if out.Position != nil && s.cfg.Receipts != nil {
		if e, known := s.cfg.Receipts.Enforced(verifiers.Revoked{Shard: s.shard(key.tenant), Position: *out.Position, Received: received}); known {
			out.Enforced = enforcement(&e)
		}
	}
	return c.JSON(http.StatusOK, out)
}

// bulkKey is the key of a job of one tenant, and its id.
func (s *Server) bulkKey(p *Principal, named, job string) (k jobKey, u uuid.UUID, err error) {
	if k.tenant, err = p.tenant(named); err != nil {
		return k, u, err
	}
	if u, err = uuid.Parse(job); err != nil || u.Version() != 7 {
		return k, u, invalid("job", "want a UUID of version 7")
	}
	k.id = jobOf(u)
	return k, u, nil
}

// madeAt is when a job was made.
func madeAt(job uuid.UUID) time.Time {
	return time.Unix(job.Time().UnixTime()).UTC().Truncate(time.Millisecond)
}
