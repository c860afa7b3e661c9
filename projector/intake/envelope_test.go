package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/envelope"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/seal/sealtest"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// strict is an intake as it is outside development.
func strict(c *Config) { c.Plaintext = false }

// current is the key that messages are encrypted to.
func (r *rig) current() envelope.PublicKey {
	r.Helper()
	set, err := r.intakeKeys(r.Context())
	r.check(err)
	return set.Current(set.Now)
}

// encrypt is body encrypted to the current key.
func (r *rig) encrypt(contentType string, body []byte) []byte {
	r.Helper()
	b, err := envelope.Seal(r.current(), contentType, body)
	r.check(err)
	return b
}

// sendSealed publishes what is in an envelope.
func (r *rig) sendSealed(subject string, body []byte) {
	r.Helper()
	r.send(subject, envelope.ContentType, body)
}

// seal publishes each event in an encrypted message of its own.
func (r *rig) seal(evs ...events.Event) {
	r.Helper()
	for i := range evs {
		b, err := events.MarshalEvent(&evs[i])
		r.check(err)
		r.sendSealed(stream.EventSubject(evs[i].Tenant, evs[i].Type), r.encrypt(events.ContentTypeEvent, b))
	}
}

// reasons is why events were refused, by id.
func (r *rig) reasons() map[string]events.Reason {
	r.Helper()
	out := map[string]events.Reason{}
	for _, q := range r.quarantined() {
		out[q.ID] = q.Reason
	}
	return out
}

func TestWhatIsEncryptedIsLoggedInEveryMode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, two, three := issued("one"), issued("two"), issued("three")
	structured, err := events.MarshalEvent(&one)
	r.check(err)
	batch, err := events.MarshalEvents([]events.Event{two, three})
	r.check(err)
	four, five := issued("four"), issued("five")
	proto, err := events.AppendProtobuf(nil, &four)
	r.check(err)
	proto5, err := events.AppendProtobuf(nil, &five)
	r.check(err)
	r.sendSealed(onIssued, r.encrypt(events.ContentTypeEvent, structured))
	r.sendSealed(onIssued, r.encrypt(events.ContentTypeBatch, batch))
	r.sendSealed(onIssued, r.encrypt(events.ContentTypeProtobuf, proto))
	r.sendSealed(onIssued, r.encrypt(events.ContentTypeProtobufBatch, events.AppendJoined(nil, [][]byte{proto5})))
	binary := nats.NewMsg(onIssued)
	for name, v := range map[string]string{
		"Content-Type": envelope.ContentType, "ce-specversion": "1.0", "ce-id": "six", "ce-source": "//id.example.com/a",
		"ce-type": string(events.TokenIssued), "ce-time": time.Now().UTC().Format(time.RFC3339), "ce-rescindenv": "test",
	} {
		binary.Header.Set(name, v)
	}
	binary.Data = r.encrypt(events.ContentTypeJSON, []byte(`{"iss":"`+issuer+`","sub":"alice@example.com","jti":"token-of-six"}`))
	_, err = r.publisher.PublishMsg(t.Context(), binary)
	r.check(err)
	r.start(strict)
	r.drained()
	if q := r.quarantined(); len(q) != 0 {
		t.Fatalf("refused: %+v", q)
	}
	facts := r.facts()
	for _, id := range []string{"one", "two", "three", "four", "five", "six"} {
		e, ok := facts[id]
		if !ok || !strings.Contains(string(r.open(e)), "token-of-"+id) {
			t.Errorf("%s is not logged, or without its personal part", id)
		}
	}
}

func TestPersonalDataInPlaintextIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*events.Data){
		"sub": func(d *events.Data) { d.Subject = "alice@example.com" }, "jti": func(d *events.Data) { d.TokenID = "some-token" },
		"sid": func(d *events.Data) { d.SessionID = "some-session" }, "grant": func(d *events.Data) { d.GrantID = "some-grant" },
		"ip": func(d *events.Data) { d.IP = "192.0.2.7" }, "user agent": func(d *events.Data) { d.UserAgent = "some-browser" },
		"note": func(d *events.Data) { d.Note = "some note" }, "personal": func(d *events.Data) { d.Personal = map[string]any{"name": "Alice"} },
	} {
		for _, k := range []struct{ plaintext, sealed, want bool }{{false, false, true}, {true, false, false}, {false, true, false}} {
			ev := issued("x")
			ev.Data = events.Data{Issuer: issuer}
			change(&ev.Data)
			cfg := &Config{Plaintext: k.plaintext}
			if got := cfg.exposed(&candidate{event: &ev, whole: true, from: &arrival{sealed: k.sealed}}); got != k.want {
				t.Errorf("%s, %+v: refused %v", name, k, got)
			}
		}
	}
	r := newRig(t)
	none := issued("none")
	none.Type, none.Data = events.KeyPublished, events.Data{Issuer: issuer, KeyID: "k1", Algorithm: "ES256"}
	person, sealed := issued("person"), issued("sealed")
	bare := issued("bare")
	bare.Type = events.TokenRejected
	bare.Data = events.Data{Issuer: issuer, Outcome: "failure", Reason: "expired"}
	mixed := issued("mixed")
	mixed.Type = events.TokenRejected
	r.publish(none, person)
	r.publishBatch(bare, mixed) // one may stay, the other not
	r.seal(sealed)
	r.start(strict)
	r.drained()
	want := map[string]events.Reason{"person": events.ReasonPlaintext, "mixed": events.ReasonPlaintext}
	if d := cmp.Diff(want, r.reasons()); d != "" {
		t.Error(d)
	}
	for _, q := range r.quarantined() {
		if len(q.Sealed) != 0 || q.Tenant != "acme" || q.Source == "" || q.SHA256 == (events.Hash{}) || !strings.Contains(q.Detail, "encrypted") {
			t.Errorf("kept as %+v: want the fact alone", q)
		}
	}
	facts := r.facts()
	for _, id := range []string{"none", "bare", "sealed"} {
		if _, ok := facts[id]; !ok {
			t.Errorf("%s is not logged", id)
		}
	}
}

// TestARefusedIdentityIsNotKeptInClear: what a publisher put into an id is
// withheld where it is personal or must not be stored, and cut where it is long.
func TestARefusedIdentityIsNotKeptInClear(t *testing.T) {
	t.Parallel()
	const alice = "alice@example.com"
	r := newRig(t)
	publish := func(id, source string) {
		ev := issued(id)
		ev.Source = source
		r.publish(ev)
	}
	publish(aToken, "//a")
	publish("login-"+alice, "//b")
	publish("c", "//c/"+alice)
	publish("d", "//d/4111111111111111")
	publish(strings.Repeat("e", 500), "//e")
	r.start(strict)
	r.drained()
	got := map[string]string{}
	for _, q := range r.quarantined() {
		if q.Reason != events.ReasonPlaintext {
			t.Errorf("refused as %s", q.Reason)
		}
		got[q.ID] = q.Source
		if s := fmt.Sprint(q); strings.Contains(s, alice) || strings.Contains(s, aToken) || strings.Contains(s, "4111111111111111") {
			t.Errorf("in clear: %s", s)
		}
	}
	if len(r.quarantined()) != 5 || got["c"] != "[withheld]" || got["d"] != "[withheld]" || got[strings.Repeat("e", 128)] != "//e" || got["[withheld]"] == "" {
		t.Errorf("quarantined as %v", got)
	}
}

// TestPersonalDataWithAnotherFaultIsNotKept publishes in plaintext what is refused
// before anybody asks what it holds: only what surely names nobody is kept.
func TestPersonalDataWithAnotherFaultIsNotKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	untimed := func(event, _ map[string]any) { delete(event, "time") }
	r.send(onIssued, "", structured("no time", untimed))
	r.send(onIssued, "", structured("odd jti", func(_, data map[string]any) { data["jti"] = 7 }))
	r.send("rescind.events.acme.token.verified", "", structured("another type", func(_, _ map[string]any) {}))
	r.send(onIssued, "", []byte(`{"id":"cut","sub":"alice@example.com"`))
	r.send(onIssued, "text/plain", []byte("alice@example.com"))
	nobody := issued("nobody")
	nobody.Type, nobody.Environment, nobody.Data = events.KeyPublished, "prod", events.Data{Issuer: issuer, KeyID: "k1", Algorithm: "ES256"}
	r.publish(nobody)
	r.sendSealed(onIssued, r.encrypt(events.ContentTypeEvent, structured("encrypted", untimed)))
	r.start(strict)
	r.drained()
	kept := map[string]bool{"nobody": true, "encrypted": true}
	for _, q := range r.quarantined() {
		if kept[q.ID] != (q.Sealed != nil) {
			t.Errorf("%q, refused as %s: payload of %d bytes is kept", q.ID, q.Reason, len(q.Sealed))
		}
	}
	if got := len(r.quarantined()); got != 7 || len(r.facts()) != 0 {
		t.Errorf("%d entries in quarantine, want 7", got)
	}
}

// TestASubjectBindsWhatIsEncrypted: nobody gets round permissions inside an
// envelope.
func TestASubjectBindsWhatIsEncrypted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	inside := func(change func(*events.Event)) []byte {
		ev := issued("inside")
		change(&ev)
		b, err := events.MarshalEvent(&ev)
		r.check(err)
		return r.encrypt(events.ContentTypeEvent, b)
	}
	r.sendSealed(onIssued, inside(func(ev *events.Event) { ev.ID, ev.Tenant = "tenant", "globex" }))
	r.sendSealed(onIssued, inside(func(ev *events.Event) { ev.ID, ev.Type = "type", events.SubjectRevoked }))
	ours := func(ev *events.Event) {
		ev.ID, ev.Source, ev.Type = "ours", "rescind:intake", events.SystemStarted
		ev.Data = events.Data{Actor: "rescind:intake", Subject: "alice@example.com", Issuer: issuer}
	}
	r.sendSealed(stream.EventSubject("acme", events.SystemStarted), inside(ours))
	r.sendSealed(stream.ServiceSubject("acme", events.SystemStarted), inside(func(ev *events.Event) { ours(ev); ev.ID = "service" }))
	r.start(strict)
	r.drained()
	want := map[string]events.Reason{"tenant": events.ReasonMismatch, "type": events.ReasonMismatch, "ours": events.ReasonReserved}
	if d := cmp.Diff(want, r.reasons()); d != "" {
		t.Error(d)
	}
	if _, ok := r.facts()["service"]; !ok {
		t.Error("a service of ours is not believed")
	}
}

func TestWhatDoesNotOpenIsAFact(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ev := issued("inside")
	b, err := events.MarshalEvent(&ev)
	r.check(err)
	good := r.encrypt(events.ContentTypeEvent, b)
	other, err := envelope.Generate(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	r.check(err)
	foreign, err := envelope.Seal(other.PublicKey, events.ContentTypeEvent, b)
	r.check(err)
	changed := bytes.Clone(good)
	changed[len(changed)-3] ^= 1
	cases := map[string]struct {
		body   []byte
		reason events.Reason
	}{
		"garbage": {[]byte("garbage"), events.ReasonEnvelope}, "empty": {nil, events.ReasonEnvelope}, "dots": {[]byte("...."), events.ReasonEnvelope},
		"cut": {good[:len(good)-9], events.ReasonEnvelope}, "changed": {changed, events.ReasonEnvelope}, "a token": {[]byte(aToken), events.ReasonEnvelope},
		"another's key": {foreign, events.ReasonIntakeKey}, "nothing inside": {r.encrypt(events.ContentTypeEvent, nil), events.ReasonNotJSON},
		"inside another": {r.encrypt(envelope.ContentType, good), events.ReasonEnvelope},
	}
	type fact struct {
		Of     events.Hash // two facts are of nothing
		Reason events.Reason
	}
	want := map[fact]bool{}
	for _, c := range cases {
		r.sendSealed(onIssued, c.body)
		hash := events.Hash(sha256.Sum256(c.body))
		if c.reason == events.ReasonNotJSON {
			hash = sha256.Sum256(nil) // of what was inside
		}
		want[fact{hash, c.reason}] = true
	}
	r.seal(issued("neighbour"))
	r.start(strict)
	r.drained()
	got := map[fact]bool{}
	for _, q := range r.quarantined() {
		got[fact{q.SHA256, q.Reason}] = true
		if kept := len(q.Sealed) > 0; kept != (q.Reason == events.ReasonIntakeKey || q.Reason == events.ReasonNotJSON) {
			t.Errorf("%s: its payload is kept: %v", q.Reason, kept)
		}
		if q.Reason == events.ReasonIntakeKey {
			r.checkQuarantined(q, foreign)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if facts := r.facts(); len(facts) != 1 {
		t.Errorf("%d records, want the neighbour's alone", len(facts))
	}
	if strings.Contains(r.logText(), other.ID) {
		t.Error("a publisher's words are logged")
	}
}

// TestAKeyMadeElsewhereOpensAtOnce: this intake has read the keys before, and
// another process makes one and is killed.
func TestAKeyMadeElsewhereOpensAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start(strict)
	r.seal(issued("before"))
	r.drained()
	elsewhere := r.newKeyring(r.kek)
	from := time.Now().Add(-time.Minute)
	_, err := elsewhere.MakeIntakeKey(t.Context(), from, from.Add(time.Hour))
	r.check(err)
	keys, err := elsewhere.IntakeKeys(t.Context())
	r.check(err)
	ev := issued("after")
	b, err := events.MarshalEvent(&ev)
	r.check(err)
	body, err := envelope.Seal(keys[len(keys)-1].PublicKey, events.ContentTypeEvent, b)
	r.check(err)
	r.sendSealed(onIssued, body)
	r.drained()
	if _, ok := r.facts()["after"]; !ok {
		t.Fatalf("not logged: %+v", r.quarantined())
	}
}

// TestAKeyThatCannotBeHadHolds: an outage of the keyring must not be taken for a
// key that is gone, as what it opens would be lost.
func TestAKeyThatCannotBeHadHolds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var down atomic.Bool
	r.keys.Judge = func(_, key string) sealtest.Verdict {
		if down.Load() && strings.HasPrefix(key, "i.") {
			return sealtest.Fail
		}
		return sealtest.Pass
	}
	r.seal(issued("held"))
	down.Store(true)
	r.keyring = r.newKeyring(r.kek) // one that has not read them
	in := r.start(strict)
	r.publish(keyPublished("beside"))
	r.until("the message is held", func() bool { return in.Stats().Held > 0 })
	r.until("what needs no key goes on", func() bool { _, ok := r.facts()["beside"]; return ok })
	if q := r.quarantined(); len(q) != 0 {
		t.Fatalf("refused: %+v", q)
	}
	down.Store(false)
	r.drained()
	if _, ok := r.facts()["held"]; !ok {
		t.Fatalf("not logged when the keyring is back: %+v", r.quarantined())
	}
}

// keyPublished names no person.
func keyPublished(id string) events.Event {
	ev := issued(id)
	ev.Type, ev.Data = events.KeyPublished, events.Data{Issuer: issuer, KeyID: "k-" + id, Algorithm: "ES256"}
	return ev
}

// TestAfterItsKeyIsDestroyedAMessageIsAFact is one that was on its way for
// longer than its key lived.
func TestAfterItsKeyIsDestroyedAMessageIsAFact(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.current()
	ev := issued("late")
	b, err := events.MarshalEvent(&ev)
	r.check(err)
	body := r.encrypt(events.ContentTypeEvent, b)
	r.check(r.newKeyring(r.kek).DestroyIntakeKey(t.Context(), key))
	r.keyring = r.newKeyring(r.kek)
	r.sendSealed(onIssued, body)
	r.start(strict)
	r.drained()
	q := r.quarantined()
	if len(q) != 1 || q[0].Reason != events.ReasonIntakeKey || !strings.Contains(q[0].Detail, "published now") {
		t.Fatalf("%+v", q)
	}
	r.checkQuarantined(q[0], body) // as it came: nobody can open it
}

// TestEncryptedAndPlainAreOneEvent: what came in clear before a profile was
// changed, and encrypted after, is logged once.
func TestEncryptedAndPlainAreOneEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	evs := issuedMany("both", 5)
	r.publish(evs...)
	r.seal(evs...)
	r.seal(evs...)
	in := r.start()
	r.drained()
	if facts, dropped := len(r.facts()), in.Stats().Duplicates; facts != 5 || dropped != 10 {
		t.Errorf("%d records, %d duplicates", facts, dropped)
	}
}

// TestRedeliveredWhatIsEncryptedIsLoggedOnce takes the log away from under an
// intake that has messages in hand, and lets another go on.
func TestRedeliveredWhatIsEncryptedIsLoggedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, err := stream.NewPublisher(stream.PublisherConfig{
		Conn: natsdtest.Connect(t, r.server, natsd.Issuer), Tenant: "acme", Environment: "test", Source: "//id.example.com/a", Keys: r.intakeKeys, BatchEvents: 10,
	})
	r.check(err)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	gate := &gatedLog{Log: r.log, at: 1, waiting: make(chan struct{}), open: make(chan struct{})}
	stuck := r.start(strict, func(c *Config) { c.Log = gate; c.Grace = time.Millisecond })
	r.check(p.Publish(t.Context(), issuedMany("again", 200)...))
	<-gate.waiting
	stuck.cancel()
	close(gate.open)
	_ = stuck.wait()
	r.start(strict)
	r.drained()
	if facts := r.facts(); len(facts) != 200 || len(r.quarantined()) != 0 {
		t.Errorf("%d of 200 events are logged, %d refused", len(facts), len(r.quarantined()))
	}
}

// TestManyUnknownKeysDelayNobody is a flood of messages under keys that were
// made up.
func TestManyUnknownKeysDelayNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var reads atomic.Int64
	r.keys.Judge = func(method, key string) sealtest.Verdict {
		if method == "list" && key == "i." {
			reads.Add(1)
		}
		return sealtest.Pass
	}
	const n = 200
	for i := range n {
		k, err := envelope.Generate(time.Now(), time.Now().Add(time.Hour))
		r.check(err)
		body, err := envelope.Seal(k.PublicKey, events.ContentTypeEvent, fmt.Append(nil, i))
		r.check(err)
		r.sendSealed(onIssued, body)
	}
	r.seal(issued("good"))
	reads.Store(0)
	r.start(strict)
	r.drained()
	if q := len(r.quarantined()); q != n || reads.Load() > n/10 {
		t.Errorf("%d refused, the keyring was read %d times", q, reads.Load())
	}
	if _, ok := r.facts()["good"]; !ok {
		t.Error("the good one is not logged")
	}
}

var _ Keyring = (*seal.Keyring)(nil)
