package query

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
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

// bulkRun is one request with lines of a job.
type bulkRun struct {
	s       *Server
	c       echo.Context
	key     jobKey
	id      uuid.UUID // of the job; the ids of its lines do not tell it
	job     *bulkJob
	at      time.Time
	actor   *Principal
	control *http.ResponseController
	line    uint32 // the last that was read
	skip    uint32 // up to this one lines are durable, and only compared
	lines   lines  // up to line

	logged uint32    // when it was looked at last
	moved  time.Time // when that was seen to change
}

// bulkLot is some lines that are judged and published together.
type bulkLot struct {
	first uint32
	last  uint32
	lines [][]byte // nil for one that is too long
	done  chan struct{}

	read lines // up to last

	accepted uint32
	repeated uint32
	refused  []BulkRefusal
	err      error
}

// run reads lines, and has a few lots of them under way. What is durable moves on
// in the order of the lines. Whatever happens, the job is not being read any more:
// few are at once.
func (r *bulkRun) run(ctx context.Context) (err error) {
	complete := false
	defer func() { r.s.bulk.end(r.job, complete) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	under := make(chan *bulkLot, bulkWindow-1)
	settled := make(chan error, 1)
	go func() { settled <- r.settle(under, cancel) }()
	err = r.read(ctx, under)
	stopped := <-settled // and now it is known how far it came
	if stopped == nil && errors.Is(err, errCutOff) {
		err = badBody("it was cut off: the lines up to %d are done, send the rest again", r.s.bulk.durable(r.job))
	}
	err = errors.Join(stopped, err) // what stopped the reader comes first
	complete = err == nil
	return err
}

// errCutOff says that a body ended in the middle.
var errCutOff = errors.New("the body was cut off")

// settle notes lots as they become durable, in their order, up to the first that
// does not.
func (r *bulkRun) settle(under <-chan *bulkLot, cancel context.CancelFunc) (err error) {
	for lot := range under {
		<-lot.done
		if err == nil {
			err = lot.err
		}
		if err != nil {
			cancel()
			continue
		}
		r.s.bulk.done(r.job, lot)
	}
	return err
}

// read hands lots over until the body ends. A line that was cut off is not acted
// on.
func (r *bulkRun) read(ctx context.Context, under chan<- *bulkLot) error {
	defer close(under)
	in := bufio.NewReaderSize(r.c.Request().Body, bulkLine)
	for end := false; !end; {
		if err := r.control.SetReadDeadline(time.Now().Add(bulkReadWait)); err != nil {
			return err
		}
		lot, err := r.lot(in)
		end = errors.Is(err, io.EOF)
		switch told := (*problemError)(nil); {
		case errors.As(err, &told):
			return told
		case err != nil && !end:
			return errCutOff
		case end && r.line < r.skip:
			return errOtherLines(r.skip)
		}
		if len(lot.lines) == 0 {
			continue
		}
		if err := r.pace(ctx); err != nil {
			return err
		}
		select {
		case under <- lot:
			go r.publish(ctx, lot)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// pace waits while much of the job is not on the log yet: it must neither fill
// the intake nor have the revocation of somebody else wait behind all of it.
// Where the log stands still for a while it is not the job that is waited for:
// its lines were there before, or nobody writes.
func (r *bulkRun) pace(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		unlogged, logged := r.s.bulk.unlogged(r.job)
		if logged != r.logged {
			r.logged, r.moved = logged, time.Now()
		}
		if unlogged <= bulkUnlogged || time.Since(r.moved) > bulkStandsBy {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lot reads lines up to the end of a batch. Those that are durable are only
// compared.
func (r *bulkRun) lot(in *bufio.Reader) (*bulkLot, error) {
	lot := &bulkLot{first: r.line + 1, done: make(chan struct{})}
	for {
		line, any, err := readLine(in)
		if err != nil && (!any || !errors.Is(err, io.EOF)) {
			lot.read = r.lines.until()
			return lot, err
		}
		if line, err = r.take(line), errors.Join(err, r.compare()); r.line > r.skip {
			lot.lines, lot.last = append(lot.lines, line), r.line
		} else {
			lot.first = r.line + 1
		}
		if err != nil || r.line%bulkBatch == 0 {
			lot.read = r.lines.until()
			return lot, err
		}
	}
}

// take counts a line in, and returns what of it is to be read.
func (r *bulkRun) take(line []byte) []byte {
	if r.line++; r.line == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff")) // RFC 8259 section 8.1 lets us, and some programs write it
	}
	r.lines.add(line)
	return line
}

// compare judges the lines up to now.
func (r *bulkRun) compare() error {
	switch {
	case r.line > bulkLines:
		return invalid("", "a job has at most %d lines", bulkLines)
	case r.line == r.skip && r.lines.digest() != r.s.bulk.read(r.job):
		return errOtherLines(r.skip)
	default:
		return nil
	}
}

// readLine is a copy of the next line, nil where it is too long, and whether
// there is any: behind the last line there may be no line end.
func readLine(in *bufio.Reader) (line []byte, any bool, err error) {
	read, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return append([]byte{}, bytes.TrimRight(read, "\r\n")...), len(read) > 0, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return nil, true, err
}

// publish judges the lines of a lot and publishes what they say; what repeats one
// of them says nothing. It says when it is done.
func (r *bulkRun) publish(ctx context.Context, lot *bulkLot) {
	defer close(lot.done)
	defer r.recovered(ctx, lot)
	evs, seen := make([]events.Event, 0, len(lot.lines)), make(map[lineSum]bool, len(lot.lines))
	for i, line := range lot.lines {
		n, sum := lot.first+uint32(i), sumOf(r.id, line)
		if seen[sum] {
			lot.repeated++
			continue
		}
		ev, err := r.event(n, sum, line)
		if err != nil {
			lot.refuse(n, err)
			continue
		}
		evs, seen[sum] = append(evs, ev), true
	}
	lot.lines = nil
	lot.accepted = uint32(len(evs))
	if len(evs) == 0 {
		return
	}
	lot.failed(r.s.cfg.Bulk.Publish(ctx, evs...))
	slices.SortFunc(lot.refused, func(a, b BulkRefusal) int { return int(a.Line - b.Line) })
}

// recovered has a panic end this request, and not all others with the process: it
// is not on the handler's goroutine.
func (r *bulkRun) recovered(ctx context.Context, lot *bulkLot) {
	if p := recover(); p != nil {
		r.s.log.ErrorContext(ctx, "panic in a handler", slog.String("route", r.c.Path()), slog.String("stack", string(debug.Stack())))
		lot.err = errDefect
	}
}

// failed is what became of publishing: some events are refused, or the lot is to
// be sent again.
func (l *bulkLot) failed(err error) {
	var not *stream.NotAccepted
	if err == nil || !errors.As(err, &not) {
		l.err = err
		return
	}
	for _, f := range not.Events {
		var refusal *events.Refusal
		_, n, _ := lineOf(f.Event.ID)
		if !errors.As(f.Err, &refusal) {
			l.err = notTaken{f.Err}
			return
		}
		l.accepted--
		l.refuse(n, refusal)
	}
}

func (l *bulkLot) refuse(n uint32, err error) {
	p := problemOf(err)
	l.refused = append(l.refused, BulkRefusal{Line: int64(n), Member: p.Member, Reason: p.Detail})
}

// event is what a line says, as an event that is the same however often the line
// is sent, but for a cut-off that it leaves out.
func (r *bulkRun) event(n uint32, sum lineSum, line []byte) (ev events.Event, err error) {
	if line == nil {
		return ev, invalid("", "the line is longer than %d bytes", bulkLine)
	}
	var in RevocationRequest
	if err := decodeLine(line, &in); err != nil {
		return ev, err
	}
	switch {
	case in.Tenant != "" && in.Tenant != r.key.tenant:
		return ev, invalid("tenant", "the job is of another tenant")
	case !slices.Contains([]events.Scope{events.ScopeToken, events.ScopeSession, events.ScopeGrant, events.ScopeSubject}, in.Scope):
		return ev, invalid("scope", "want token, session, grant or subject: wider ones are revoked one by one")
	}
	if err := in.validate(); err != nil {
		return ev, err
	}
	if err := r.s.effective(&in); err != nil {
		return ev, err
	}
	ev = events.Event{ID: r.key.id.line(n, sum), Source: BulkSource, Type: in.Scope.RevokedType(), Time: r.at, Tenant: r.key.tenant,
		Environment: r.s.cfg.Policy.Environment, Data: in.data(r.actor, r.s.cfg.Now())}
	if refusal := r.s.cfg.Policy.Validate(&ev, r.s.cfg.Now()); refusal != nil {
		return ev, refusal
	}
	return ev, nil
}
