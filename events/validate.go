package events

import (
	"time"
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
		ev.named(r, "")
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
	if r := checkCutoff(ev); r != nil {
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
		return refuse(ReasonType, "type %q is not one of ours", label(ev.Type))
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
		return refuse(ReasonEnvironment, "rescindenv is %q: this is %q", label(ev.Environment), p.Environment)
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

// StrayCutoff reports whether ev revokes, and says a cut-off that its scope does not
// have.
func (ev *Event) StrayCutoff() bool {
	scope := ev.Type.RevokedScope()
	return ev.Data.IssuedBefore != 0 && scope != "" && !scope.HasCutoff()
}

// checkCutoff refuses a cut-off that would have no effect: what is revoked would be
// more than the event says, and more than was counted for it.
func checkCutoff(ev *Event) *Refusal {
	if !ev.StrayCutoff() {
		return nil
	}
	return refuse(ReasonSchema, "data.issued_before: scope %s has no cut-off: leave it out, and whatever was issued is revoked", ev.Type.RevokedScope())
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
