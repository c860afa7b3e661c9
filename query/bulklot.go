package query

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

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
