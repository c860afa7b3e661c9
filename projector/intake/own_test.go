package intake

import (
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/projector/controls"
)

// A source of our own is accepted where only our own services can publish, and
// nowhere else: what an erasure revokes, for one, cannot be lifted.
func TestSourceOfOurOwnIsOurServices(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"rescind:requests", "rescind:api", "rescind:erasure", "rescind:intake", "rescind:", "rescind:what may come", controls.Source} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			in := r.start()
			r.send(stream.EventSubject("acme", events.TokenIssued), events.ContentTypeEvent, structured("public", from(source)))
			r.drained()
			if q := r.quarantined(); len(q) != 1 || q[0].Reason != events.ReasonReserved || q[0].ID != "public" || q[0].Source != source {
				t.Errorf("quarantined: %+v", q)
			}
			r.send(stream.ServiceSubject("acme", events.TokenIssued), events.ContentTypeEvent, structured("own", from(source)))
			r.drained()
			facts := r.facts()
			if own := facts["own"].Record != nil; own != (source != controls.Source) {
				t.Errorf("logged what a service says: %t", own)
			}
			if facts["public"].Record != nil {
				t.Error("logged what anybody says")
			}
			if n := in.Stats().Refused[events.ReasonReserved]; n != uint64(2-len(facts)) {
				t.Errorf("%d refused", n)
			}
		})
	}
}

func from(source string) func(event, data map[string]any) {
	return func(event, _ map[string]any) { event["source"] = source }
}
