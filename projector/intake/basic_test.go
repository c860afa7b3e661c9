package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
)

// full is an event with every member.
func full(id string) events.Event {
	ev := issued(id)
	d := &ev.Data
	d.GrantID, d.Audience, d.Scope = "grant-5", events.Audience{"api", "web"}, "openid"
	d.NotBefore, d.KeyID, d.Algorithm = d.IssuedAt, "k1", "ES256"
	d.Actor, d.Outcome, d.Reason, d.View = "alice@example.com", "success", "login", 42
	d.Attributes = map[string]string{"region": "eu"}
	d.Consent = &events.Consent{ID: "consent-1", Purposes: []string{"login"}}
	d.Ticket, d.Note, d.IP, d.UserAgent = "T-1", "called by phone", "192.0.2.77", "Browser/1.0"
	d.Personal = map[string]any{"email": "alice@private.example", "age": float64(41)}
	return ev
}

func TestEventBecomesRecordWithoutPersonalData(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	ev := full("e1")
	r.publish(ev)
	r.drained()
	all := r.records()
	got := all[0]
	d := &ev.Data
	want := &events.Record{
		Version: 1, Source: ev.Source, ID: ev.ID, Tenant: "acme", Environment: "test", Type: ev.Type, Time: ev.Time.UnixMicro(),
		Issuer: issuer, Client: "app", KeyID: "k1", Algorithm: "ES256", Audience: d.Audience, Scope: "openid",
		IssuedAt: d.IssuedAt, Expires: d.Expires, NotBefore: d.NotBefore, Actor: "subject", Outcome: "success", Reason: "login",
		Attributes: d.Attributes, View: 42, DataKey: 1, Claims: []string{"age", "email"}, Consent: "consent-1",
		Purposes: []string{"login"}, Ticket: "T-1",
	}
	if diff := cmp.Diff(want, got.Record, cmpopts.IgnoreFields(events.Record{}, "Received", "SubjectRef", "TokenRef", "SessionRef", "GrantRef", "PayloadHash")); diff != "" {
		t.Error(diff)
	}
	r.checkRefs(&ev, got)
	r.checkSealed(&ev, got)
	for _, e := range all {
		for _, personal := range []string{"alice", "token-of-e1", "session-7", "grant-5", "192.0.2.77", "Browser/1.0", "called by phone"} {
			if bytes.Contains(e.Bytes, []byte(personal)) || bytes.Contains(e.Sealed, []byte(personal)) || strings.Contains(r.logText(), personal) {
				t.Errorf("index %d, its sealed part or the log lines hold %q", e.Index, personal)
			}
		}
	}
}

func (r *rig) checkRefs(ev *events.Event, got entry) {
	r.Helper()
	tenant, err := r.keyring.LookupTenant(r.Context(), ev.Tenant)
	r.check(err)
	person, err := r.keyring.Lookup(r.Context(), seal.Person{Tenant: ev.Tenant, Issuer: ev.Data.Issuer, Subject: ev.Data.Subject})
	r.check(err)
	d := &ev.Data
	want := []events.Ref{person.Ref, tenant.TokenRef(d.Issuer, d.TokenID), tenant.SessionRef(d.Issuer, d.SessionID), tenant.GrantRef(d.Issuer, d.GrantID)}
	if diff := cmp.Diff(want, []events.Ref{got.SubjectRef, got.TokenRef, got.SessionRef, got.GrantRef}); diff != "" {
		r.Error(diff)
	}
}

func (r *rig) checkSealed(ev *events.Event, e entry) {
	r.Helper()
	p, err := events.UnmarshalPersonal(r.open(e))
	r.check(err)
	part, _ := ev.Data.PersonalPart()
	want, err := json.Marshal(part)
	r.check(err)
	got, err := json.Marshal(p)
	r.check(err)
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		r.Error(diff)
	}
}

func (r *rig) open(e entry) []byte {
	r.Helper()
	plain, err := r.keyring.Open(r.Context(), seal.OpenRequest{
		Tenant: e.Tenant, Source: e.Source, ID: e.ID, Ref: e.SubjectRef, Generation: e.DataKey, Sealed: e.Sealed,
		Hash: e.PayloadHash,
	})
	r.check(err)
	return plain
}

func TestPersonalPartWithoutSubjectIsSealedUnderTenantsKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	ev := issued("e1")
	ev.Data.Subject = ""
	bare := events.Event{ID: "e2", Source: "s", Type: events.IssuerRevoked, Time: ev.Time, Tenant: "acme", Data: events.Data{Issuer: issuer}}
	r.publish(ev, bare)
	r.drained()
	facts := r.facts()
	if got := facts["e1"]; !got.SubjectRef.IsZero() || got.DataKey == 0 {
		t.Errorf("subject %v, data key %d", got.SubjectRef, got.DataKey)
	} else {
		r.checkSealed(&ev, got)
	}
	if got := facts["e2"]; got.Sealed != nil || got.DataKey != 0 {
		t.Errorf("an event without personal data has a sealed part of %d bytes, data key %d", len(got.Sealed), got.DataKey)
	}
}

func TestE03ErasedPersonLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.publish(issued("e1"))
	r.drained()
	before := r.facts()["e1"]
	if _, err := r.keyring.Destroy(t.Context(), "acme", before.SubjectRef); err != nil {
		t.Fatal(err)
	}
	after := issued("e2")
	cut := issued("e3")
	cut.Type = events.SubjectRevoked
	r.publish(after, cut)
	r.drained()
	facts := r.facts()
	for _, id := range []string{"e2", "e3"} {
		if e := facts[id]; e.Record == nil || !e.SubjectRef.IsZero() || e.Sealed != nil || e.DataKey != 0 {
			t.Errorf("%s: %+v with %d sealed bytes", id, e.Record, len(e.Sealed))
		}
	}
	tenant, err := r.keyring.Tenant(t.Context(), "acme")
	r.check(err)
	feed := tenant.FeedKey()
	if got := facts["e3"].Revocation; got == nil || got.Hash != feed.Hash(events.ScopeSubject, issuer, "alice@example.com") {
		t.Errorf("revocation of an erased person: %+v", got)
	}
}

func TestEveryModeIsRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	one, two, three := issued("one"), issued("two"), issued("three")
	r.publish(one)
	r.publishBatch(two, three)
	b, err := events.MarshalEvent(&one)
	r.check(err)
	subject := "rescind.events.acme.token.issued"
	r.send(subject, "", bytes.Replace(b, []byte(`"one"`), []byte(`"four"`), 1))
	r.send(subject, events.ContentTypeBatch, []byte("[]"))
	r.drained()
	if got := len(r.facts()); got != 4 {
		t.Errorf("%d records, want 4", got)
	}
	if got := r.quarantined(); len(got) != 0 {
		t.Errorf("quarantined: %+v", got)
	}
}

func TestStopSaysWhy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start()
	<-in.Ready()
	if err := in.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped with %v", err)
	}
}

func TestOneEventDoesNotWaitForOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start()
	<-in.Ready()
	r.publish(issued("alone"))
	r.drained()
	if s := in.Stats(); s.Batches != 1 || s.Records != 1 || s.Messages != 1 || s.Size != 1 || s.Seq != 1 || s.Epoch != 1 {
		t.Errorf("%+v", s)
	}
}

func TestLargeMessageFillsSeveralBatches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	evs := issuedMany("big", 2010)
	r.publishBatch(evs...)
	r.drained()
	all := r.records()
	if len(all) != 2010 || all[2009].Batch.First != 2000 {
		t.Errorf("%d records, the last batch begins at %d", len(all), all[len(all)-1].Batch.First)
	}
	if !slices.IsSortedFunc(all, func(a, b entry) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("order within a message was not kept")
	}
	first := func(c entry) bool { return c.Batch.First < 2000 && len(c.Batch.Covered) > 0 }
	if slices.ContainsFunc(all, first) {
		t.Error("a batch covers a message of which something was still to come")
	}
}

func TestBatchIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.publish(fat("fat", 20)...) // 1.2 MB
	r.drained()
	if got := len(r.facts()); got != 20 {
		t.Fatalf("%d facts, want 20", got)
	}
	last, err := r.log.Last(t.Context())
	r.check(err)
	for seq := uint64(1); seq <= last.Seq; seq++ {
		m, err := r.log.Get(t.Context(), seq)
		r.check(err)
		if len(m.Data) > maxBatchBytes+16<<10 {
			t.Errorf("seq %d has %d bytes", seq, len(m.Data))
		}
	}
}
