package controls

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
)

// Source is the source of every finding's event. No publisher may use it.
const Source = "rescind:controls"

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Critical Severity = "critical" // tokens can be forged, or were
	High     Severity = "high"     // a rule of law or policy is broken
	Warning  Severity = "warning"  // something will break, or cannot be trusted
)

// Control is one rule: what it asks for, and for whose sake.
type Control struct {
	ID       string
	Title    string
	Severity Severity // the least; a finding may be worse
	Clauses  []string
}

// Finding is one breach of a control.
type Finding struct {
	ID       string // 32 hex digits: the id of its event too
	Control  string
	Severity Severity
	Title    string
	Clauses  []string
	About    events.Ref        // what is wrong: at most one finding about it is open
	Cause    events.Ref        // EventRef of the event that showed it
	Detail   map[string]string // numbers and names, never of a person
}

// newFinding is the finding that breach b of control c by record r opens.
func newFinding(c *Control, b *breach, about events.Ref, r *events.Record) Finding {
	cause := r.Ref()
	title := c.Title
	if b.title != "" {
		title = b.title
	}
	return Finding{
		ID:      events.EventRef(r.Tenant, Source, about.String()+cause.String()).String(),
		Control: c.ID, Severity: b.severity, Title: title, Clauses: c.Clauses,
		About: about, Cause: cause, Detail: b.detail,
	}
}

// aboutRef identifies what a finding is about.
func aboutRef(control, tenant string, parts []string) events.Ref {
	h := sha256.New()
	for _, s := range append([]string{control, tenant}, parts...) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	return events.Ref(h.Sum(nil)[:16])
}

// Record is the finding.opened event of f, logged at the given time behind the
// record that caused it. It repeats the references of its cause, so that it is
// found where its cause is.
func (f *Finding) Record(cause *events.Record, at time.Time) *events.Record {
	attributes := map[string]string{
		"finding": f.ID, "control": f.Control, "severity": string(f.Severity), "title": f.Title,
		"clauses": strings.Join(f.Clauses, "; "), "about": f.About.String(), "cause": f.Cause.String(),
	}
	maps.Copy(attributes, f.Detail)
	return &events.Record{
		Version: events.RecordVersion, Source: Source, ID: f.ID, Tenant: cause.Tenant, Environment: cause.Environment,
		Type: events.FindingOpened, Time: at.UnixMicro(), Received: at.UnixMicro(), Actor: Source,
		Issuer: cause.Issuer, SubjectRef: cause.SubjectRef, TokenRef: cause.TokenRef, SessionRef: cause.SessionRef,
		Client: cause.Client, KeyID: cause.KeyID, Algorithm: cause.Algorithm, Attributes: attributes,
	}
}

// Controls lists every control, in the order in which they are asked.
func Controls() []Control {
	out := make([]Control, 0, len(rules)+1)
	for _, r := range rules {
		c := r.Control
		c.Clauses = slices.Clone(c.Clauses)
		out = append(out, c)
	}
	return append(out, defect)
}
