package events

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Policy is what one deployment asks of every event.
type Policy struct {
	// Environment is the deployment's own; another one is refused.
	Environment string
	// RequireEnvironment refuses an event that names none. False only in dev.
	RequireEnvironment bool
	// MaxAhead is how far an event's time may be ahead of ours. Zero means 5
	// minutes. Late events have no bound: they are facts all the same.
	MaxAhead time.Duration
}

const defaultMaxAhead = 5 * time.Minute

// Validate says why ev cannot be accepted at the time now, or nil. It checks
// what the JSON Schemas state, and what they cannot: the deployment's policy
// and offences.
func (p Policy) Validate(ev *Event, now time.Time) *Refusal {
	for _, check := range []func(*Event, time.Time) *Refusal{
		checkOffence, checkIdentity, p.checkEnvironment, p.checkTime, checkRequired, checkSizes, checkExposed,
	} {
		if r := check(ev, now); r != nil {
			r.ID, r.Source = clip(ev.ID), clip(ev.Source)
			return r
		}
	}
	return nil
}

func checkIdentity(ev *Event, _ time.Time) *Refusal {
	switch {
	case ev.ID == "":
		return refuse(ReasonMissing, "id is missing")
	case ev.Source == "":
		return refuse(ReasonMissing, "source is missing")
	case ev.Type == "":
		return refuse(ReasonMissing, "type is missing")
	case !ev.Type.Known():
		return refuse(ReasonType, "type %.80q is not one of ours", string(ev.Type))
	case ev.Tenant == "":
		return refuse(ReasonMissing, "tenant is missing: name it in the subject, in rescindtenant or in data.tenant")
	case !ValidTenant(ev.Tenant):
		return refuse(ReasonSchema, "tenant: want 1 to %d of a-z A-Z 0-9 _ -", MaxTenantBytes)
	default:
		return nil
	}
}

// ValidTenant reports whether s can be a tenant: one token of a NATS subject.
func ValidTenant(s string) bool {
	if s == "" || len(s) > MaxTenantBytes {
		return false
	}
	for _, c := range s {
		if c != '_' && c != '-' && (c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c)) {
			return false
		}
	}
	return true
}

func (p Policy) checkEnvironment(ev *Event, _ time.Time) *Refusal {
	switch {
	case ev.Environment == p.Environment:
		return nil
	case ev.Environment == "" && !p.RequireEnvironment:
		return nil
	case ev.Environment == "":
		return refuse(ReasonEnvironment, "rescindenv is missing: this is %q", p.Environment)
	default:
		return refuse(ReasonEnvironment, "rescindenv is %.40q: this is %q", ev.Environment, p.Environment)
	}
}

func (p Policy) checkTime(ev *Event, now time.Time) *Refusal {
	ahead := p.MaxAhead
	if ahead == 0 {
		ahead = defaultMaxAhead
	}
	limit := now.Add(ahead)
	switch {
	case ev.Time.IsZero():
		return refuse(ReasonMissing, "time is missing")
	case ev.Time.After(limit):
		return refuse(ReasonTime, "time is %s ahead of the intake's clock: the limit is %s", ev.Time.Sub(now).Round(time.Second), ahead)
	case ev.Time.Year() < 1970:
		return refuse(ReasonTime, "time is before 1970")
	case ev.Data.IssuedBefore.Time().After(limit):
		return refuse(ReasonTime, "issued_before is ahead of the intake's clock: the limit is %s", ahead)
	default:
		return nil
	}
}

// Required lists the members of data that type t must carry. A name with a dot
// is a member of attributes.
func Required(t Type) []string {
	switch t {
	case TokenIssued, TokenRefreshed, TokenRevoked:
		return []string{"iss", "jti"}
	case TokenVerified, IssuerRevoked:
		return []string{"iss"}
	case SessionRevoked:
		return []string{"iss", "sid"}
	case SubjectRevoked:
		return []string{"iss", "sub"}
	case ClientRevoked:
		return []string{"iss", "client_id"}
	case GrantRevoked:
		return []string{"iss", "grant_id"}
	case KeyRevoked, KeyRotated, KeyRetired:
		return []string{"iss", "kid"}
	case KeyPublished:
		return []string{"iss", "kid", "alg"}
	case ConsentGranted, ConsentWithdrawn:
		return []string{"iss", "sub", "consent"}
	case RevocationLifted:
		return []string{"attributes.revocation", "attributes.hash", "attributes.scope"}
	case RequestReceived:
		return []string{"iss", "sub", "attributes.request", "attributes.request_type"}
	case RequestVerified, RequestApproved, RequestDenied, RequestExtended, RequestCancelled, RequestCompleted:
		return []string{"actor", "attributes.request"}
	case HoldPlaced, HoldReleased:
		return []string{"actor", "attributes.hold"}
	case AuditAccessed, AuditExported:
		return []string{"actor", "attributes.purpose"}
	case FindingOpened, FindingAcknowledged, FindingClosed:
		return []string{"attributes.finding"}
	default:
		return nil
	}
}

func checkRequired(ev *Event, _ time.Time) *Refusal {
	for _, name := range Required(ev.Type) {
		if !ev.Data.has(name) {
			return refuse(ReasonMissing, "%s needs data.%s", ev.Type.Name(), name)
		}
	}
	if o := ev.Data.Outcome; o != "" && o != "success" && o != "failure" {
		return refuse(ReasonSchema, "data.outcome: want success or failure")
	}
	if c := ev.Data.Consent; c != nil && c.ID == "" {
		return refuse(ReasonSchema, "data.consent.id is empty")
	}
	if ev.Type == RevocationLifted {
		return checkLift(&ev.Data)
	}
	return nil
}

// checkLift checks that the attributes name a revocation as its record does.
func checkLift(d *Data) *Refusal {
	for _, name := range []string{"revocation", "hash"} {
		if r, err := ParseRef(d.Attributes[name]); err != nil || r.IsZero() {
			return refuse(ReasonSchema, "data.attributes.%s: want 32 hex digits", name)
		}
	}
	if !Scope(d.Attributes["scope"]).RevokedType().Known() {
		return refuse(ReasonSchema, "data.attributes.scope: not a scope")
	}
	return nil
}

// has reports whether the member that Required names is there.
func (d *Data) has(name string) bool {
	if key, ok := strings.CutPrefix(name, "attributes."); ok {
		return d.Attributes[key] != ""
	}
	if name == "consent" {
		return d.Consent != nil
	}
	for _, m := range d.texts() {
		if m.name[len("data."):] == name {
			return *m.text != ""
		}
	}
	return false
}

// member is one text of an event, with its name and its limit in bytes.
type member struct {
	name  string
	limit int
	text  *string
}

// texts is every member of d that is a plain string.
func (d *Data) texts() [17]member {
	return [...]member{
		{"data.tenant", MaxTextBytes, &d.Tenant}, {"data.iss", MaxTextBytes, &d.Issuer}, {"data.sub", MaxTextBytes, &d.Subject},
		{"data.jti", MaxTextBytes, &d.TokenID}, {"data.sid", MaxTextBytes, &d.SessionID}, {"data.client_id", MaxTextBytes, &d.ClientID},
		{"data.grant_id", MaxTextBytes, &d.GrantID}, {"data.scope", MaxNoteBytes, &d.Scope}, {"data.kid", MaxTextBytes, &d.KeyID},
		{"data.alg", MaxTextBytes, &d.Algorithm}, {"data.actor", MaxTextBytes, &d.Actor}, {"data.outcome", MaxTextBytes, &d.Outcome},
		{"data.reason", MaxTextBytes, &d.Reason}, {"data.ticket", MaxTextBytes, &d.Ticket}, {noteMember, MaxNoteBytes, &d.Note},
		{"data.ip", MaxTextBytes, &d.IP}, {"data.user_agent", MaxNoteBytes, &d.UserAgent},
	}
}

// noteMember is the one text that may have lines.
const noteMember = "data.note"

// attributes is what is said of ev outside its data.
func (ev *Event) attributes() [4]member {
	return [...]member{
		{"id", MaxTextBytes, &ev.ID}, {"source", MaxTextBytes, &ev.Source},
		{"type", MaxTextBytes, (*string)(&ev.Type)}, {"rescindenv", MaxTextBytes, &ev.Environment},
	}
}

func checkSizes(ev *Event, _ time.Time) *Refusal {
	for _, m := range ev.attributes() {
		if r := checkText(m.name, *m.text, m.limit); r != nil {
			return r
		}
	}
	for _, m := range ev.Data.texts() {
		if r := checkText(m.name, *m.text, m.limit); r != nil {
			return r
		}
	}
	if r := checkLists(&ev.Data); r != nil {
		return r
	}
	if r := checkPersonal(ev.Data.Personal); r != nil {
		return r
	}
	return checkClear(ev)
}

// checkClear bounds what the record will keep, whatever it is made of.
func checkClear(ev *Event) *Refusal {
	d, size := &ev.Data, 0
	for _, s := range d.inClear() {
		size += len(s.value) + 4
	}
	for _, s := range []string{ev.ID, ev.Source, ev.Environment, d.Issuer, d.ClientID, d.KeyID, d.Algorithm, d.Outcome} {
		size += len(s)
	}
	if size > MaxClearBytes {
		return refuse(ReasonTooLarge, "the members that are kept in clear have %d bytes: the limit is %d", size, MaxClearBytes)
	}
	return nil
}

func checkText(name, s string, limit int) *Refusal {
	switch {
	case len(s) > limit:
		return refuse(ReasonTooLarge, "%.80s has %d bytes: the limit is %d", name, len(s), limit)
	case !utf8.ValidString(s):
		return refuse(ReasonSchema, "%.80s is not UTF-8", name)
	case name != noteMember && strings.ContainsFunc(s, unicode.IsControl):
		return refuse(ReasonSchema, "%.80s holds a control character", name)
	default:
		return nil
	}
}

func checkLists(d *Data) *Refusal {
	if len(d.Audience) > MaxAudiences {
		return refuse(ReasonTooLarge, "data.aud has %d members: the limit is %d", len(d.Audience), MaxAudiences)
	}
	if len(d.Attributes) > MaxAttributes {
		return refuse(ReasonTooLarge, "data.attributes has %d members: the limit is %d", len(d.Attributes), MaxAttributes)
	}
	for _, s := range d.Audience {
		if r := checkText("data.aud", s, MaxTextBytes); r != nil {
			return r
		}
	}
	for _, k := range slices.Sorted(maps.Keys(d.Attributes)) {
		if r := checkText("a name in data.attributes", k, MaxNameBytes); r != nil {
			return r
		}
		if r := checkText("data.attributes."+k, d.Attributes[k], MaxAttributeBytes); r != nil {
			return r
		}
	}
	return checkConsent(d.Consent)
}

func checkConsent(c *Consent) *Refusal {
	if c == nil {
		return nil
	}
	if len(c.Purposes) > MaxAudiences {
		return refuse(ReasonTooLarge, "data.consent.purposes has %d members: the limit is %d", len(c.Purposes), MaxAudiences)
	}
	for _, s := range append(slices.Clone(c.Purposes), c.ID) {
		if r := checkText("data.consent", s, MaxTextBytes); r != nil {
			return r
		}
	}
	return nil
}

func checkPersonal(members map[string]any) *Refusal {
	if len(members) == 0 {
		return nil
	}
	if len(members) > MaxPersonalMembers {
		return refuse(ReasonTooLarge, "data.personal has %d members: the limit is %d", len(members), MaxPersonalMembers)
	}
	for name := range members {
		if r := checkText("a name in data.personal", name, MaxNameBytes); r != nil {
			return r
		}
	}
	if depth(members) > MaxPersonalDepth {
		return refuse(ReasonTooLarge, "data.personal is nested deeper than %d levels", MaxPersonalDepth)
	}
	if b, err := json.Marshal(members); err != nil || len(b) > MaxPersonalBytes {
		return refuse(ReasonTooLarge, "data.personal has %d bytes: the limit is %d", len(b), MaxPersonalBytes)
	}
	return nil
}

// depth is how many objects and arrays stand inside each other in v.
func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, child := range v {
			deepest = max(deepest, depth(child))
		}
	case []any:
		for _, child := range v {
			deepest = max(deepest, depth(child))
		}
	default:
		return 0
	}
	return deepest + 1
}
