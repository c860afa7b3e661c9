package intake

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/projector/controls"
)

// signedBy is a token.issued event that names a key.
func signedBy(id, kid string) events.Event {
	ev := issued(id)
	ev.Data.KeyID, ev.Data.Algorithm = kid, "ES256"
	return ev
}

func TestFindingIsLoggedBehindItsCause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start()
	weak := signedBy("weak", "nobody's")
	weak.Data.Algorithm = "HS256"
	r.publishBatch(issued("before"), weak, issued("after"))
	r.drained()
	all := r.records()
	var got []string
	for _, e := range all {
		got = append(got, e.Attributes["control"]+"/"+string(e.Type))
	}
	want := []string{"/" + string(events.TokenIssued), "/" + string(events.TokenIssued), "alg-allow-list/" + string(events.FindingOpened), "key-known/" + string(events.FindingOpened), "/" + string(events.TokenIssued)}
	if !slices.Equal(got, want) {
		t.Fatalf("logged %q, want %q", got, want)
	}
	cause, finding := all[1], all[2]
	if finding.Batch.First != cause.Batch.First || finding.Source != controls.Source || finding.ID != finding.Attributes["finding"] ||
		finding.Attributes["cause"] != cause.Ref().String() || finding.SubjectRef != cause.SubjectRef || finding.TokenRef != cause.TokenRef {
		t.Errorf("finding %+v of %+v", finding.Record, cause.Record)
	}
	if s := in.Stats(); s.Findings != 2 || s.Records != 5 {
		t.Errorf("%+v", s)
	}
}

// TestFindingsNeverCrossABatch logs so many findings that batches fill up in
// the middle of them.
func TestFindingsNeverCrossABatch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	evs := make([]events.Event, 700) // 2,100 records, and 1,000 is no multiple of 3
	for i := range evs {
		evs[i] = signedBy(fmt.Sprintf("e-%04d", i), fmt.Sprintf("kid-%04d", i))
		evs[i].Data.Algorithm = "HS256"
	}
	r.publishBatch(evs...)
	r.drained()
	all := r.records()
	if len(all) != 3*len(evs) {
		t.Fatalf("%d records, want %d", len(all), 3*len(evs))
	}
	for i, e := range all {
		if cause := all[i-i%3]; e.Batch.First != cause.Batch.First {
			t.Fatalf("index %d is in the batch from %d, its cause in that from %d", e.Index, e.Batch.First, cause.Batch.First)
		}
	}
}

// TestFindingsSurviveRestart opens findings, restarts, and sees that neither
// what is open is opened again nor what a key or token was is forgotten.
func TestFindingsSurviveRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	published := events.Event{
		ID: "k", Source: "s", Type: events.KeyPublished, Time: issued("").Time, Tenant: "acme", Environment: "test",
		Data: events.Data{Issuer: issuer, KeyID: "k1", Algorithm: "ES256"},
	}
	in := r.start()
	r.publish(published)
	r.drained()
	r.publish(signedBy("a", "k1"), signedBy("b", "unknown"))
	r.drained()
	in.stop()
	if got := in.Stats().Findings; got != 1 {
		t.Fatalf("%d findings, want the one about the unknown key", got)
	}

	again := r.start()
	reissued := signedBy("c", "k1")
	reissued.Data.TokenID = "token-of-a"
	r.publish(signedBy("d", "k1"), signedBy("e", "unknown"), reissued)
	r.drained()
	var opened []string
	for _, e := range r.records() {
		if e.Type == events.FindingOpened {
			opened = append(opened, e.Attributes["control"])
		}
	}
	if want := []string{"key-known", "jti-reissued"}; !slices.Equal(opened, want) {
		t.Errorf("findings %q, want %q", opened, want)
	}
	if got := again.Stats().Findings; got != 1 {
		t.Errorf("%d findings after the restart, want 1", got)
	}
}

// TestRevokedKeySurvivesRestart revokes a key, publishes it again, restarts, and
// sees that what it signed since is found.
func TestRevokedKeySurvivesRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	about := func(id string, typ events.Type, ago time.Duration) events.Event {
		return events.Event{
			ID: id, Source: "s", Type: typ, Time: time.Now().Add(-ago), Tenant: "acme", Environment: "test",
			Data: events.Data{Issuer: issuer, KeyID: "k1", Algorithm: "ES256"},
		}
	}
	in := r.start()
	r.publish(about("a", events.KeyPublished, 3*time.Hour), about("b", events.KeyRevoked, 2*time.Hour), about("c", events.KeyPublished, time.Hour))
	r.drained()
	in.stop()
	again := r.start()
	signed := signedBy("d", "k1")
	signed.Time, signed.Data.IssuedAt = time.Now(), 0
	r.publish(signed)
	r.drained()
	all := r.records()
	if last := all[len(all)-1]; last.Attributes["control"] != "key-retired" || again.Stats().Findings != 1 {
		t.Errorf("logged last %+v, %+v", last.Record, again.Stats())
	}
}

// TestDuplicateIsNoReissue sends one event again: it is dropped before a
// control sees it.
func TestDuplicateIsNoReissue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.start()
	ev := issued("a")
	r.publish(ev, ev)
	r.drained()
	if s := in.Stats(); s.Findings != 0 || s.Duplicates != 1 {
		t.Errorf("%+v", s)
	}
}

// TestAnIntakeWhoseClockIsBehindRefusesNothing: what the stream stored at a time
// is not of the future then.
func TestAnIntakeWhoseClockIsBehindRefusesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start(func(c *Config) { c.Now = func() time.Time { return time.Now().Add(-time.Hour) } })
	ahead := issued("ahead")
	ahead.Time = time.Now().Add(time.Hour)
	r.publish(revoked("a"), issued("b"), ahead)
	r.drained()
	all := r.records()
	if len(all) != 2 || len(r.facts()) != 2 {
		t.Errorf("logged: %v", all)
	}
	if got := r.reasons(); len(got) != 1 || got["ahead"] != events.ReasonTime {
		t.Errorf("refused: %v", got)
	}
}
