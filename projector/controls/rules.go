package controls

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rescindhq/rescind/events"
)

// breach is what a rule found wrong with a record.
type breach struct {
	about    []string // what is wrong, beside control and tenant
	severity Severity
	title    string // the control's where empty
	detail   map[string]string
}

// rule is a control with its test: nil where the record keeps it. A rule reads
// the engine's state and changes nothing.
type rule struct {
	Control
	check func(e *Engine, r *events.Record, now time.Time) *breach
}

var rules = []rule{
	{Control{
		"alg-allow-list", "Signing algorithm is not on the allow-list", High,
		[]string{"RFC 8725 3.1", "RFC 8725 3.2", "GDPR 32(1)(a)", "HIPAA 164.312(d)", "SOC 2 CC6.1"},
	}, checkAlgorithm},
	{Control{
		"token-lifetime", "Token lives longer than the limit", High,
		[]string{"HIPAA 164.312(a)(2)(iii)", "SOC 2 CC6.1"},
	}, checkLifetime},
	{Control{
		"key-known", "Token names a key that its issuer never published", High,
		[]string{"PCI DSS 3.7.7", "HIPAA 164.312(d)", "SOC 2 CC6.1"},
	}, checkKeyKnown},
	{Control{
		"key-retired", "Token was issued after its key was retired or revoked", High,
		[]string{"PCI DSS 3.7.4", "PCI DSS 3.7.5", "SOC 2 CC6.1"},
	}, checkKeyRetired},
	{Control{
		"consent-cited", "Token with personal claims cites no valid consent", High,
		[]string{"GDPR 6(1)(a)", "GDPR 7(1)", "GDPR 7(3)"},
	}, checkConsent},
	{Control{
		"clock-offset", "Publisher's clock is ahead", Warning,
		[]string{"PCI DSS 10.6.1", "PCI DSS 10.6.3"},
	}, checkClock},
	{Control{
		"jti-reissued", "Token id was issued twice", High,
		[]string{"RFC 7519 4.1.7", "HIPAA 164.312(d)", "SOC 2 CC7.2"},
	}, checkReissued},
}

// defect is the control of the rules themselves.
var defect = Control{"defect", "A control failed and could not judge an event", Critical, []string{"SOC 2 CC7.2"}}

// signed reports whether r is about a token that somebody signed and that was
// not rejected.
func signed(r *events.Record) bool {
	return r.Type == events.TokenVerified || issues(r)
}

// issues reports whether r brought a token into the world.
func issues(r *events.Record) bool {
	return r.Type == events.TokenIssued || r.Type == events.TokenRefreshed
}

// symmetric reports whether alg needs no private key: none, and the HMACs.
func symmetric(alg string) bool {
	u := strings.ToUpper(alg)
	return u == "NONE" || strings.HasPrefix(u, "HS")
}

func checkAlgorithm(e *Engine, r *events.Record, _ time.Time) *breach {
	if !signed(r) && r.Type != events.KeyPublished {
		return nil
	}
	if r.Algorithm == "" || slices.Contains(e.cfg.Algorithms, r.Algorithm) {
		return nil
	}
	b := &breach{about: []string{r.Issuer, r.KeyID, r.Algorithm}, severity: High}
	if symmetric(r.Algorithm) {
		b.severity = Critical
	}
	return b
}

func checkLifetime(e *Engine, r *events.Record, _ time.Time) *breach {
	from := issuedAt(r)
	if !signed(r) || r.Expires == 0 || from == 0 {
		return nil
	}
	lifetime := r.Expires.Time().Sub(from.Time())
	if lifetime <= e.cfg.TokenLifetime {
		return nil
	}
	return &breach{about: []string{r.Issuer, r.Client}, severity: High, detail: map[string]string{
		"lifetime_s": seconds(lifetime), "limit_s": seconds(e.cfg.TokenLifetime),
	}}
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// issuedAt is when the token of r was issued; zero where r does not say.
func issuedAt(r *events.Record) events.Timestamp {
	if r.IssuedAt == 0 && issues(r) {
		return events.Timestamp(r.Time / 1000)
	}
	return r.IssuedAt
}

func checkKeyKnown(e *Engine, r *events.Record, _ time.Time) *breach {
	switch r.Type {
	case events.KeyPublished, events.KeyRotated, events.KeyRetired, events.KeyRevoked:
		return overflow("keys", e.keys.full(r.Tenant, keyOf(r)), e.cfg.MaxKeys)
	}
	if !signed(r) || r.KeyID == "" || !e.keys.whole(r.Tenant) {
		return nil
	}
	if s, _ := e.keys.get(r.Tenant, keyOf(r)); s.known {
		return nil
	}
	return &breach{about: []string{r.Issuer, r.KeyID}, severity: Critical}
}

// overflow is that a key or consent did not fit because of the bound full, where
// that is not 0: from here on the rule is silent for the tenant, which must not
// go unseen. All of a tenant's that do not fit are one finding.
func overflow(what string, full, all int) *breach {
	if full == 0 {
		return nil
	}
	who := "Tenant publishes"
	if full == all {
		who = "Tenants together publish"
	}
	return &breach{
		about: []string{what}, severity: High, title: who + " more " + what + " than are remembered",
		detail: map[string]string{"limit_" + what: strconv.Itoa(full)},
	}
}

func checkKeyRetired(e *Engine, r *events.Record, _ time.Time) *breach {
	if !signed(r) || r.KeyID == "" {
		return nil
	}
	s, _ := e.keys.get(r.Tenant, keyOf(r))
	at := issuedAt(r)
	if s.retired == 0 || at == 0 || at.Time().Sub(s.retired.Time()) <= e.cfg.Skew {
		return nil
	}
	return &breach{about: []string{r.Issuer, r.KeyID}, severity: High}
}

func checkConsent(e *Engine, r *events.Record, _ time.Time) *breach {
	switch r.Type {
	case events.ConsentGranted, events.ConsentWithdrawn:
		return overflow("consents", e.consents.full(r.Tenant, consentRef(r)), e.cfg.MaxConsents)
	}
	if !issues(r) || len(r.Claims) == 0 {
		return nil
	}
	state := e.consentState(r)
	if state == "" {
		return nil
	}
	b := &breach{about: []string{r.Issuer, r.Client, state}, severity: High, detail: map[string]string{"state": state}}
	if r.Consent != "" {
		b.about = []string{r.Issuer, r.SubjectRef.String(), r.Consent, state}
	}
	return b
}

// consentState is what is wrong with the consent that r cites, or "".
func (e *Engine) consentState(r *events.Record) string {
	if r.Consent == "" {
		return "missing"
	}
	switch granted, found := e.consents.get(r.Tenant, consentRef(r)); {
	case found && !granted:
		return "withdrawn"
	case !found && e.consents.whole(r.Tenant):
		return "unknown"
	default:
		return ""
	}
}

func checkClock(e *Engine, r *events.Record, now time.Time) *breach {
	ahead := time.Duration(r.Time-now.UnixMicro()) * time.Microsecond
	if ahead <= e.cfg.ClockOffset {
		return nil
	}
	return &breach{about: []string{r.Source}, severity: Warning, detail: map[string]string{
		"ahead_ms": milliseconds(ahead), "limit_ms": milliseconds(e.cfg.ClockOffset),
	}}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func checkReissued(e *Engine, r *events.Record, now time.Time) *breach {
	if r.Type != events.TokenIssued || r.TokenRef.IsZero() {
		return nil
	}
	expires, seen := e.tokens.get(r.TokenRef)
	if !seen || expires != 0 && expires.Time().Before(now) {
		return nil
	}
	return &breach{about: []string{r.TokenRef.String()}, severity: High}
}
