package controls

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rescindhq/rescind/events"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newEngine(t interface{ Fatal(...any) }, cfg Config) *Engine {
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var serial atomic.Int64

// token is a record of type t about a token that breaks no rule once k1 is
// published, changed.
func token(t events.Type, changes ...func(*events.Record)) *events.Record {
	n := serial.Add(1)
	r := &events.Record{
		Version: events.RecordVersion, Source: "//issuer", ID: fmt.Sprint("e", n), Tenant: "acme", Environment: "test", Type: t,
		Time: now.UnixMicro(), Received: now.UnixMicro(), Issuer: "https://issuer", Client: "app", KeyID: "k1", Algorithm: "ES256",
		SubjectRef: events.Ref{1}, TokenRef: events.Ref{2, byte(n >> 8), byte(n)}, SessionRef: events.Ref{3},
		IssuedAt: events.TimestampOf(now), Expires: events.TimestampOf(now.Add(time.Hour)),
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

func key(t events.Type, kid string, at time.Time) *events.Record {
	return token(t, func(r *events.Record) { r.KeyID, r.Time, r.TokenRef = kid, at.UnixMicro(), events.Ref{} })
}

// step checks and applies r and its findings, as the intake does.
func step(e *Engine, r *events.Record) []Finding {
	found, _ := e.Check(r, now)
	e.Apply(r)
	for i := range found {
		e.Apply(found[i].Record(r, now))
	}
	return found
}

// check is Check where no rule fails.
func check(t interface{ Fatal(...any) }, e *Engine, r *events.Record) []Finding {
	found, failed := e.Check(r, now)
	if failed != nil {
		t.Fatal(failed)
	}
	return found
}

func ids(found []Finding) []string {
	out := []string{}
	for _, f := range found {
		out = append(out, f.Control+"/"+string(f.Severity))
	}
	return out
}

type change = func(*events.Record)

// TestRules has for each rule what it objects to and what it does not.
func TestRules(t *testing.T) {
	t.Parallel()
	with := func(changes ...change) []change { return changes }
	alg := func(s string) change { return func(r *events.Record) { r.Algorithm = s } }
	kid := func(s string) change { return func(r *events.Record) { r.KeyID = s } }
	lives := func(d time.Duration) change {
		return func(r *events.Record) { r.Expires = events.TimestampOf(now.Add(d)) }
	}
	noIat := func(r *events.Record) { r.IssuedAt = 0 }
	claims := func(consent string) change {
		return func(r *events.Record) { r.Claims, r.Consent = []string{"email"}, consent }
	}
	iat := func(d time.Duration) change {
		return func(r *events.Record) {
			r.IssuedAt, r.Expires = events.TimestampOf(now.Add(d)), events.TimestampOf(now.Add(d+time.Minute))
		}
	}
	ahead := func(d time.Duration) change {
		return func(r *events.Record) { r.Time = now.Add(d).UnixMicro() }
	}
	ref := func(b byte) change { return func(r *events.Record) { r.TokenRef = events.Ref{9, b} } }
	none := []string{}
	for name, tc := range map[string]struct {
		typ     events.Type
		changes []change
		want    []string
	}{
		"good":                  {events.TokenIssued, nil, none},
		"alg none":              {events.TokenVerified, with(alg("none")), []string{"alg-allow-list/critical"}},
		"alg None":              {events.TokenVerified, with(alg("None")), []string{"alg-allow-list/critical"}},
		"alg HS256":             {events.TokenIssued, with(alg("HS256")), []string{"alg-allow-list/critical"}},
		"alg ES256K":            {events.TokenRefreshed, with(alg("ES256K")), []string{"alg-allow-list/high"}},
		"alg missing":           {events.TokenIssued, with(alg("")), none},
		"key with weak alg":     {events.KeyPublished, with(alg("HS512")), []string{"alg-allow-list/critical"}},
		"rejected for its alg":  {events.TokenRejected, with(alg("none"), kid("x")), none},
		"lifetime at the limit": {events.TokenIssued, with(lives(time.Hour)), none},
		"lifetime over":         {events.TokenIssued, with(lives(time.Hour + time.Second)), []string{"token-lifetime/high"}},
		"lifetime of verified":  {events.TokenVerified, with(lives(2 * time.Hour)), []string{"token-lifetime/high"}},
		"lifetime from time":    {events.TokenIssued, with(lives(2*time.Hour), noIat), []string{"token-lifetime/high"}},
		"lifetime unknown":      {events.TokenVerified, with(lives(2*time.Hour), noIat), none},
		"no expiry":             {events.TokenIssued, with(func(r *events.Record) { r.Expires = 0 }), none},
		"revoked, long":         {events.TokenRevoked, with(lives(99 * time.Hour)), none},
		"key unknown":           {events.TokenVerified, with(kid("k9")), []string{"key-known/critical"}},
		"key of another issuer": {events.TokenIssued, with(func(r *events.Record) { r.Issuer = "https://other" }), []string{"key-known/critical"}},
		"key of another tenant": {events.TokenIssued, with(func(r *events.Record) { r.Tenant = "globex" }), []string{"key-known/critical"}},
		"key not named":         {events.TokenIssued, with(kid("")), none},
		"key rotated in":        {events.TokenIssued, with(kid("k2")), none},
		"retired key, before":   {events.TokenVerified, with(kid("old"), iat(-2*time.Hour)), none},
		"retired key, skew":     {events.TokenIssued, with(kid("old"), iat(-time.Hour+time.Minute)), none},
		"retired key, after":    {events.TokenIssued, with(kid("old"), iat(-time.Hour+2*time.Minute)), []string{"key-retired/high"}},
		"retired key verified":  {events.TokenVerified, with(kid("old"), iat(-time.Minute)), []string{"key-retired/high"}},
		"retired key, no iat":   {events.TokenVerified, with(kid("old"), noIat), none},
		"revoked key, before":   {events.TokenVerified, with(kid("bad"), iat(-2*time.Hour)), none},
		"revoked key, skew":     {events.TokenIssued, with(kid("bad"), iat(-time.Hour+time.Minute)), none},
		"revoked key, after":    {events.TokenIssued, with(kid("bad"), iat(-time.Hour+2*time.Minute)), []string{"key-retired/high"}},
		"revoked key verified":  {events.TokenVerified, with(kid("bad"), iat(-time.Minute)), []string{"key-retired/high"}},
		"retired key refreshed": {events.TokenRefreshed, with(kid("old"), noIat, lives(time.Minute)), []string{"key-retired/high"}},
		"consent":               {events.TokenIssued, with(claims("c1")), none},
		"consent missing":       {events.TokenIssued, with(claims("")), []string{"consent-cited/high"}},
		"consent unknown":       {events.TokenRefreshed, with(claims("c9")), []string{"consent-cited/high"}},
		"consent withdrawn":     {events.TokenIssued, with(claims("c2")), []string{"consent-cited/high"}},
		"consent of another":    {events.TokenIssued, with(claims("c1"), func(r *events.Record) { r.SubjectRef = events.Ref{7} }), []string{"consent-cited/high"}},
		"claims verified":       {events.TokenVerified, with(claims("")), none},
		"clock at the bound":    {events.TokenVerified, with(ahead(5 * time.Second)), none},
		"clock ahead":           {events.TokenVerified, with(ahead(5*time.Second + time.Millisecond)), []string{"clock-offset/warning"}},
		"clock ahead, any type": {events.AuditAccessed, with(ahead(time.Minute)), []string{"clock-offset/warning"}},
		"late":                  {events.TokenVerified, with(ahead(-24 * time.Hour)), none},
		"jti again":             {events.TokenIssued, with(ref(1)), []string{"jti-reissued/high"}},
		"jti verified":          {events.TokenVerified, with(ref(1)), none},
		"jti refreshed":         {events.TokenRefreshed, with(ref(1)), none},
		"jti expired":           {events.TokenIssued, with(ref(2)), none},
		"jti without expiry":    {events.TokenIssued, with(ref(3)), []string{"jti-reissued/high"}},
		"no jti":                {events.TokenIssued, with(func(r *events.Record) { r.TokenRef = events.Ref{} }), none},
		"several":               {events.TokenIssued, with(alg("none"), kid("k9"), claims("")), []string{"alg-allow-list/critical", "key-known/critical", "consent-cited/high"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, Config{})
			e.Apply(key(events.KeyPublished, "k1", now))
			e.Apply(key(events.KeyRotated, "k2", now))
			e.Apply(key(events.KeyPublished, "old", now.Add(-9*time.Hour)))
			e.Apply(key(events.KeyRetired, "old", now.Add(-time.Hour)))
			e.Apply(key(events.KeyPublished, "bad", now.Add(-9*time.Hour)))
			e.Apply(key(events.KeyRevoked, "bad", now.Add(-time.Hour)))
			for _, c := range []string{"c1", "c2"} {
				e.Apply(token(events.ConsentGranted, func(r *events.Record) { r.Consent = c }))
			}
			e.Apply(token(events.ConsentWithdrawn, func(r *events.Record) { r.Consent = "c2" }))
			e.Apply(token(events.TokenIssued, ref(1)))
			e.Apply(token(events.TokenIssued, ref(2), lives(-time.Minute)))
			e.Apply(token(events.TokenIssued, ref(3), func(r *events.Record) { r.Expires = 0 }))
			if d := cmp.Diff(tc.want, ids(step(e, token(tc.typ, tc.changes...)))); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestRetiredKeyStaysRetired ends a key in each way, does what could bring it
// back, and has it sign: only what was issued after the earliest end is found.
func TestRetiredKeyStaysRetired(t *testing.T) {
	t.Parallel()
	hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	published, ends := events.KeyPublished, hour(-2)
	for name, log := range map[string][]*events.Record{
		"retired, published":     {key(published, "k1", hour(-9)), key(events.KeyRetired, "k1", ends), key(published, "k1", hour(-1))},
		"revoked, published":     {key(published, "k1", hour(-9)), key(events.KeyRevoked, "k1", ends), key(published, "k1", hour(-1))},
		"retired, rotated in":    {key(published, "k1", hour(-9)), key(events.KeyRetired, "k1", ends), key(events.KeyRotated, "k1", hour(-1))},
		"published after it":     {key(events.KeyRetired, "k1", ends), key(published, "k1", hour(-9))},
		"retired again, later":   {key(published, "k1", hour(-9)), key(events.KeyRetired, "k1", ends), key(events.KeyRetired, "k1", now)},
		"retired, revoked later": {key(published, "k1", hour(-9)), key(events.KeyRetired, "k1", ends), key(events.KeyRevoked, "k1", now)},
		"revoked, retired later": {key(published, "k1", hour(-9)), key(events.KeyRevoked, "k1", ends), key(events.KeyRetired, "k1", now)},
		"revoked, retired first": {key(published, "k1", hour(-9)), key(events.KeyRevoked, "k1", now), key(events.KeyRetired, "k1", ends)},
		"revoked, scheduled":     {key(published, "k1", hour(-9)), term(key(events.KeyRevoked, "k1", hour(-5)), ends, time.Time{})},
		"scheduled in the past":  {key(published, "k1", hour(-9)), term(key(events.KeyRevoked, "k1", ends), hour(-5), time.Time{})},
		"scheduled, retired":     {key(published, "k1", hour(-9)), term(key(events.KeyRevoked, "k1", hour(-5)), hour(9), time.Time{}), key(events.KeyRetired, "k1", ends)},
		"suspended, retired":     {key(published, "k1", hour(-9)), term(key(events.KeyRevoked, "k1", hour(-5)), time.Time{}, hour(-4)), key(events.KeyRetired, "k1", ends)},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, Config{})
			for _, r := range log {
				if got := step(e, r); len(got) != 0 {
					t.Errorf("%s of a key: %v", r.Type.Name(), ids(got))
				}
			}
			at := func(iat time.Time) change {
				return func(r *events.Record) {
					r.IssuedAt, r.Expires = events.TimestampOf(iat), events.TimestampOf(iat.Add(time.Minute))
				}
			}
			if got := step(e, token(events.TokenVerified, at(ends.Add(-time.Minute)))); len(got) != 0 {
				t.Errorf("issued before: %v", ids(got))
			}
			if d := cmp.Diff([]string{"key-retired/high"}, ids(step(e, token(events.TokenVerified, at(ends.Add(2*time.Minute)))))); d != "" {
				t.Errorf("issued after: %s", d)
			}
		})
	}
}

// term has the revocation r start and end at these times, where they are any.
func term(r *events.Record, starts, ends time.Time) *events.Record {
	r.Revocation = &events.Revocation{Scope: events.ScopeKey}
	if !starts.IsZero() {
		r.Revocation.Starts = events.TimestampOf(starts)
	}
	if !ends.IsZero() {
		r.Revocation.NotAfter = events.TimestampOf(ends)
	}
	return r
}

// TestSuspendedKeyIsNotRetired: it is good again when the suspension ends.
func TestSuspendedKeyIsNotRetired(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{})
	for _, r := range []*events.Record{
		key(events.KeyPublished, "k1", now.Add(-9*time.Hour)), term(key(events.KeyRevoked, "k1", now.Add(-5*time.Hour)), time.Time{}, now.Add(-time.Hour)),
		token(events.TokenVerified),
	} {
		if got := step(e, r); len(got) != 0 {
			t.Errorf("%s: %v", r.Type.Name(), ids(got))
		}
	}
}

// TestKeyRetiredAtTheEpoch has a retirement whose time is zero.
func TestKeyRetiredAtTheEpoch(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{})
	e.Apply(key(events.KeyPublished, "k1", now))
	e.Apply(key(events.KeyRetired, "k1", time.Unix(0, 0)))
	if d := cmp.Diff([]string{"key-retired/high"}, ids(step(e, token(events.TokenVerified)))); d != "" {
		t.Error(d)
	}
}

func TestConfigChangesTheRules(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{Algorithms: []string{"EdDSA"}, TokenLifetime: time.Minute, ClockOffset: time.Second})
	e.Apply(key(events.KeyPublished, "k1", now))
	got := ids(step(e, token(events.TokenIssued, func(r *events.Record) { r.Time = now.Add(2 * time.Second).UnixMicro() })))
	if d := cmp.Diff([]string{"alg-allow-list/high", "token-lifetime/high", "clock-offset/warning"}, got); d != "" {
		t.Error(d)
	}
}

func TestFindingIsOpenOnlyOnce(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{})
	use := func() []Finding { return step(e, token(events.TokenVerified)) }
	first := use()
	if len(first) != 1 || len(use()) != 0 {
		t.Fatal("opened not once")
	}
	act := func(typ events.Type) {
		e.Apply(token(typ, func(r *events.Record) { r.Attributes = map[string]string{"finding": first[0].ID} }))
	}
	act(events.FindingAcknowledged)
	if got := use(); len(got) != 0 {
		t.Errorf("opened again when acknowledged: %v", ids(got))
	}
	act(events.FindingClosed)
	again := use()
	if len(again) != 1 || again[0].ID == first[0].ID || again[0].About != first[0].About {
		t.Errorf("after it was closed: %+v, first %+v", again, first)
	}
	if got := step(e, token(events.TokenVerified, func(r *events.Record) { r.KeyID = "k2" })); len(got) != 1 {
		t.Errorf("another key: %v", ids(got))
	}
}

// TestFindingOfAStranger has somebody else publish what looks like ours.
func TestFindingOfAStranger(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{})
	r := token(events.TokenVerified)
	forged := check(t, e, r)[0].Record(r, now)
	forged.Source = "//elsewhere"
	e.Apply(forged)
	for _, attributes := range []map[string]string{nil, {"finding": "zz"}, {"finding": strings.Repeat("0", 31) + "1", "about": "zz"}} {
		e.Apply(token(events.FindingOpened, func(r *events.Record) { r.Source, r.Attributes = Source, attributes }))
		e.Apply(token(events.FindingClosed, func(r *events.Record) { r.Attributes = attributes }))
	}
	if got := check(t, e, r); len(got) != 1 {
		t.Errorf("a foreign finding silenced ours: %v", ids(got))
	}
}

func TestRecordOfAFinding(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{})
	cause := token(events.TokenIssued, func(r *events.Record) { r.Expires += 3600_000 })
	e.Apply(key(events.KeyPublished, "k1", now))
	f := check(t, e, cause)[0]
	at := now.Add(time.Second)
	got := f.Record(cause, at)
	want := &events.Record{
		Version: 1, Source: Source, ID: f.ID, Tenant: "acme", Environment: "test", Type: events.FindingOpened,
		Time: at.UnixMicro(), Received: at.UnixMicro(), Actor: Source, Issuer: cause.Issuer, SubjectRef: cause.SubjectRef,
		TokenRef: cause.TokenRef, SessionRef: cause.SessionRef, Client: "app", KeyID: "k1", Algorithm: "ES256",
		Attributes: map[string]string{
			"finding": f.ID, "control": "token-lifetime", "severity": "high", "title": "Token lives longer than the limit",
			"clauses": "HIPAA 164.312(a)(2)(iii); SOC 2 CC6.1", "about": f.About.String(), "cause": cause.Ref().String(),
			"lifetime_s": "7200", "limit_s": "3600",
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := events.ParseRef(f.ID); err != nil || len(f.ID) != 32 {
		t.Errorf("id %q: %v", f.ID, err)
	}
}

func TestRuleThatPanicsStopsNoOther(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{})
	broken := rule{Control{ID: "broken"}, func(*Engine, *events.Record, time.Time) *breach { panic("index out of range") }}
	e.rules = slices.Insert(slices.Insert(slices.Clone(rules), 1, broken), 0, broken)
	r := token(events.TokenIssued, func(r *events.Record) { r.Algorithm = "none" })
	found, failed := e.Check(r, now)
	if d := cmp.Diff([]string{"alg-allow-list/critical", "key-known/critical"}, ids(found)); d != "" {
		t.Error(d)
	}
	if failed == nil || failed.Rule != "broken" || strings.Contains(failed.Error(), "index out of range") {
		t.Fatalf("failed: %v", failed)
	}
	about := e.Defect(r, failed)
	if d := cmp.Diff([]string{"defect/critical"}, ids(about)); d != "" || about[0].Detail["rule"] != "broken" {
		t.Fatalf("%s %v", d, about)
	}
	e.Apply(about[0].Record(r, now))
	if again := e.Defect(token(events.TokenIssued), failed); len(again) != 0 {
		t.Error("the same defect was opened twice")
	}
}

func TestApplyThatPanicsSaysSo(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{})
	e.tokens.new = nil // writing to it panics
	if failed := e.Apply(token(events.TokenIssued)); failed == nil || failed.Rule != "apply" {
		t.Errorf("failed: %v", failed)
	}
	if failed := e.Apply(token(events.TokenVerified)); failed != nil {
		t.Errorf("failed on what it need not remember: %v", failed)
	}
}

// TestStateIsAFoldOfTheLog builds an engine from the log of another and sees
// that the two find the same from then on, with the same ids.
func TestStateIsAFoldOfTheLog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{MaxTokens: 50, MaxOpen: 50, MaxKeys: 7, MaxKeysPerTenant: 3, MaxConsents: 7, MaxConsentsPerTenant: 3}
		e := newEngine(t, cfg)
		var log []*events.Record
		for range rapid.IntRange(0, 80).Draw(t, "records") {
			r := draw(t)
			found := check(t, e, r)
			e.Apply(r)
			log = append(log, r)
			for i := range found {
				f := found[i].Record(r, now)
				e.Apply(f)
				log = append(log, f)
			}
		}
		again := newEngine(t, cfg)
		for _, r := range log {
			again.Apply(r)
		}
		for range 20 {
			r := draw(t)
			if d := cmp.Diff(step(e, r), step(again, r)); d != "" {
				t.Fatal(d)
			}
		}
	})
}

func draw(t *rapid.T) *events.Record {
	typ := rapid.SampledFrom([]events.Type{
		events.TokenIssued, events.TokenVerified, events.TokenRefreshed, events.KeyPublished, events.KeyRotated, events.KeyRetired, events.KeyRevoked,
		events.ConsentGranted, events.ConsentWithdrawn, events.TokenRevoked, events.FindingClosed,
	}).Draw(t, "type")
	small := func(name string) string {
		return rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"}).Draw(t, name)
	}
	return token(typ, func(r *events.Record) {
		r.Tenant = rapid.SampledFrom([]string{"acme", "globex", "initech"}).Draw(t, "tenant")
		r.KeyID, r.Consent = small("kid"), small("consent")
		r.TokenRef = events.Ref{byte(rapid.IntRange(0, 5).Draw(t, "token"))}
		r.Algorithm = rapid.SampledFrom([]string{"", "ES256", "none"}).Draw(t, "alg")
		if rapid.Bool().Draw(t, "personal") {
			r.Claims = []string{"email"}
		}
		r.Time += int64(rapid.IntRange(-10, 10).Draw(t, "offset")) * 1e6
		r.Expires += events.Timestamp(rapid.IntRange(-120, 120).Draw(t, "lifetime")) * 60_000
	})
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{MaxTokens: 100, MaxOpen: 100, MaxKeys: 100, MaxConsents: 100})
	for i := range 5000 {
		name := fmt.Sprint("n", i)
		e.Apply(key(events.KeyPublished, name, now))
		e.Apply(key(events.KeyRetired, name+"r", now))
		elsewhere := key(events.KeyRevoked, name, now)
		elsewhere.Tenant = name
		e.Apply(elsewhere)
		e.Apply(token(events.ConsentGranted, func(r *events.Record) { r.Consent = name }))
		e.Apply(token(events.ConsentWithdrawn, func(r *events.Record) { r.Consent, r.Tenant = name, name }))
		step(e, token(events.TokenIssued, func(r *events.Record) { r.Algorithm = name }))
	}
	for what, n := range map[string]int{
		"keys": entries(e.keys), "consents": entries(e.consents), "tokens": len(e.tokens.new) + len(e.tokens.past),
		"open": len(e.open.new) + len(e.open.past), "ids": len(e.ids.new) + len(e.ids.past),
	} {
		if n > 100 {
			t.Errorf("%d %s", n, what)
		}
	}
}

// entries counts what s holds; each tenant in it has something.
func entries[K comparable, V any](s shares[K, V]) int {
	n := 0
	for _, t := range s.of {
		n += max(len(t.entries), 1)
	}
	return n
}

// TestRuleIsSilentAboutWhatDidNotFit overflows keys and consents.
func TestRuleIsSilentAboutWhatDidNotFit(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{MaxKeys: 2, MaxConsents: 2})
	personal := func(consent string) change {
		return func(r *events.Record) { r.Claims, r.Consent = []string{"email"}, consent }
	}
	for _, name := range []string{"k1", "k2"} {
		e.Apply(key(events.KeyPublished, name, now))
		e.Apply(token(events.ConsentGranted, func(r *events.Record) { r.Consent = name }))
	}
	r := token(events.TokenIssued, personal("k2"), func(r *events.Record) { r.KeyID = "k2" })
	if got := step(e, r); len(got) != 0 {
		t.Errorf("findings about what did not fit: %v", ids(got))
	}
	e.Apply(token(events.ConsentWithdrawn, func(r *events.Record) { r.Consent = "k1" }))
	if d := cmp.Diff([]string{"consent-cited/high"}, ids(step(e, token(events.TokenIssued, personal("k1"))))); d != "" {
		t.Errorf("about what did fit: %s", d)
	}
}

// TestTenantSilencesNoOther has one tenant publish as much as all may together:
// the rule goes silent for it alone, and says so once.
func TestTenantSilencesNoOther(t *testing.T) {
	t.Parallel()
	of := func(tenant string) change { return func(r *events.Record) { r.Tenant = tenant } }
	cites := func(r *events.Record) { r.KeyID, r.Claims, r.Consent = "", []string{"email"}, "never given" }
	consent := func(name string) change { return func(r *events.Record) { r.Consent = name } }
	for name, tc := range map[string]struct {
		fill        func(name string) *events.Record
		breaks      change
		silent      []string // what the tenant that published too much is told about
		title, unit string
		others      []string
	}{
		"keys": {
			func(name string) *events.Record { return key(events.KeyPublished, name, now) },
			func(r *events.Record) { r.KeyID = "never published" },
			[]string{"key-known/high"}, "Tenant publishes more keys than are remembered", "limit_keys",
			[]string{"key-known/critical"},
		},
		"consents": {
			func(name string) *events.Record { return token(events.ConsentGranted, consent(name)) },
			cites,
			[]string{"consent-cited/high"}, "Tenant publishes more consents than are remembered", "limit_consents",
			[]string{"consent-cited/high"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, Config{MaxKeys: 100, MaxConsents: 100})
			var found []Finding
			for i := range 300 {
				found = append(found, step(e, tc.fill(fmt.Sprint("n", i)))...)
			}
			if d := cmp.Diff(tc.silent, ids(found)); d != "" {
				t.Fatalf("told about what did not fit: %s", d)
			}
			if f := found[0]; f.Title != tc.title || f.Detail[tc.unit] != "50" {
				t.Errorf("finding %+v", f)
			}
			if got := step(e, token(events.TokenIssued, tc.breaks)); len(got) != 0 {
				t.Errorf("the tenant that published too much: %v", ids(got))
			}
			if d := cmp.Diff(tc.others, ids(step(e, token(events.TokenIssued, tc.breaks, of("globex"))))); d != "" {
				t.Errorf("another tenant: %s", d)
			}
			e.Apply(token(events.FindingClosed, func(r *events.Record) { r.Attributes = map[string]string{"finding": found[0].ID} }))
			if d := cmp.Diff(tc.silent, ids(step(e, tc.fill("one more")))); d != "" {
				t.Errorf("after it was closed: %s", d)
			}
		})
	}
}

func TestRecentRemembersTheLast(t *testing.T) {
	t.Parallel()
	r := newRecent[int, int](10)
	for i := range 1000 {
		r.put(i, i)
		for k := max(0, i-4); k <= i; k++ {
			if v, ok := r.get(k); !ok || v != k {
				t.Fatalf("after %d: %d is forgotten", i, k)
			}
		}
	}
	r.remove(999)
	if _, ok := r.get(999); ok {
		t.Error("removed and remembered")
	}
}

// TestTenantsTogetherAreBounded fills the room of all with two tenants: a third
// is told that its rules are silent, and what fits is still judged.
func TestTenantsTogetherAreBounded(t *testing.T) {
	t.Parallel()
	e := newEngine(t, Config{MaxKeys: 4, MaxConsents: 4})
	publish := func(tenant, name string) []Finding {
		of := func(r *events.Record) { r.Tenant, r.Consent = tenant, name }
		k := key(events.KeyPublished, name, now)
		of(k)
		return append(step(e, k), step(e, token(events.ConsentGranted, of))...)
	}
	for _, name := range []string{"k1", "k2"} {
		if got := append(publish("acme", name), publish("globex", name)...); len(got) != 0 {
			t.Fatalf("it fits: %v", ids(got))
		}
	}
	found := append(publish("initech", "k1"), publish("initech", "k2")...)
	if d := cmp.Diff([]string{"key-known/high", "consent-cited/high"}, ids(found)); d != "" {
		t.Fatal(d)
	}
	for i, title := range []string{"Tenants together publish more keys than are remembered", "Tenants together publish more consents than are remembered"} {
		if found[i].Title != title {
			t.Errorf("title %q, want %q", found[i].Title, title)
		}
	}
	for tenant, want := range map[string][]string{"acme": {"key-known/critical", "consent-cited/high"}, "initech": {}} {
		r := token(events.TokenIssued, func(r *events.Record) {
			r.Tenant, r.KeyID, r.Claims, r.Consent = tenant, "k9", []string{"email"}, "c9"
		})
		if d := cmp.Diff(want, ids(step(e, r))); d != "" {
			t.Errorf("%s: %s", tenant, d)
		}
	}
}

// TestSharesAreAsTheModel compares shares with what says the same more slowly.
func TestSharesAreAsTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type entry struct{ tenant, k string }
		s, model, lost := newShares[string, int](3, 7), map[entry]int{}, map[string]bool{}
		names := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		of := func(tenant string) (n int) {
			for e := range model {
				if e.tenant == tenant {
					n++
				}
			}
			return n
		}
		for i := range rapid.IntRange(0, 60).Draw(t, "puts") {
			e, want := entry{names.Draw(t, "tenant"), names.Draw(t, "k")}, 0
			if _, there := model[e]; !there && of(e.tenant) == 3 {
				want = 3
			} else if !there && len(model) == 7 {
				want = 7
			}
			if got := s.full(e.tenant, e.k); got != want {
				t.Fatalf("full(%v) = %d, want %d", e, got, want)
			}
			s.put(e.tenant, e.k, i)
			if want == 0 {
				model[e] = i
				continue
			}
			lost[e.tenant] = true
			if of(e.tenant) == 0 {
				lost["of those without"] = true
			}
		}
		for _, tenant := range []string{"a", "b", "c", "d", "e"} {
			whole := !lost[tenant]
			if of(tenant) == 0 {
				whole = !lost["of those without"]
			}
			if got := s.whole(tenant); got != whole {
				t.Fatalf("whole(%s) = %t, want %t", tenant, got, whole)
			}
			for _, k := range []string{"a", "b", "c", "d", "e"} {
				want, there := model[entry{tenant, k}]
				if got, found := s.get(tenant, k); got != want || found != there {
					t.Fatalf("get(%s, %s) = %d, %t, want %d, %t", tenant, k, got, found, want, there)
				}
			}
		}
	})
}

// TestEveryControlIsDescribed keeps Controls, the rules and the records that
// they make in order.
func TestEveryControlIsDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range Controls() {
		if c.ID == "" || seen[c.ID] || c.Title == "" || len(c.Clauses) == 0 || c.Severity == "" {
			t.Errorf("control %+v", c)
		}
		seen[c.ID] = true
		if b, err := json.Marshal(c); err != nil || len(strings.Join(c.Clauses, "; ")) > events.MaxAttributeBytes {
			t.Errorf("control %s: %v", b, err)
		}
	}
	for _, id := range []string{"alg-allow-list", "token-lifetime", "key-known", "key-retired", "consent-cited", "clock-offset", "jti-reissued", "defect"} {
		if !seen[id] {
			t.Errorf("control %s is missing", id)
		}
	}
	Controls()[0].Clauses[0] = "changed"
	if Controls()[0].Clauses[0] == "changed" {
		t.Error("a caller can change the clauses")
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	err := Config{
		Algorithms: []string{"HS256", "None"}, TokenLifetime: 1, ClockOffset: 2 * time.Hour, Skew: -1,
		MaxTokens: 1, MaxOpen: -1, MaxKeys: -1, MaxConsents: -1, MaxKeysPerTenant: -1, MaxConsentsPerTenant: -1,
	}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, fault := range []string{"HS256", "None", "token lifetime", "clock offset", "skew", "max tokens", "max open", "max keys -1", "max consents -1", "max keys per tenant", "max consents per tenant"} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%q is not reported: %v", fault, err)
		}
	}
	err = Config{MaxKeys: 10, MaxKeysPerTenant: 6, MaxConsents: 10, MaxConsentsPerTenant: 6}.Validate()
	if err == nil || !strings.Contains(err.Error(), "keys per tenant 6: want 1 to 5") || !strings.Contains(err.Error(), "consents per tenant 6: want 1 to 5") {
		t.Errorf("a tenant may take the room of the others: %v", err)
	}
	if err := (Config{MaxKeys: 2, MaxConsents: 3}).Validate(); err != nil {
		t.Errorf("a default out of bounds: %v", err)
	}
	if _, err := New(Config{MaxKeys: -1}); err == nil {
		t.Error("New accepts what Validate refuses")
	}
}

func BenchmarkCheckAndApply(b *testing.B) {
	e := newEngine(b, Config{})
	e.Apply(key(events.KeyPublished, "k1", now))
	records := make([]*events.Record, 1000)
	for i := range records {
		records[i] = token(events.TokenIssued)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := records[i%len(records)]
		r.TokenRef[8], r.TokenRef[9], r.TokenRef[10] = byte(i), byte(i>>8), byte(i>>16)
		i++
		e.Check(r, now)
		e.Apply(r)
	}
}
