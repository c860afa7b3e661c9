package erasure

import (
	"errors"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// squat publishes an event of another kind under an id of ours, and returns
// once it is on the log or, on the access lane, as good as.
func (o *office) squat(id string, kind events.Type) {
	o.t.Helper()
	o.kit.Publish(events.Event{
		ID: id, Source: Source, Type: kind, Tenant: "acme",
		Data: events.Data{Issuer: "https://id.acme", KeyID: "k", TokenID: "j", Algorithm: "ES256"},
	})
	o.drained()
}

// TestSquattedIDs: who knows a request's id cannot make the worker believe
// that the subject was revoked, nor keep it waiting, by publishing first.
func TestSquattedIDs(t *testing.T) {
	t.Parallel()
	for _, kind := range []events.Type{events.KeyRetired, events.TokenIssued} {
		for _, suffix := range []string{".revoked", ".completed"} {
			t.Run(kind.Name()+suffix, func(t *testing.T) {
				t.Parallel()
				kit := lanetest.Start(t)
				meet(kit, "alice")
				o := open(t, kit, nil)
				r := o.approved("alice")
				o.squat(r.ID+suffix, kind)
				kit.Run(o.Run)
				o.until(r.ID, Completed)
				o.wantForgotten("alice")
				if n, m := len(o.of(events.SubjectRevoked)), len(o.of(events.RequestCompleted)); n != 1 || m != 1 {
					t.Errorf("%d revocations, %d completions", n, m)
				}
			})
		}
	}
}

// TestWhatIsLoggedIsLookedAt: were the id known all the same, the worker does
// not take another event for its own: nothing is destroyed, nothing called
// completed, and it says why each time it tries.
func TestWhatIsLoggedIsLookedAt(t *testing.T) {
	t.Parallel()
	for _, step := range []string{".revoked", ".completed"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			kit := lanetest.Start(t)
			meet(kit, "alice")
			o := open(t, kit, nil)
			r := o.approved("alice")
			id, err := o.idOf(t.Context(), &r, step)
			if err != nil {
				t.Fatal(err)
			}
			o.squat(id, events.KeyRetired)
			for range 2 {
				if err := o.carryOutAll(t.Context()); !errors.Is(err, errOther) {
					t.Errorf("err %v", err)
				}
			}
			if now, _ := o.Get(r.ID, all); now.State == Completed {
				t.Errorf("state %s", now.State)
			}
			key, err := kit.Keyring.Lookup(t.Context(), whom("alice"))
			if want := step == ".completed"; err != nil || key.Erased != want {
				t.Errorf("erased %v, err %v", key.Erased, err)
			}
		})
	}
}

// TestRevocationsOfOthers that name a request are not the worker's: it revokes
// itself.
func TestRevocationsOfOthers(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	meet(kit, "alice")
	o := open(t, kit, nil)
	r := o.approved("alice")
	kit.Publish(events.Event{ID: "theirs", Source: "test", Type: events.SubjectRevoked, Tenant: "acme", Data: events.Data{
		Issuer: "https://id.acme", Subject: "alice", Actor: "x", Reason: "r", Attributes: map[string]string{attrRequest: r.ID},
	}})
	o.drained()
	kit.Run(o.Run)
	o.until(r.ID, Completed)
	if n := len(o.of(events.SubjectRevoked)); n != 2 {
		t.Errorf("%d revocations, want theirs and ours", n)
	}
}
