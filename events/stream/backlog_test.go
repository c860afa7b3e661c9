package stream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

// What was published of a tenant has passed when it was acknowledged: whatever
// others have there, and whatever came later. The API's credentials suffice.
func TestBacklogPasses(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			t.Parallel()
			w := sharded(t, shards)
			last := uint16(shards - 1)
			tenants := append(tenantsOf(shards), "other-0")
			for i := 1; events.ShardOf(tenants[shards], shards) != last; i++ {
				tenants[shards] = fmt.Sprint("other-", i)
			}
			one, two := tenants[last], tenants[shards]
			in, err := stream.OpenIntakeWith(t.Context(), w.projector, stream.IntakeConfig{Shard: last, HeldFor: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(in.Close)
			backlog := stream.NewBacklog(natsdtest.JetStream(t, w.Server, natsd.API))
			passed := func(tenant string, then stream.IntakeState) bool {
				t.Helper()
				got, err := backlog.Passed(t.Context(), last, tenant, then)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			ack := func(ms []stream.IntakeMessage) {
				t.Helper()
				if err := ms[0].Ack(); err != nil {
					t.Fatal(err)
				}
			}
			w.put(t, stream.EventSubject(one, events.TokenIssued), []byte("1"))
			first := collectUnacked(t, in, 1)
			w.put(t, stream.EventSubject(two, events.TokenIssued), []byte("2"))
			second := collectUnacked(t, in, 1)
			then, err := backlog.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if passed(one, then) || passed(two, then) {
				t.Error("what nobody acknowledged has passed")
			}
			ack(second)
			eventually(t, "the second has passed", func() bool { return passed(two, then) })
			if passed(one, then) {
				t.Error("the first has passed with the second")
			}
			w.put(t, stream.EventSubject(one, events.TokenIssued), []byte("3"))
			ack(first)
			eventually(t, "the first has passed", func() bool { return passed(one, then) })
			then.Created = then.Created.Add(-time.Second)
			if !passed(one, then) {
				t.Error("what was in a stream that is gone has not passed")
			}
		})
	}
}
