package events

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
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
	r := p.refusal(ev, now)
	if r != nil {
		r.ID, r.Source = clip(ev.ID), clip(ev.Source)
	}
	return r
}

// refusal is the first thing that is wrong with ev. Each check is quick on an
// event that passes, and takes its time to name a fault the same way each time.
func (p Policy) refusal(ev *Event, now time.Time) *Refusal {
	if r := checkOffence(ev); r != nil {
		return r
	}
	if r := checkIdentity(ev); r != nil {
		return r
	}
	if r := p.checkEnvironment(ev); r != nil {
		return r
	}
	if r := checkTimes(&ev.Data); r != nil {
		return r
	}
	if r := p.checkTime(ev, now); r != nil {
		return r
	}
	if r := checkRequired(ev); r != nil {
		return r
	}
	if r := checkSizes(ev); r != nil {
		return r
	}
	return checkExposed(ev)
}

func checkIdentity(ev *Event) *Refusal {
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
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

func (p Policy) checkEnvironment(ev *Event) *Refusal {
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

var timeMembers = [...]int{iatMember, expMember, nbfMember, issuedBeforeMember, startsMember, notAfterMember}

// checkTimes checks that every time is one that Decode reads.
func checkTimes(d *Data) *Refusal {
	for _, m := range timeMembers {
		if t := *d.timeMember(m); t < 0 || t > maxNumericDate*1000 {
			return refuse(ReasonSchema, "data.%s: want a time from 1970 to %d s after", memberNames[m], int64(maxNumericDate))
		}
	}
	return nil
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
	case ev.Time.Unix() < 0:
		return refuse(ReasonTime, "time is before 1970")
	case ev.Data.IssuedBefore > ev.Data.Starts && ev.Data.IssuedBefore.Time().After(limit):
		return refuse(ReasonTime, "issued_before is after starts and ahead of the intake's clock: the limit is %s", ahead)
	default:
		return checkTerm(&ev.Data, now)
	}
}

// MaxStartAhead is how far ahead a revocation may be scheduled.
const MaxStartAhead = 400 * 24 * time.Hour

// checkTerm checks from when until when a revocation is to last.
func checkTerm(d *Data, now time.Time) *Refusal {
	switch {
	case d.Starts > 0 && d.Starts.Time().After(now.Add(MaxStartAhead)):
		return refuse(ReasonTime, "starts is more than %d days ahead", MaxStartAhead/(24*time.Hour))
	case d.NotAfter > 0 && d.NotAfter <= d.Starts:
		return refuse(ReasonTime, "not_after is not after starts")
	default:
		return nil
	}
}

// Required lists the members of data that type t must carry. A name with a dot
// is a member of attributes.
func Required(t Type) []string { return slices.Clone(required[t]) }

var required = map[Type][]string{
	TokenIssued: {"iss", "jti"}, TokenRefreshed: {"iss", "jti"}, TokenVerified: {"iss"},
	TokenRevoked: {"iss", "jti"}, SessionRevoked: {"iss", "sid"}, SubjectRevoked: {"iss", "sub"},
	ClientRevoked: {"iss", "client_id"}, GrantRevoked: {"iss", "grant_id"}, KeyRevoked: {"iss", "kid"}, IssuerRevoked: {"iss"},
	RevocationLifted:   {"attributes.revocation", "attributes.position", "attributes.hash", "attributes.scope"},
	RevocationRestored: {"actor", "attributes.request", "attributes.hash", "attributes.feed_key"},
	RevocationProposed: {"actor", "attributes.proposal", "attributes.scope", "attributes.body"},
	RevocationApproved: {"actor", "attributes.proposal", "attributes.body"}, RevocationDenied: {"actor", "attributes.proposal"},
	KeyPublished: {"iss", "kid", "alg"}, KeyRotated: {"iss", "kid"}, KeyRetired: {"iss", "kid"},
	ConsentGranted: {"iss", "sub", "consent"}, ConsentWithdrawn: {"iss", "sub", "consent"},
	HoldPlaced: {"actor", "attributes.hold"}, HoldReleased: {"actor", "attributes.hold"},
	RequestReceived: {"iss", "sub", "attributes.request", "attributes.request_type"},
	RequestVerified: {"actor", "attributes.request"}, RequestApproved: {"actor", "attributes.request"},
	RequestDenied: {"actor", "attributes.request"}, RequestExtended: {"actor", "attributes.request"},
	RequestCancelled: {"actor", "attributes.request"}, RequestExecuted: {"actor", "attributes.request"}, RequestCompleted: {"actor", "attributes.request"},
	RequestNotified:  {"actor", "attributes.request", "attributes.recipient", "attributes.delivery"},
	RequestReapplied: {"actor", "attributes.request"},
	AuditAccessed:    {"actor", "attributes.purpose"}, AuditExported: {"actor", "attributes.purpose"},
	RequestReported: {"actor", "attributes.request", "attributes.ask", "attributes.answer"},
	FindingOpened:   {"attributes.finding"}, FindingAcknowledged: {"attributes.finding"}, FindingClosed: {"attributes.finding"},
}

func checkRequired(ev *Event) *Refusal {
	for _, name := range required[ev.Type] {
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
	switch ev.Type {
	case RevocationLifted:
		return checkLift(&ev.Data)
	case RevocationRestored:
		return checkRestored(&ev.Data)
	default:
		return nil
	}
}

// checkRestored checks that the attributes say what was revoked as a record does.
func checkRestored(d *Data) *Refusal {
	if r, err := ParseRef(d.Attributes["hash"]); err != nil || r.IsZero() {
		return refuse(ReasonSchema, "data.attributes.hash: want 32 hex digits")
	}
	if _, err := ParseGeneration(d.Attributes["feed_key"]); err != nil {
		return refuse(ReasonSchema, "data.attributes.feed_key: %v", err)
	}
	return nil
}

// ParseGeneration reads the generation of a key: 1 to 999999999.
func ParseGeneration(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || len(s) > 9 || n == 0 || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("generation: want a whole number from 1 of at most 9 digits")
	}
	return uint32(n), nil
}

// checkLift checks that the attributes name a revocation as its record does.
func checkLift(d *Data) *Refusal {
	for _, name := range []string{"revocation", "hash"} {
		if r, err := ParseRef(d.Attributes[name]); err != nil || r.IsZero() {
			return refuse(ReasonSchema, "data.attributes.%s: want 32 hex digits", name)
		}
	}
	if _, err := ParsePosition(d.Attributes["position"]); err != nil {
		return refuse(ReasonSchema, "data.attributes.position: want a whole number of at most 19 digits")
	}
	if !Scope(d.Attributes["scope"]).RevokedType().Known() {
		return refuse(ReasonSchema, "data.attributes.scope: not a scope")
	}
	return nil
}

// ParsePosition reads a position in a log: at most 19 decimal digits, without
// leading zeros.
func ParsePosition(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || len(s) > 19 || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("position: want a whole number of at most 19 digits")
	}
	return n, nil
}

// has reports whether the member that Required names is there.
func (d *Data) has(name string) bool {
	switch name {
	case "iss":
		return d.Issuer != ""
	case "sub":
		return d.Subject != ""
	case "jti":
		return d.TokenID != ""
	case "sid":
		return d.SessionID != ""
	case "client_id":
		return d.ClientID != ""
	case "grant_id":
		return d.GrantID != ""
	case "kid":
		return d.KeyID != ""
	case "alg":
		return d.Algorithm != ""
	case "actor":
		return d.Actor != ""
	case "consent":
		return d.Consent != nil
	default:
		return d.Attributes[strings.TrimPrefix(name, "attributes.")] != ""
	}
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

func checkSizes(ev *Event) *Refusal {
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

// perClear is what a text takes in the record beside itself, about.
const perClear = 4

// checkClear bounds what the record will keep, whatever it is made of.
func checkClear(ev *Event) *Refusal {
	d, size := &ev.Data, 0
	for k, v := range d.Attributes {
		size += len(k) + len(v) + 2*perClear
	}
	for name := range d.Personal {
		size += len(name) + perClear
	}
	for _, s := range d.Audience {
		size += len(s) + perClear
	}
	if d.Consent != nil {
		size += len(d.Consent.ID) + perClear
		for _, s := range d.Consent.Purposes {
			size += len(s) + perClear
		}
	}
	for _, s := range [...]string{d.Scope, d.Reason, d.Ticket, d.Actor} {
		size += len(s) + perClear
	}
	for _, s := range [...]string{ev.ID, ev.Source, ev.Environment, d.Issuer, d.ClientID, d.KeyID, d.Algorithm, d.Outcome} {
		size += len(s)
	}
	if size > MaxClearBytes {
		return refuse(ReasonTooLarge, "the members that are kept in clear have %d bytes: the limit is %d", size, MaxClearBytes)
	}
	return nil
}

func checkText(name, s string, limit int) *Refusal {
	if fits(s, limit) {
		return nil
	}
	return checkOddText(name, s, limit)
}

func checkOddText(name, s string, limit int) *Refusal {
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

// fits reports whether s is what checkText accepts, as nearly every text is:
// where it says no, checkOddText has a look.
func fits(s string, limit int) bool { return s == "" || len(s) <= limit && printableASCII(s) }

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
	if r := checkAttributes(d.Attributes); r != nil {
		return r
	}
	return checkConsent(d.Consent)
}

func checkAttributes(attributes map[string]string) *Refusal {
	odd := false
	for k, v := range attributes {
		odd = odd || !fits(k, MaxNameBytes) || !fits(v, MaxAttributeBytes)
	}
	if !odd {
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		if r := checkText("a name in data.attributes", k, MaxNameBytes); r != nil {
			return r
		}
		if r := checkText("data.attributes."+k, attributes[k], MaxAttributeBytes); r != nil {
			return r
		}
	}
	return nil
}

func checkConsent(c *Consent) *Refusal {
	if c == nil {
		return nil
	}
	if len(c.Purposes) > MaxAudiences {
		return refuse(ReasonTooLarge, "data.consent.purposes has %d members: the limit is %d", len(c.Purposes), MaxAudiences)
	}
	for _, s := range c.Purposes {
		if r := checkText("data.consent", s, MaxTextBytes); r != nil {
			return r
		}
	}
	return checkText("data.consent", c.ID, MaxTextBytes)
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
	if jsonAtMost(members) <= MaxPersonalBytes {
		return nil
	}
	if b, err := json.Marshal(members); err != nil || len(b) > MaxPersonalBytes {
		return refuse(ReasonTooLarge, "data.personal has %d bytes: the limit is %d", len(b), MaxPersonalBytes)
	}
	return nil
}

// jsonAtMost bounds what v takes as JSON, without writing it: each byte of a
// text as an escape. What it does not know takes more than there may be.
func jsonAtMost(v any) int {
	const number, letters = 25, len("false")
	size := letters
	switch v := v.(type) {
	case nil, bool:
	case int64, uint64, float64:
		size = number
	case string:
		size = 6*len(v) + 2
	case map[string]any:
		for name, child := range v {
			size += 6*len(name) + 4 + jsonAtMost(child)
		}
	case []any:
		for _, child := range v {
			size += 1 + jsonAtMost(child)
		}
	default:
		return MaxPersonalBytes + 1
	}
	return size
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
