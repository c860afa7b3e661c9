package stream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
)

func (w world) intakeOf(t *testing.T, shard uint16) *stream.Intake {
	t.Helper()
	in, err := stream.OpenIntakeWith(t.Context(), w.projector, stream.IntakeConfig{Shard: shard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

// The server stores what it takes under the shard that ShardOf says, for every
// tenant, and the message says the subject that it was published on.
func TestShardOfIsWhatTheServerDoes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := sharded(t, n)
			js := natsdtest.JetStream(t, w.Server, natsd.Issuer)
			want := make([]int, n)
			for i := range 200 {
				tenant := fmt.Sprintf("Tenant_%d-%d", i*i, i)
				want[events.ShardOf(tenant, n)]++
				for _, typ := range []events.Type{events.TokenIssued, events.TokenRevoked} {
					if _, err := js.Publish(t.Context(), stream.EventSubject(tenant, typ), []byte("{}")); err != nil {
						t.Fatal(err)
					}
				}
			}
			for k := range uint16(n) {
				in := w.intakeOf(t, k)
				for _, m := range collect(t, in, 2*want[k]) {
					tenant, typ, err := stream.ParseEventSubject(m.Subject)
					if err != nil || events.ShardOf(tenant, n) != k || m.Message.Tenant != tenant || m.Message.Type != typ {
						t.Fatalf("shard %d was given %s, %v", k, m.Subject, err)
					}
				}
			}
			eventually(t, "the intake is empty", func() bool { return w.state(t, stream.IntakeStream).Msgs == 0 })
		})
	}
}

// tenantsOf is a tenant of each of n shards.
func tenantsOf(n int) []string {
	out := make([]string, n)
	for i, found := 0, 0; found < n; i++ {
		name := fmt.Sprintf("tenant-%d", i)
		if k := events.ShardOf(name, n); out[k] == "" {
			out[k] = name
			found++
		}
	}
	return out
}

// Each shard has its control messages before its access messages, and each
// once.
func TestEveryShardHasBothLanes(t *testing.T) {
	t.Parallel()
	w := sharded(t, 3)
	for _, tenant := range tenantsOf(3) {
		for range 5 {
			w.put(t, stream.EventSubject(tenant, events.TokenVerified), []byte("{}"))
			w.put(t, stream.EventSubject(tenant, events.TokenRevoked), []byte("{}"))
		}
	}
	for k := range uint16(3) {
		in := w.intakeOf(t, k)
		eventually(t, "everything has arrived", func() bool { c, a := in.Waiting(); return c == 5 && a == 5 })
		for i, m := range collect(t, in, 10) {
			if (m.Message.Type.Lane() == events.Control) != (i < 5) {
				t.Fatalf("shard %d: message %d is %s", k, i, m.Subject)
			}
		}
	}
}

// What is of a shard whose writer is down waits, and the others go on.
func TestMessagesOfAShardWaitForItsReader(t *testing.T) {
	t.Parallel()
	w := sharded(t, 2)
	tenants := tenantsOf(2)
	for _, tenant := range slices.Backward(tenants) { // what waits is before what goes
		w.put(t, stream.EventSubject(tenant, events.TokenRevoked), []byte(tenant))
	}
	collect(t, w.intakeOf(t, 0), 1)
	eventually(t, "one message is left", func() bool { return w.state(t, stream.IntakeStream).Msgs == 1 })
	if m := collect(t, w.intakeOf(t, 1), 1)[0]; string(m.Message.Body) != tenants[1] {
		t.Fatalf("shard 1 was given %q", m.Message.Body)
	}
}

// A subject without a tenant or a type is in no shard: the first refuses it.
func TestUnforeseenSubjectIsDeliveredWithShards(t *testing.T) {
	t.Parallel()
	w := sharded(t, 3)
	subjects := []string{
		"rescind.events.acme.token.invented", "rescind.events.acme", "rescind.events.acme.token",
		"rescind.events.acme.token.issued.v1", "rescind.events.ä.token.revoked",
	}
	left := map[string]bool{}
	for _, s := range subjects {
		w.put(t, s, []byte(`{"specversion":"1.0","id":"1","source":"s","type":"dev.rescind.token.revoked.v1","time":"2026-01-01T00:00:00Z","rescindtenant":"other","data":{"iss":"i","jti":"j"}}`))
		left[s] = true
	}
	var mu sync.Mutex
	for k := range uint16(3) {
		in := w.intakeOf(t, k)
		for _, lane := range []events.Lane{events.Control, events.Access} {
			go func() {
				for {
					ms, err := in.Next(context.Background(), lane, 8<<20)
					if err != nil {
						return
					}
					mu.Lock()
					for _, m := range ms {
						if !left[m.Subject] || accepted(m) {
							t.Errorf("%s: delivered twice, never sent, or accepted", m.Subject)
						}
						delete(left, m.Subject)
						_ = m.Ack()
					}
					mu.Unlock()
				}
			}()
		}
	}
	eventually(t, "the intake is empty", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(left) == 0 && w.state(t, stream.IntakeStream).Msgs == 0
	})
}

// Each shard's log counts for itself, in a stream of its own.
func TestLogsOfShardsAreIndependent(t *testing.T) {
	t.Parallel()
	w := sharded(t, 3)
	logs, err := stream.OpenLogs(t.Context(), w.projector, 3)
	if err != nil {
		t.Fatal(err)
	}
	for k, l := range logs {
		fill(t, l, 1, 4+k)
	}
	for k, l := range logs {
		r, err := l.Read(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for seq := uint64(1); seq <= uint64(4+k); {
			ms, err := r.Next(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range ms {
				if m.Seq != seq || m.Lane != laneOf(seq) || string(m.Data) != fmt.Sprint(seq) {
					t.Fatalf("shard %d: %+v, want seq %d", k, m, seq)
				}
				seq++
			}
		}
		if m, err := l.LastOf(t.Context(), events.Control); err != nil || m.Seq != uint64(4+k)/3*3 {
			t.Errorf("shard %d: last of control %d, %v", k, m.Seq, err)
		}
		if _, err := l.Append(t.Context(), events.Access, nil, 1); !errors.Is(err, stream.ErrFenced) {
			t.Errorf("shard %d: append in the middle: %v", k, err)
		}
		if got := w.state(t, stream.LogStreamOf(uint16(k))); got.Msgs != uint64(4+k) {
			t.Errorf("stream of shard %d holds %d messages", k, got.Msgs)
		}
	}
}

func TestNumberOfShardsCannotBeChanged(t *testing.T) {
	t.Parallel()
	for _, made := range []int{1, 3} {
		w := sharded(t, made)
		if n, err := stream.Shards(t.Context(), w.projector); err != nil || n != made {
			t.Errorf("made for %d: %d, %v", made, n, err)
		}
		before := w.state(t, stream.IntakeStream)
		for _, other := range []int{2, 4} {
			err := stream.Ensure(t.Context(), w.operator, stream.Topology{Shards: other})
			if !errors.Is(err, stream.ErrShards) || !strings.Contains(err.Error(), fmt.Sprintf("Set shards: %d;", made)) || !strings.Contains(err.Error(), "past") {
				t.Errorf("made for %d, ensure for %d: %v", made, other, err)
			}
			if err := stream.CheckShards(t.Context(), w.projector, other); !errors.Is(err, stream.ErrShards) {
				t.Errorf("made for %d, check for %d: %v", made, other, err)
			}
			if _, err := w.operator.Stream(t.Context(), stream.LogStreamOf(3)); err == nil {
				t.Error("a refused Ensure has made a log")
			}
		}
		if after := w.state(t, stream.IntakeStream); after.Consumers != before.Consumers {
			t.Errorf("%d consumers of the intake after a refused Ensure, %d before", after.Consumers, before.Consumers)
		}
		if err := stream.Ensure(t.Context(), w.operator, stream.Topology{Shards: made}); err != nil {
			t.Errorf("ensure again: %v", err)
		}
	}
}

// Of those who make the streams at once for different numbers, all but those of
// one number are refused.
func TestOneNumberOfShardsWins(t *testing.T) {
	t.Parallel()
	w := bare(t)
	errs := make([]error, 6)
	var racing sync.WaitGroup
	for i := range errs {
		racing.Go(func() { errs[i] = stream.Ensure(t.Context(), w.operator, stream.Topology{Shards: 1 + i%3}) })
	}
	racing.Wait()
	made, err := stream.Shards(t.Context(), w.operator)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		if n := 1 + i%3; (n == made) != (err == nil) || err != nil && !errors.Is(err, stream.ErrShards) {
			t.Errorf("made for %d, ensure for %d: %v", made, n, err)
		}
	}
	if got := w.state(t, stream.IntakeStream).Consumers; got != 2*made {
		t.Errorf("%d consumers of the intake for %d shards", got, made)
	}
}

func TestUnreadableNumberOfShardsIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	s, err := w.operator.Stream(t.Context(), stream.LogStream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.Metadata = map[string]string{"rescind-shards": "many"}
	if _, err := w.operator.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := stream.CheckShards(t.Context(), w.projector, n); !errors.Is(err, stream.ErrShards) {
			t.Errorf("check for %d: %v", n, err)
		}
	}
}

// One shard's consumer that was missing is put back, and delivered what came.
func TestMissingConsumerOfAShardIsPutBack(t *testing.T) {
	t.Parallel()
	w := sharded(t, 3)
	if err := w.operator.DeleteConsumer(t.Context(), stream.IntakeStream, stream.ControlConsumer+"-2"); err != nil {
		t.Fatal(err)
	}
	w.put(t, stream.EventSubject(tenantsOf(3)[2], events.TokenRevoked), []byte("{}"))
	if err := stream.Ensure(t.Context(), w.operator, stream.Topology{Shards: 3}); err != nil {
		t.Fatal(err)
	}
	collect(t, w.intakeOf(t, 2), 1)
}
