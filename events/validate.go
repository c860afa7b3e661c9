package events

import (
	"encoding/json"
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
	return nil
}

// has reports whether the member that Required names is there.
func (d *Data) has(name string) bool {
	if key, ok := strings.CutPrefix(name, "attributes."); ok {
		return d.Attributes[key] != ""
	}
	switch name {
	case "consent":
		return d.Consent != nil
	default:
		return *d.text()[name] != ""
	}
}

// text is every member of d that is a plain string, by its JSON name.
func (d *Data) text() map[string]*string {
	return map[string]*string{
		"tenant": &d.Tenant, "iss": &d.Issuer, "sub": &d.Subject, "jti": &d.TokenID, "sid": &d.SessionID,
		"client_id": &d.ClientID, "grant_id": &d.GrantID, "scope": &d.Scope, "kid": &d.KeyID, "alg": &d.Algorithm,
		"actor": &d.Actor, "outcome": &d.Outcome, "reason": &d.Reason, "ticket": &d.Ticket, "note": &d.Note,
		"ip": &d.IP, "user_agent": &d.UserAgent,
	}
}

// longMembers may be longer than MaxTextBytes.
var longMembers = map[string]int{"note": MaxNoteBytes, "user_agent": MaxNoteBytes, "scope": MaxNoteBytes}

func checkSizes(ev *Event, _ time.Time) *Refusal {
	if r := checkText("id", ev.ID, MaxTextBytes); r != nil {
		return r
	}
	if r := checkText("source", ev.Source, MaxTextBytes); r != nil {
		return r
	}
	for name, s := range ev.Data.text() {
		if r := checkText("data."+name, *s, max(MaxTextBytes, longMembers[name])); r != nil {
			return r
		}
	}
	if r := checkLists(&ev.Data); r != nil {
		return r
	}
	return checkPersonal(ev.Data.Personal)
}

func checkText(name, s string, limit int) *Refusal {
	switch {
	case len(s) > limit:
		return refuse(ReasonTooLarge, "%s has %d bytes: the limit is %d", name, len(s), limit)
	case !utf8.ValidString(s):
		return refuse(ReasonSchema, "%s is not UTF-8", name)
	case name != "data.note" && strings.ContainsFunc(s, unicode.IsControl):
		return refuse(ReasonSchema, "%s holds a control character", name)
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
	for k, v := range d.Attributes {
		if r := checkText("a name in data.attributes", k, 64); r != nil {
			return r
		}
		if r := checkText("data.attributes."+k, v, MaxAttributeBytes); r != nil {
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
		if r := checkText("a name in data.personal", name, 64); r != nil {
			return r
		}
	}
	if b, err := json.Marshal(members); err != nil || len(b) > MaxPersonalBytes {
		return refuse(ReasonTooLarge, "data.personal has %d bytes: the limit is %d", len(b), MaxPersonalBytes)
	}
	return nil
}

// minExposed is the length from which a personal value found inside an
// attribute is taken for the value and not for chance.
const minExposed = 6

// checkExposed refuses an attribute that repeats a personal value: attributes
// are kept in clear and would outlive the erasure of the person.
func checkExposed(ev *Event, _ time.Time) *Refusal {
	for _, v := range []string{ev.Data.Subject, ev.Data.IP, ev.Data.TokenID, ev.Data.SessionID} {
		if len(v) < minExposed {
			continue
		}
		for name, a := range ev.Data.Attributes {
			if strings.Contains(a, v) {
				return refuse(ReasonExposed, "data.attributes.%s repeats a personal value: attributes are kept in clear", name)
			}
		}
	}
	return nil
}
