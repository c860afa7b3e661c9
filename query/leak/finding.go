package leak

import (
	"context"
	"strconv"
	"time"

	"github.com/rescindhq/rescind/events"
)

// The controls that findings of leaks name.
const (
	ControlIgnored = "revocation-ignored"
	ControlLeak    = "revocation-leak"
)

// control is what findings of a kind say.
type control struct{ id, severity, title, clauses string }

const clauses = "SOC 2 CC6.1; SOC 2 CC7.2; PCI DSS 8.2.5; HIPAA 164.308(a)(3)(ii)(C)"

var controls = map[Kind]control{
	Ignored: {ControlIgnored, "critical", "Verifier accepted a token although it had applied its revocation", clauses},
	Late:    {ControlLeak, "high", "Token was accepted later after its revocation than the bound", clauses},
}

const titleMore = "More revoked tokens were accepted by a verifier than findings are opened of"

// finding is the event that opens a finding about s; nil where there is none to
// open. Leaked says that s is one, opened before or not.
func (w *Worker) finding(ctx context.Context, s *Suspect) (_ *events.Event, leaked bool, err error) {
	kind, after := s.Revoked.Judge(&s.Accepted, w.cfg.Bound)
	c, grave := controls[kind]
	if !grave {
		return nil, false, nil
	}
	a := s.Accepted.Record
	id := events.EventRef(a.Tenant, Source, a.Ref().String()).String()
	if was, err := w.cfg.Store.IsOpened(ctx, a.Tenant, s.Revoked.Shard, id); was || err != nil {
		return nil, true, err
	}
	more, err := w.count(ctx, s)
	switch {
	case err != nil || more > 1:
		return nil, true, err
	case more == 1:
		id, c.title = events.EventRef(a.Tenant, Source, s.Revoked.Record.Ref().String()+a.Source).String(), titleMore
	}
	return w.event(id, c, s, after), true, nil
}

// count counts s among the findings of its revocation and verifier. It is 0
// where it has room, 1 where it is the first that has not, and more for the
// others.
func (w *Worker) count(ctx context.Context, s *Suspect) (more int, err error) {
	r, a := s.Revoked.Record, s.Accepted.Record
	of := about{r.Ref(), a.Source}
	n, known := w.opened[of]
	if !known {
		before, err := w.cfg.Store.Opened(ctx, r.Tenant, s.Revoked.Shard, of.revocation.String(), a.Source)
		if err != nil {
			return 0, err
		}
		n = int(before)
		w.forget()
	}
	w.opened[of] = n + 1
	return max(0, n+1-w.cfg.PerVerifier), nil
}

// maxCounted bounds what is remembered of counts.
const maxCounted = 10_000

// forget makes room: what is forgotten is counted in the store again.
func (w *Worker) forget() {
	if len(w.opened) >= maxCounted {
		clear(w.opened)
	}
}

// event is made of what the log says alone, so that it is the same whoever
// makes it again.
func (w *Worker) event(id string, c control, s *Suspect, after time.Duration) *events.Event {
	r, a := s.Revoked.Record, s.Accepted.Record
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	attributes := map[string]string{
		"finding": id, "control": c.id, "severity": c.severity, "title": c.title, "clauses": c.clauses,
		"revocation": r.ID, "revocation_ref": r.Ref().String(), "revocation_position": number(s.Revoked.Index),
		"event": a.Ref().String(), "position": number(s.Accepted.Index), "verifier": a.Source,
		"after_ms": strconv.FormatInt(after.Milliseconds(), 10), "bound_ms": strconv.FormatInt(w.cfg.Bound.Milliseconds(), 10),
	}
	if a.View > 0 {
		attributes["view"] = number(a.View)
	}
	return &events.Event{
		ID: id, Source: Source, Type: events.FindingOpened, Time: time.UnixMicro(a.Received).UTC(),
		Tenant: a.Tenant, Environment: w.cfg.Environment,
		Data: events.Data{Issuer: a.Issuer, ClientID: a.Client, KeyID: a.KeyID, Actor: Source, Attributes: attributes},
	}
}
