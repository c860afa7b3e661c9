package controls

import (
	"fmt"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Engine asks the rules, and holds the state that they look at.
type Engine struct {
	cfg   Config
	rules []rule

	keys     shares[keyName, keyState]
	consents shares[events.Ref, bool]             // by consentRef: true while granted
	tokens   recent[events.Ref, events.Timestamp] // issued tokens: when they expire
	open     recent[events.Ref, events.Ref]       // open findings: what they are about → id
	ids      recent[events.Ref, events.Ref]       // and back
}

type keyName struct{ issuer, kid string }

type keyState struct {
	known   bool
	retired events.Timestamp // or revoked, whichever was first; 0 while neither
}

// New is an engine that has seen nothing.
func New(cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Engine{
		cfg: cfg, rules: rules,
		keys:     newShares[keyName, keyState](cfg.MaxKeysPerTenant, cfg.MaxKeys),
		consents: newShares[events.Ref, bool](cfg.MaxConsentsPerTenant, cfg.MaxConsents),
		tokens:   newRecent[events.Ref, events.Timestamp](cfg.MaxTokens),
		open:     newRecent[events.Ref, events.Ref](cfg.MaxOpen),
		ids:      newRecent[events.Ref, events.Ref](cfg.MaxOpen),
	}, nil
}

// Failure is a rule that panicked on a record, or what is remembered for the
// rules. It says nothing of the record.
type Failure struct {
	Rule string // "apply" for what is remembered
	Kind string // the type of what was panicked with
}

// Error names the rule.
func (f *Failure) Error() string { return fmt.Sprintf("control %s failed: %s", f.Rule, f.Kind) }

// Check is what is wrong with r, received at the time now, and is not open
// already. It is called before Apply of the same record, and changes nothing.
// A failure is the first rule that panicked: what is found then is what the
// others found.
func (e *Engine) Check(r *events.Record, now time.Time) (found []Finding, failed *Failure) {
	for next := 0; next < len(e.rules); {
		var f *Failure
		if next, f = e.ask(next, r, now, &found); failed == nil {
			failed = f
		}
	}
	return found, failed
}

// ask asks the rules from one on, and is where to go on where one panics.
func (e *Engine) ask(i int, r *events.Record, now time.Time, found *[]Finding) (next int, failed *Failure) {
	defer func() {
		if v := recover(); v != nil {
			next, failed = i+1, &Failure{e.rules[i].ID, fmt.Sprintf("%T", v)}
		}
	}()
	for ; i < len(e.rules); i++ {
		ru := &e.rules[i]
		b := ru.check(e, r, now)
		if b == nil {
			continue
		}
		about := aboutRef(ru.ID, r.Tenant, b.about)
		if _, isOpen := e.open.get(about); !isOpen {
			*found = append(*found, newFinding(&ru.Control, b, about, r))
		}
	}
	return i, nil
}

// Defect is the finding that a control failed on r, for whoever logs r all the
// same. It is none where one about that control is open.
func (e *Engine) Defect(r *events.Record, failed *Failure) []Finding {
	about := aboutRef(defect.ID, r.Tenant, []string{failed.Rule})
	if _, isOpen := e.open.get(about); isOpen {
		return nil
	}
	b := &breach{severity: defect.Severity, detail: map[string]string{"rule": failed.Rule}}
	return []Finding{newFinding(&defect, b, about, r)}
}

// Apply folds r, which is logged or about to be, into the state. Where that
// fails, what is remembered may lack r.
func (e *Engine) Apply(r *events.Record) (failed *Failure) {
	defer func() {
		if v := recover(); v != nil {
			failed = &Failure{"apply", fmt.Sprintf("%T", v)}
		}
	}()
	switch r.Type {
	case events.KeyPublished, events.KeyRotated, events.KeyRetired, events.KeyRevoked:
		e.putKey(r)
	case events.ConsentGranted, events.ConsentWithdrawn:
		e.consents.put(r.Tenant, consentRef(r), r.Type == events.ConsentGranted)
	case events.TokenIssued:
		if !r.TokenRef.IsZero() {
			e.tokens.put(r.TokenRef, r.Expires)
		}
	case events.FindingOpened, events.FindingClosed:
		e.putFinding(r)
	}
	return nil
}

// putKey notes what r does to its key. The first retirement or revocation stays,
// by its own time and not by when it arrived: nothing that a publisher says
// later, least of all that the key is published, makes its tokens good again. A
// suspension says itself that they will be.
func (e *Engine) putKey(r *events.Record) {
	s, _ := e.keys.get(r.Tenant, keyOf(r))
	switch at := retiredAt(r); {
	case r.Type == events.KeyPublished || r.Type == events.KeyRotated:
		s.known = true
	case at != 0 && (s.retired == 0 || at < s.retired):
		s.retired = at
	}
	e.keys.put(r.Tenant, keyOf(r), s)
}

// retiredAt is from when on r, which retires or revokes its key, has it sign no
// more: for a revocation that is scheduled, when it starts. A suspension, which
// ends by itself, does not retire a key: then it is 0.
func retiredAt(r *events.Record) events.Timestamp {
	at := max(events.Timestamp(r.Time/1000), 1)
	switch v := r.Revocation; {
	case v == nil:
		return at
	case v.NotAfter != 0:
		return 0
	default:
		return max(at, v.Starts)
	}
}

func keyOf(r *events.Record) keyName { return keyName{r.Issuer, r.KeyID} }

// consentRef identifies a consent of one person.
func consentRef(r *events.Record) events.Ref {
	return events.EventRef(r.Tenant, r.SubjectRef.String(), r.Consent)
}

// putFinding notes that a finding was opened or closed. One that no rule of
// ours opened is about nothing that a rule could find.
func (e *Engine) putFinding(r *events.Record) {
	id, err := events.ParseRef(r.Attributes["finding"])
	if err != nil || id.IsZero() {
		return
	}
	if r.Type == events.FindingClosed {
		if about, ok := e.ids.get(id); ok {
			e.ids.remove(id)
			e.open.remove(about)
		}
		return
	}
	about, err := events.ParseRef(r.Attributes["about"])
	if err != nil || about.IsZero() || r.Source != Source {
		return
	}
	e.open.put(about, id)
	e.ids.put(id, about)
}
