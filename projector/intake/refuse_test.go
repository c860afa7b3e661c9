package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/controls"
)

const (
	onIssued = "rescind.events.acme.token.issued"
	aToken   = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	aCard    = "4111 1111 1111 1111"
)

// structured is an event as JSON, changed.
func structured(id string, change func(event, data map[string]any)) []byte {
	ev := issued(id)
	b, err := events.MarshalEvent(&ev)
	if err != nil {
		panic(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		panic(err)
	}
	change(m, m["data"].(map[string]any))
	if b, err = json.Marshal(m); err != nil {
		panic(err)
	}
	return b
}

func TestBadInputIsAFactAndNotARecord(t *testing.T) {
	t.Parallel()
	made := 0
	bad := func(change func(event, data map[string]any)) []byte {
		made++
		return structured(fmt.Sprintf("x%02d", made), change)
	}
	set := func(name string, v any) func(event, data map[string]any) {
		return func(event, _ map[string]any) { event[name] = v }
	}
	setData := func(name string, v any) func(event, data map[string]any) {
		return func(_, data map[string]any) { data[name] = v }
	}
	cases := map[string]struct {
		subject, contentType string
		body                 []byte
		reason               events.Reason
		dropped              bool // the payload is not kept
		unnamed              bool // neither id nor source can be told
	}{
		"not JSON":             {body: []byte("{"), reason: events.ReasonNotJSON, unnamed: true},
		"not UTF-8":            {body: []byte("{\"id\":\"\xff\"}"), reason: events.ReasonNotJSON, unnamed: true},
		"empty":                {body: nil, reason: events.ReasonNotJSON, unnamed: true},
		"batch of no array":    {contentType: events.ContentTypeBatch, body: []byte(`{"a":1}`), reason: events.ReasonNotJSON, unnamed: true},
		"unknown content type": {contentType: "text/plain", body: []byte("x"), reason: events.ReasonContentType, unnamed: true},
		"too many events": {
			contentType: events.ContentTypeBatch, body: []byte("[0" + strings.Repeat(",0", events.MaxMessageEvents) + "]"), reason: events.ReasonTooLarge, unnamed: true,
		},
		"unknown type": {subject: "rescind.events.acme.token.eaten", body: bad(set("type", "dev.rescind.token.eaten.v1")), reason: events.ReasonType},
		"somebody as type": {subject: "rescind.events.acme.token.eaten", reason: events.ReasonType, body: bad(func(event, data map[string]any) {
			event["type"], data["sub"] = "user-112233", "user-112233"
		})},
		"somebody as type, without a time": {subject: "rescind.events.acme.token.eaten", reason: events.ReasonSchema, body: bad(func(event, data map[string]any) {
			event["type"], event["time"], data["sub"] = "user-112233", "yesterday", "user-112233"
		})},
		"somebody in the subject": {subject: onIssued + ".user-112233", reason: events.ReasonMismatch, body: bad(setData("sub", "user-112233"))},
		"an address as type":      {subject: "rescind.events.acme.token.eaten", body: bad(set("type", "alice@example.com")), reason: events.ReasonType},
		"an address as place":     {body: bad(set("rescindenv", "alice@example.com")), reason: events.ReasonEnvironment},
		"an address as name": {
			body: bad(setData("attributes", map[string]string{"alice@example.com": strings.Repeat("x", 2000)})), reason: events.ReasonTooLarge,
		},
		"a card as content type": {contentType: "text/4111111111111111", body: []byte("y"), reason: events.ReasonContentType, unnamed: true},
		"another type":           {subject: "rescind.events.acme.token.verified", body: bad(func(_, _ map[string]any) {}), reason: events.ReasonMismatch},
		"another tenant":         {body: bad(set("rescindtenant", "globex")), reason: events.ReasonMismatch},
		"odd subject":            {subject: "rescind.events.acme", body: bad(func(_, _ map[string]any) {}), reason: events.ReasonMismatch},
		"no time":                {body: bad(set("time", "")), reason: events.ReasonMissing},
		"no time at all":         {body: bad(set("time", "yesterday")), reason: events.ReasonSchema},
		"from the future":        {body: bad(set("time", time.Now().Add(time.Hour).Format(time.RFC3339))), reason: events.ReasonTime},
		"no jti":                 {body: bad(setData("jti", "")), reason: events.ReasonMissing},
		"wrong shape":            {body: bad(setData("scope", 7)), reason: events.ReasonSchema},
		"milliseconds":           {body: bad(setData("exp", time.Now().UnixMilli())), reason: events.ReasonSchema},
		"another environment":    {body: bad(set("rescindenv", "prod")), reason: events.ReasonEnvironment},
		"raw token":              {body: bad(setData("note", "token "+aToken)), reason: events.ReasonRawToken, dropped: true},
		"card number":            {body: bad(setData("personal", map[string]any{"pan": aCard})), reason: events.ReasonCardNumber, dropped: true},
		"health claim":           {body: bad(setData("personal", map[string]any{"diagnosis": "x"})), reason: events.ReasonHealth, dropped: true},
		"exposed":                {body: bad(setData("attributes", map[string]string{"who": "alice@example.com"})), reason: events.ReasonExposed},
		"subject attribute":      {body: bad(set("subject", "alice")), reason: events.ReasonExposed},
		"our own source":         {body: bad(set("source", controls.Source)), reason: events.ReasonReserved},
		"too long":               {body: bad(setData("client_id", strings.Repeat("c", 600))), reason: events.ReasonTooLarge},
		"token in broken JSON": {
			body: []byte(`{"token":"` + aToken + `"`), reason: events.ReasonNotJSON, dropped: true, unnamed: true,
		},
		"token beside another fault": {
			body: bad(func(event, data map[string]any) { event["time"], data["note"] = "", aToken }), reason: events.ReasonMissing, dropped: true,
		},
		"lift of nothing": {
			subject: "rescind.events.acme.revocation.lifted", reason: events.ReasonSchema,
			body: bad(func(event, data map[string]any) {
				event["type"] = events.RevocationLifted
				data["attributes"] = map[string]string{"hash": "zz", "revocation": "aa", "position": "1", "scope": "token"}
			}),
		},
	}
	r := newRig(t)
	in := r.start()
	refused := map[events.Reason]uint64{}
	for name, tc := range cases {
		subject := tc.subject
		if subject == "" {
			subject = onIssued
		}
		r.send(subject, tc.contentType, tc.body)
		r.publish(issued("neighbour of " + name))
		refused[tc.reason]++
	}
	r.drained()
	facts := r.facts()
	if len(facts) != len(cases) {
		t.Errorf("facts: %v", facts)
	}
	if diff := cmp.Diff(refused, in.Stats().Refused); diff != "" {
		t.Errorf("counted: %s", diff)
	}
	all := map[events.Hash]stream.Quarantined{}
	for _, q := range r.quarantined() {
		all[q.SHA256] = q
	}
	if len(all) != len(cases) || len(r.quarantined()) != len(cases) {
		t.Errorf("%d entries of %d messages in quarantine, want one for each of %d", len(r.quarantined()), len(all), len(cases))
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if facts["neighbour of "+name].Record == nil {
				t.Error("its neighbour is not in the log")
			}
			q := all[sha256.Sum256(tc.body)]
			if q.Reason != tc.reason || q.Tenant != "acme" || q.Detail == "" || q.Time.IsZero() {
				t.Errorf("quarantined as %+v", q)
			}
			if !tc.unnamed && (len(q.ID) != 3 || !bytes.Contains(tc.body, []byte(`"`+q.ID+`"`)) || q.Source == "") {
				t.Errorf("quarantined as id %q source %q", q.ID, q.Source)
			}
			if dropped := q.Sealed == nil; dropped != tc.dropped {
				t.Errorf("payload dropped: %t, want %t", dropped, tc.dropped)
			}
			if !tc.dropped {
				r.checkQuarantined(q, tc.body)
			}
			for _, secret := range []string{aToken, aCard, "4111111111111111", "alice", "user-112233"} {
				if b := fmt.Sprintf("%+v", q); strings.Contains(b, secret) || strings.Contains(r.logText(), secret) {
					t.Errorf("quarantine or log lines hold %q", secret)
				}
			}
		})
	}
}

// checkQuarantined opens the payload of q.
func (r *rig) checkQuarantined(q stream.Quarantined, body []byte) {
	r.Helper()
	plain, err := r.keyring.Open(r.Context(), seal.OpenRequest{Tenant: q.Tenant, Source: q.Source, ID: q.ID, Generation: 1, Sealed: q.Sealed})
	if err != nil || !bytes.Equal(plain, body) {
		r.Errorf("payload of %d bytes, %v; want %d bytes", len(plain), err, len(body))
	}
}

func TestFaultyEventSparesItsNeighbours(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	good, last := issued("good"), issued("last")
	a, err := events.MarshalEvent(&good)
	r.check(err)
	b, err := events.MarshalEvent(&last)
	r.check(err)
	bad := structured("bad", func(_, data map[string]any) { data["jti"] = "" })
	r.send(onIssued, events.ContentTypeBatch, fmt.Appendf(nil, "[%s,%s,7,%s]", a, bad, b))
	r.drained()
	if got := r.facts(); len(got) != 2 || got["good"].Record == nil || got["last"].Record == nil {
		t.Errorf("facts: %v", got)
	}
	if got := r.quarantined(); len(got) != 2 {
		t.Errorf("%d entries in quarantine, want 2", len(got))
	}
}

// TestDefectSparesEverythingElse makes our own code panic on one event, in a
// batch and alone.
func TestDefectSparesEverythingElse(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(events.Message) ([]events.Decoded, error){
		"decoding panics": func(m events.Message) ([]events.Decoded, error) {
			if bytes.Contains(m.Body, []byte("cursed")) {
				panic("index out of range")
			}
			return events.Decode(m)
		},
		"decoding panics on protobuf": func(m events.Message) ([]events.Decoded, error) {
			if bytes.Contains(m.Body, []byte("cursed")) {
				panic("index out of range")
			}
			return events.Decode(m)
		},
		"decoding fails in a new way": func(m events.Message) ([]events.Decoded, error) {
			if bytes.Contains(m.Body, []byte("cursed")) && m.ContentType == events.ContentTypeEvent {
				return nil, errors.New("what is this")
			}
			return events.Decode(m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			in := r.start(func(in *Intake) { in.decode = broken })
			r.publish(issued("before"))
			three := []events.Event{issued("left"), issued("cursed"), issued("right")}
			switch name {
			case "decoding fails in a new way":
				r.publish(three...)
			case "decoding panics on protobuf":
				body, err := events.MarshalProtobufBatch(three)
				r.check(err)
				r.send(onIssued, events.ContentTypeProtobufBatch, body)
			default:
				r.publishBatch(three...)
			}
			r.publish(issued("after"))
			r.drained()
			if got := r.facts(); len(got) != 4 || got["cursed"].Record != nil {
				t.Errorf("facts: %v", got)
			}
			got := r.quarantined()
			if len(got) != 1 || got[0].Sealed == nil {
				t.Fatalf("quarantined: %+v", got)
			}
			if n := in.Stats().Refused[got[0].Reason]; n != 1 || got[0].Reason != events.ReasonDefect {
				t.Errorf("counted %d times as %s", n, got[0].Reason)
			}
		})
	}
}

// TestDefectInAnyStepSparesEverythingElse makes a step behind decoding panic on
// one event among others.
func TestDefectInAnyStepSparesEverythingElse(t *testing.T) {
	t.Parallel()
	for step, breaks := range map[string]any{
		"identifying": func(in *Intake) {
			in.decode = func(m events.Message) ([]events.Decoded, error) {
				out, err := events.Decode(m)
				for i := range out {
					if out[i].Event.ID == "cursed" {
						out[i].Event.Tenant = "nemo"
					}
				}
				return out, err
			}
			in.cfg.Keyring = brokenKeyring{in.cfg.Keyring}
		},
		"the keyring":            func(c *Config) { c.Keyring = brokenKeyring{c.Keyring} },
		"a control":              withEngine(func(e engine) engine { return &brokenEngine{engine: e, check: true} }),
		"the state of a control": withEngine(func(e engine) engine { return &brokenEngine{engine: e} }),
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			in := r.start(breaks)
			cursed := issued("cursed")
			cursed.Data.Subject = "nemo@example.com"
			r.publishBatch(issued("left"), cursed, issued("right"))
			r.publish(issued("after"))
			r.drained()
			facts := r.facts()
			if len(facts) != 3 || facts["cursed"].Record != nil {
				t.Errorf("facts: %v", facts)
			}
			got := r.quarantined()
			if len(got) != 1 || got[0].Reason != events.ReasonDefect || got[0].ID != "cursed" || got[0].Sealed == nil {
				t.Errorf("quarantined: %+v", got)
			}
			if s := in.Stats(); s.Refused[events.ReasonDefect] != 1 || s.Defects == 0 {
				t.Errorf("%+v", s)
			}
			if strings.Contains(r.logText(), "index out of range") {
				t.Error("what the panic said is logged")
			}
			in.stop()
			again := r.start() // on what was left behind
			r.publish(issued("later"))
			r.drained()
			if got := len(r.facts()); got != 4 || again.Stats().Refused[events.ReasonDefect] != 0 {
				t.Errorf("%d facts after another start, want 4", got)
			}
		})
	}
}

// unreadableText is a text that whoever looks into it panics on.
func unreadableText() string {
	var header struct {
		at  *byte
		len int
	}
	header.len = 100
	return *(*string)(unsafe.Pointer(&header))
}

// TestNamingThatPanicsSparesEverythingElse: where our code fails on saying whose event
// is refused, it is refused without.
func TestNamingThatPanicsSparesEverythingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start(func(in *Intake) {
		in.decode = func(m events.Message) ([]events.Decoded, error) {
			out, err := events.Decode(m)
			for i := range out {
				if out[i].Event.ID == "cursed" {
					out[i].Event.ID = unreadableText()
				}
			}
			return out, err
		}
	})
	cursed := issued("cursed")
	r.publishBatch(issued("left"), cursed, issued("right"))
	r.publish(issued("after"))
	r.drained()
	if facts := r.facts(); len(facts) != 3 || facts["cursed"].Record != nil {
		t.Errorf("facts: %v", facts)
	}
	got := r.quarantined()
	if len(got) != 1 || got[0].Reason != events.ReasonDefect || got[0].Detail == "" || got[0].ID != "" || got[0].Source != "" || got[0].Tenant != "acme" {
		t.Fatalf("quarantined: %+v", got)
	}
	body, err := events.MarshalEvent(&cursed)
	r.check(err)
	r.checkQuarantined(got[0], body)
	if s := in.Stats(); s.Refused[events.ReasonDefect] != 1 || s.Defects < 2 {
		t.Errorf("%+v", s)
	}
}

// TestParkingSparesTheWriter: what is refused behind the steps is named there.
func TestParkingSparesTheWriter(t *testing.T) {
	t.Parallel()
	in, ev := newRig(t).build(), issued("cursed")
	ev.ID = unreadableText()
	w := &writer{state: &state{in: in.Intake}}
	k := &candidate{in: in.Intake, event: &ev}
	w.park(k, events.ReasonConflict, "why")
	if d := cmp.Diff(&events.Refusal{Reason: events.ReasonConflict, Detail: "why"}, k.refusal); d != "" || len(w.parked) != 1 || in.Stats().Defects != 1 {
		t.Errorf("parked %d, %+v: %s", len(w.parked), in.Stats(), d)
	}
}

// TestRevocationPassesABrokenControl has a rule panic on a revocation: it is
// logged all the same, with a finding about the rule.
func TestRevocationPassesABrokenControl(t *testing.T) {
	t.Parallel()
	for step, check := range map[string]bool{"a control": true, "the state of a control": false} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			in := r.start(withEngine(func(e engine) engine { return &brokenEngine{engine: e, check: check} }))
			cursed := issued("cursed")
			cursed.Type = events.TokenRevoked
			r.publish(cursed)
			r.drained()
			all := r.records()
			if len(all) == 0 || all[0].ID != "cursed" || all[0].Revocation == nil || len(r.quarantined()) != 0 {
				t.Fatalf("logged: %v", all)
			}
			if check && (len(all) != 2 || all[1].Attributes["control"] != "defect" || all[1].Attributes["rule"] != "broken") {
				t.Errorf("no finding about the rule: %v", all)
			}
			if in.Stats().Defects == 0 {
				t.Error("not counted")
			}
		})
	}
}

// brokenKeyring panics where it is asked for nemo, and has nothing for a tenant
// of that name.
type brokenKeyring struct{ Keyring }

func (k brokenKeyring) Tenant(ctx context.Context, tenant string) (*seal.Tenant, error) {
	if tenant == "nemo" {
		return nil, nil
	}
	return k.Keyring.Tenant(ctx, tenant)
}

func (k brokenKeyring) Subjects(ctx context.Context, people []seal.Person) ([]seal.SubjectKey, error) {
	for _, p := range people {
		if p.Subject == "nemo@example.com" {
			panic("index out of range")
		}
	}
	return k.Keyring.Subjects(ctx, people)
}

// brokenEngine fails on the event cursed as controls.Engine does where a rule
// or applying panics.
type brokenEngine struct {
	engine
	check bool
}

func (e *brokenEngine) Check(r *events.Record, now time.Time) ([]controls.Finding, *controls.Failure) {
	found, failed := e.engine.Check(r, now)
	if e.check && r.ID == "cursed" {
		failed = &controls.Failure{Rule: "broken", Kind: "runtime.boundsError"}
	}
	return found, failed
}

func (e *brokenEngine) Apply(r *events.Record) *controls.Failure {
	if !e.check && r.ID == "cursed" {
		return &controls.Failure{Rule: "apply", Kind: "runtime.boundsError"}
	}
	return e.engine.Apply(r)
}

func withEngine(wrap func(engine) engine) func(*Intake) {
	return func(in *Intake) {
		in.engine = func(cfg controls.Config) (engine, error) {
			e, err := newEngine(cfg)
			return wrap(e), err
		}
	}
}

// TestRecordThatCannotBeReadIsADefect takes an event past validation that
// yields a record which no reader of the log could decode.
func TestRecordThatCannotBeReadIsADefect(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.build()
	l := &lane{in: in.Intake, cfg: &in.cfg}
	c := l.chunk([]stream.IntakeMessage{{Message: events.Message{Tenant: "acme", Type: events.TokenIssued, Body: structured("cursed", func(_, _ map[string]any) {})}}})
	l.open(t.Context(), c)
	c.candidates[0].event.Data.Actor = "\xff"
	l.seal(c, l.people(t.Context(), []*chunk{c}))
	if k := &c.candidates[0]; k.refusal == nil || k.refusal.Reason != events.ReasonDefect {
		t.Errorf("refusal: %v", k.refusal)
	}
}

// flakyQuarantine fails as long as it is told to.
type flakyQuarantine struct {
	*stream.Quarantine
	down  atomic.Bool
	tried atomic.Int64
}

func (q *flakyQuarantine) Put(ctx context.Context, v stream.Quarantined) error {
	q.tried.Add(1)
	if q.down.Load() {
		return errFault
	}
	return q.Quarantine.Put(ctx, v)
}

func TestWhatCannotBeQuarantinedIsNotLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q := &flakyQuarantine{Quarantine: r.quarantine}
	q.down.Store(true)
	in := r.start(func(c *Config) { c.Quarantine = q })
	good := issued("good")
	a, err := events.MarshalEvent(&good)
	r.check(err)
	r.send(onIssued, events.ContentTypeBatch, fmt.Appendf(nil, "[%s,7]", a))
	r.publish(issued("next"))
	r.until("the others are logged", func() bool { return in.Stats().Records >= 2 })
	if q.tried.Load() == 0 || r.waiting() == 0 {
		t.Error("the message was acknowledged although an event of it is nowhere")
	}
	q.down.Store(false)
	r.drained()
	if got := r.quarantined(); len(got) != 1 {
		t.Errorf("%d entries in quarantine, want 1", len(got))
	}
	if got := len(r.facts()); got != 2 {
		t.Errorf("%d facts, want 2", got)
	}
	if s := in.Stats(); s.Held == 0 || s.Duplicates == 0 {
		t.Errorf("%+v", s)
	}
}

// TestWhatIsTooLargeForTheQuarantineIsAFact publishes in binary mode what takes
// six times as much as JSON.
func TestWhatIsTooLargeForTheQuarantineIsAFact(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start()
	m := nats.NewMsg(onIssued)
	m.Data = []byte(`{"iss":"` + strings.Repeat("<", 900_000) + `"}`)
	for name, v := range map[string]string{"specversion": "1.0", "id": "large", "source": "//a", "type": string(events.TokenIssued), "time": "2026-01-02T03:04:05Z"} {
		m.Header.Set("ce-"+name, v)
	}
	_, err := r.publisher.PublishMsg(t.Context(), m)
	r.check(err)
	r.drained()
	got := r.quarantined()
	if len(got) != 1 || got[0].ID != "large" || got[0].Sealed != nil || !strings.Contains(got[0].Detail, "too large") {
		t.Errorf("quarantined: %+v", got)
	}
	if s := in.Stats(); s.Held != 0 || len(s.Refused) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestRefusedAgainIsOneEntry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	for range 3 {
		r.send(onIssued, "", []byte("{"))
	}
	r.drained()
	if got := r.quarantined(); len(got) != 1 {
		t.Errorf("%d entries in quarantine, want 1", len(got))
	}
}

func TestTypeAndSubjectOfAStrangerAreWithheld(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		onIssued: onIssued, stream.ServiceSubject("acme", events.HoldPlaced): stream.ServiceSubject("acme", events.HoldPlaced), "": "",
		stream.ServiceSubject("acme", events.TypeNamed("hold.eaten")): events.Withheld + ".service", "rescind.events.acme.user-112233.service": events.Withheld,
		onIssued + ".user-112233":               events.Withheld,
		"rescind.events.acme.token.user-112233": events.Withheld,
		"rescind.events.acme." + aToken:         events.Withheld,
		"a.4111111111111111":                    events.Withheld,
		strings.Repeat("a", 1<<20):              events.Withheld,
	} {
		if got := stream.ShownSubject(in); got != want {
			t.Errorf("subject %.100q is shown as %.100q, want %q", in, got, want)
		}
	}
	for in, want := range map[events.Type]string{
		events.TokenIssued: string(events.TokenIssued), "": "", "user-112233": events.Withheld, events.TypeNamed("token.eaten"): events.Withheld,
	} {
		if got := shownType(in); got != want {
			t.Errorf("type %q is shown as %q, want %q", in, got, want)
		}
	}
}
