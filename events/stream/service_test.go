package stream_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func ownEvent(ev events.Event) events.Event {
	ev.Source = events.OwnSources + "requests"
	return ev
}

// What a service of ours says in its own name arrives as such, in its lane, in
// every shard, and what it passes on for others does not.
func TestServiceIsKnownByItsSubject(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			t.Parallel()
			w := sharded(t, shards)
			for shard, tenant := range tenantsOf(shards) {
				p := w.publisher(t, natsd.API, func(c *stream.PublisherConfig) { c.Service, c.Tenant = true, tenant })
				want := map[string]bool{"own-access": true, "own-control": true, "passed-access": false, "passed-control": false}
				if err := p.Publish(t.Context(), ownEvent(issued("own-access")), ownEvent(revoked("own-control")), issued("passed-access"), revoked("passed-control")); err != nil {
					t.Fatal(err)
				}
				for _, m := range collect(t, w.intakeOf(t, uint16(shard)), len(want)) {
					for _, id := range w.ids(t, []stream.IntakeMessage{m}) {
						if service, known := want[id]; !known || m.Service != service || m.Message.Tenant != tenant {
							t.Errorf("%s: of a service %v on %s", id, m.Service, m.Subject)
						}
						delete(want, id)
					}
				}
				if len(want) > 0 {
					t.Errorf("never arrived: %v", want)
				}
			}
		})
	}
}

// A source of our own does not leave the process of a publisher that is no
// service of ours.
func TestPublisherRefusesASourceOfOurOwn(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.publisher(t, natsd.Issuer, nil)
	err := p.Publish(t.Context(), ownEvent(revoked("a")), issued("b"))
	var not *stream.NotAccepted
	if !errors.As(err, &not) || len(not.Events) != 1 {
		t.Fatalf("got %v", err)
	}
	var refusal *events.Refusal
	if !errors.As(not.Events[0].Err, &refusal) || refusal.Reason != events.ReasonReserved {
		t.Errorf("refused with %v", not.Events[0].Err)
	}
	if n := w.state(t, stream.IntakeStream).Msgs; n != 1 {
		t.Errorf("%d messages in the intake, want 1", n)
	}
}

// Neither an issuer nor a verifier can speak as a service, on whatever subject.
func TestNobodyElseSpeaksAsAService(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, role := range []natsd.Role{natsd.Issuer, natsd.Verifier} {
		nc := natsdtest.Connect(t, w.Server, role)
		for _, typ := range events.Types() {
			if err := nc.Publish(stream.ServiceSubject("acme", typ), []byte("{}")); err != nil {
				t.Fatal(err)
			}
		}
		if err := nc.FlushTimeout(20 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.state(t, stream.IntakeStream).Msgs; n != 0 {
		t.Errorf("%d messages in the intake, want none", n)
	}
}
