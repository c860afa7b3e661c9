package erasure

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/query/lane/lanetest"
)

// busyKeys counts how many people are forgotten at once.
type busyKeys struct {
	Keyring
	now, most atomic.Int64
}

func (k *busyKeys) Destroy(ctx context.Context, tenant string, ref events.Ref) (seal.Destroyed, error) {
	n := k.now.Add(1)
	defer k.now.Add(-1)
	for was := k.most.Load(); n > was && !k.most.CompareAndSwap(was, n); was = k.most.Load() {
	}
	return k.Keyring.Destroy(ctx, tenant, ref)
}

// queue publishes approved requests of n people, as the workflow would have.
func (o *office) queue(n int) {
	o.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("queued-%d", i)
	}
	o.queueOf(ids...)
}

// queueOf is queue of requests with these ids.
func (o *office) queueOf(ids ...string) {
	o.t.Helper()
	of := func(i int, typ events.Type, d events.Data) events.Event {
		id := ids[i]
		if d.Attributes == nil {
			d.Attributes = map[string]string{}
		}
		d.Attributes[attrRequest] = id
		return o.event(typ, id+typ.Name(), "acme", d)
	}
	for _, make := range []func(i int) events.Event{
		func(i int) events.Event {
			return of(i, events.RequestReceived, events.Data{
				Issuer: "https://id.acme", Subject: fmt.Sprintf("person-%d", i), Actor: "handler",
				Attributes: map[string]string{attrType: Erasure, attrRegulation: GDPR, attrKnown: yes},
			})
		},
		func(i int) events.Event { return of(i, events.RequestVerified, events.Data{Actor: "handler"}) },
		func(i int) events.Event { return of(i, events.RequestApproved, events.Data{Actor: "approver"}) },
	} {
		all := []events.Event{}
		for i := range ids {
			all = append(all, make(i))
		}
		for some := range slices.Chunk(all, 1000) {
			o.kit.Publish(some...)
		}
		o.drained()
	}
}

// queued is how many requests wait in TestManyQueued: RESCIND_QUEUED, so that ten
// thousand can be tried by hand (they take minutes, nearly all of it in the
// keyring's writes). Default 80.
func queued(t *testing.T) int {
	t.Helper()
	text := os.Getenv("RESCIND_QUEUED")
	if text == "" {
		return 80
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestManyQueued: the worker gets through, with no more under way at once than it
// says, and the list of them has pages.
func TestManyQueued(t *testing.T) {
	t.Parallel()
	n := queued(t)
	kit := lanetest.Start(t)
	keys := &busyKeys{Keyring: kit.Keyring}
	book := openLedger(t, t.TempDir())
	o := open(t, kit, func(c *Config) { c.Keyring, c.Ledger = keys, book })
	o.queue(n)
	began := time.Now()
	kit.Run(o.Run)
	for left := n; left > 0; {
		now := left
		o.eventually(func() bool { now = o.Stats().Open; return now < left })
		left = now
	}
	t.Logf("%d erasures in %s, at most %d at once", n, time.Since(began), keys.most.Load())
	if most := keys.most.Load(); most > atOnce {
		t.Errorf("%d at once", most)
	}
	listed := map[string]bool{}
	for f := (Filter{Reaches: all, State: Completed, Limit: 64}); ; {
		page := o.List(f)
		for _, r := range page {
			listed[r.ID] = r.Outcome == Erased
		}
		if len(page) < f.Limit {
			break
		}
		f.Before = &page[len(page)-1].Position
	}
	if len(listed) != n {
		t.Errorf("%d are listed", len(listed))
	}
	if lines := entered(t, book); len(lines) != n {
		t.Errorf("%d are in the ledger", len(lines))
	}
	if r, c := len(o.of(events.SubjectRevoked)), len(o.of(events.RequestCompleted)); r != n || c != n {
		t.Errorf("%d revocations, %d completions", r, c)
	}
	o.wantForgotten(fmt.Sprintf("person-%d", n-1))
}

// TestNoIDLooksLikeACard: whatever digest the id of a step is made of, its event is
// accepted.
func TestNoIDLooksLikeACard(t *testing.T) {
	t.Parallel()
	kit := lanetest.Start(t)
	o := open(t, kit, nil)
	meet(kit, "anybody")
	tenant, err := kit.Keyring.LookupTenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	ev := o.event(events.RequestCompleted, "", "acme", events.Data{Actor: Worker, Attributes: map[string]string{attrRequest: "r"}})
	accepted := func(sum [8]byte) bool {
		ev.ID = hex.EncodeToString(sum[:])
		return kit.Policy.Validate(&ev, time.Now()) == nil
	}
	if !accepted([8]byte{}) {
		t.Fatal("no id is accepted")
	}
	id := ""
	for i := 0; accepted(tenant.Digest([]byte(id + ".completed"))); i++ {
		id = fmt.Sprintf("queued-%d", i)
	}
	o.queueOf(id)
	kit.Run(o.Run)
	o.until(id, Completed)
}
