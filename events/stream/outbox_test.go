package stream_test

import (
	"errors"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
)

// TestOutbox: a notice and what came of trying are there, the last that was
// said, for their request and recipient alone, until the request's are purged;
// and what holds keep is not touched by that.
func TestOutbox(t *testing.T) {
	t.Parallel()
	js := start(t).api
	out, held := stream.NewOutbox(js), stream.NewHeld(js)
	one := stream.Notice{Tenant: "acme", Request: events.Ref{1}, Recipient: "crm"}
	other, otherRequest, otherTenant := one, one, one
	other.Recipient, otherRequest.Request, otherTenant.Tenant = "billing", events.Ref{2}, "globex"
	all := []stream.Notice{one, other, otherRequest, otherTenant}
	part := stream.HeldPart{Tenant: "acme", Hold: one.Request, Subject: events.Ref{0xa}, Index: 7}
	if err := held.Put(t.Context(), part, []byte("part")); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first ", "last "} {
		for _, n := range all {
			if err := out.Put(t.Context(), n, []byte(text+n.Tenant+n.Request.String()+n.Recipient)); err != nil {
				t.Fatal(err)
			}
			if err := out.SetTried(t.Context(), n, []byte("tried "+text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range all {
		if got, err := out.Get(t.Context(), n); err != nil || string(got) != "last "+n.Tenant+n.Request.String()+n.Recipient {
			t.Errorf("%+v: %q %v", n, got, err)
		}
		if got, err := out.Tried(t.Context(), n); err != nil || string(got) != "tried last " {
			t.Errorf("%+v: tried %q %v", n, got, err)
		}
	}
	if err := out.Purge(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		_, err := out.Get(t.Context(), n)
		_, tried := out.Tried(t.Context(), n)
		gone := n.Tenant == "acme" && n.Request == one.Request
		if gone != errors.Is(err, stream.ErrNotFound) || gone != errors.Is(tried, stream.ErrNotFound) {
			t.Errorf("after the purge %+v: %v, %v", n, err, tried)
		}
	}
	if got, err := held.Get(t.Context(), part); err != nil || string(got) != "part" {
		t.Errorf("what a hold keeps: %q %v", got, err)
	}
	for _, bad := range []stream.Notice{{}, {Tenant: "acme", Request: events.Ref{1}, Recipient: "a.b"}, {Tenant: "a.b", Request: events.Ref{1}, Recipient: "a"}, {Tenant: "acme", Recipient: "a"}} {
		if err := out.Put(t.Context(), bad, nil); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
