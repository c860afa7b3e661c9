package feedkey

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/seal"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/projector/intake"
	"github.com/rescindhq/rescind/projector/revoke"
	"github.com/rescindhq/rescind/query/lane/lanetest"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer = "https://id.example"
	day    = 24 * time.Hour
)

// house is a real server with an intake, and a clock for keyrings and keepers that
// goes where a test wants. That of the intake and of verifiers is the real one.
type house struct {
	testing.TB
	kit    *lanetest.Kit
	js     jetstream.JetStream // as the projector
	keys   *seal.Keyring       // of the intake
	away   atomic.Int64        // of the clock from the real one
	events int
	stop   func() // the intake
}

// newHouse is one whose clock is so far from the real one.
func newHouse(t *testing.T, away time.Duration) *house {
	t.Helper()
	h := &house{kit: lanetest.Start(t), TB: t}
	var err error
	h.js, err = jetstream.New(h.kit.Projector)
	h.check(err)
	h.at(away)
	h.keys = h.keyring()
	h.kit.StopIntake()
	h.open()
	return h
}

func (h *house) check(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// open runs an intake.
func (h *house) open() {
	h.Helper()
	h.stop = h.kit.IntakeWith(func(c *intake.Config) { c.Keyring = h.keys })
}

// at sets the clock to a time from now.
func (h *house) at(away time.Duration) { h.away.Store(int64(away)) }

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.away.Load())) }

func (h *house) store() *stream.KeyStore {
	h.Helper()
	store, err := stream.OpenKeyStore(h.Context(), h.js)
	h.check(err)
	return store
}

func (h *house) keyring() *seal.Keyring { return h.keyringAt(h.now) }

func (h *house) keyringAt(now func() time.Time) *seal.Keyring {
	h.Helper()
	k, err := seal.NewKeyring(seal.Config{Store: h.store(), Root: lanetest.Root(), Now: now, CacheTTL: time.Millisecond})
	h.check(err)
	return k
}

// keeper is a process that begins to look after the keys.
func (h *house) keeper() *Keeper {
	h.Helper()
	k, err := New(Config{
		Keyring: h.keyring(), Logs: []*stream.Log{h.kit.Log}, Every: 10 * time.Millisecond,
		Intake: func(ctx context.Context) (stream.IntakeState, error) { return stream.ReadIntakeState(ctx, h.js) },
		Lock: func(ctx context.Context) (context.Context, func(), error) {
			return stream.Elect(ctx, h.js, "feedkeys", time.Second)
		},
		Now: func(time.Time) time.Time { return h.now() },
	})
	h.check(err)
	return k
}

func (h *house) turn(k *Keeper) {
	h.Helper()
	h.check(k.turn(h.Context()))
}

// publish has the intake log an event of a tenant, and is its record.
func (h *house) publish(tenant string, typ events.Type, d events.Data) *events.Record {
	h.Helper()
	id := h.send(tenant, typ, d)
	var found *events.Record
	lanetest.Eventually(h, "the event on the log", func() error {
		for _, l := range h.records() {
			if found = l.record; found.ID == id {
				return nil
			}
		}
		return errors.New("it is not there")
	})
	h.drained()
	return found
}

// drained waits until nothing is in the intake.
func (h *house) drained() {
	h.Helper()
	lanetest.Eventually(h, "an empty intake", func() error {
		state, err := stream.ReadIntakeState(h.Context(), h.js)
		if err == nil && state.First <= state.Last {
			err = fmt.Errorf("from %d to %d", state.First, state.Last)
		}
		return err
	})
}

// send puts an event into the intake.
func (h *house) send(tenant string, typ events.Type, d events.Data) (id string) {
	h.Helper()
	h.events++
	id = fmt.Sprint("event-", h.events)
	d.Issuer, d.Reason, d.Actor = issuer, "test", "a"
	h.kit.Publish(events.Event{ID: id, Source: "test", Type: typ, Time: time.Now(), Tenant: tenant, Environment: lanetest.Environment, Data: d})
	return id
}

// revoke revokes a token that expires so much later.
func (h *house) revoke(tenant, jti string, exp time.Duration) *events.Record {
	h.Helper()
	return h.publish(tenant, events.TokenRevoked, events.Data{TokenID: jti, Expires: events.TimestampOf(time.Now().Add(exp))})
}

// lift lifts what a record of acme revokes, as the API does.
func (h *house) lift(r *events.Record) {
	h.Helper()
	at := slices.IndexFunc(h.records(), func(l logged) bool { return l.record.ID == r.ID })
	v := r.Revocation
	exp := v.Expires
	if exp == events.MaxTimestamp {
		exp = 0
	}
	h.publish(r.Tenant, events.RevocationLifted, events.Data{Expires: exp, Attributes: map[string]string{
		"hash": v.Hash.String(), "revocation": r.Ref().String(), "scope": string(v.Scope),
		"position": fmt.Sprint(h.records()[at].index), "feed_key": fmt.Sprint(v.FeedKey),
	}})
}

// forget leaves nothing of a tenant's own keys, as in a copy from before there was
// the tenant.
func (h *house) forget(tenant string) {
	h.Helper()
	store := h.store()
	names, err := store.List(h.Context(), "f."+tenant+".")
	h.check(err)
	for _, name := range append(names, "t."+tenant) {
		h.check(store.Erase(h.Context(), name))
	}
}

type logged struct {
	index  uint64
	record *events.Record
}

// records is the whole control lane.
func (h *house) records() (out []logged) {
	h.Helper()
	last, err := h.kit.Log.LastOf(h.Context(), events.Control)
	h.check(err)
	r, err := h.kit.Log.Read(h.Context(), 1, events.Control)
	h.check(err)
	defer r.Close()
	for seq := uint64(0); seq < last.Seq; {
		messages, err := r.Next(h.Context(), 1<<20)
		h.check(err)
		for _, m := range messages {
			seq = m.Seq
			b, err := events.UnmarshalBatch(m.Data)
			h.check(err)
			for i := range b.Items {
				record, err := events.UnmarshalRecord(b.Items[i].Record)
				h.check(err)
				out = append(out, logged{b.Header.First + uint64(i), record})
			}
		}
	}
	return out
}

// Keys implements revoke.Keys.
func (h *house) Keys(ctx context.Context) ([]events.FeedKey, error) { return h.keys.FeedKeys(ctx) }

// set is what a verifier knows at a time that has all of the log and the keys.
func (h *house) set(at time.Time) *revocation.Set {
	h.Helper()
	keys, err := h.Keys(h.Context())
	h.check(err)
	s := revocation.NewSet(1)
	s.SetKeys(keys)
	for _, l := range h.records() {
		if e, ok, err := revocation.EntryOf(l.record, l.index); err == nil && ok && !e.Expired(at) {
			s.Apply(e)
		}
	}
	return s
}

// decides fails where a verifier at the house's time decides otherwise of a token.
func (h *house) decides(tenant, jti string, want revocation.State) {
	h.Helper()
	c := revocation.Claims{Tenant: tenant, Issuer: issuer, TokenID: jti, Subject: "somebody", KeyID: "k", IssuedAt: events.TimestampOf(time.Now())}
	if d := h.set(h.now()).Decide(&c, h.now()); d.State != want {
		h.Errorf("%s: %+v, want %s", jti, d, want)
	}
}

// of is the feed keys of a tenant that rotate.
func (h *house) of(tenant string) (out []uint32) {
	h.Helper()
	all, err := h.keyring().FeedGenerations(h.Context())
	h.check(err)
	for _, g := range all {
		if g.Tenant == tenant {
			out = append(out, g.Generation)
		}
	}
	return out
}

// keyOf is one of them.
func (h *house) keyOf(tenant string, generation uint32) events.FeedKey {
	h.Helper()
	keys, err := h.Keys(h.Context())
	h.check(err)
	at := slices.IndexFunc(keys, func(k events.FeedKey) bool { return k.Tenant == tenant && k.Generation == generation })
	if at < 0 {
		h.Fatalf("generation %d of %s is not there", generation, tenant)
	}
	return keys[at]
}

// generations is those of acme.
func (h *house) generations() []uint32 { return h.of("acme") }

func (h *house) wants(what string, want ...uint32) {
	h.Helper()
	if got := h.generations(); !slices.Equal(got, want) {
		h.Fatalf("%s: generations %v, want %v", what, got, want)
	}
}

// newest is the newest generation of acme.
func (h *house) newest() uint32 {
	h.Helper()
	all := h.generations()
	return all[len(all)-1]
}

// verify runs a revoker, and a verifier that follows it.
func (h *house) verify() *verifier {
	h.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	r := revoke.New(revoke.Config{Conn: h.kit.Projector, Key: key, Keys: h, Heartbeat: 50 * time.Millisecond, SnapshotEvery: 100 * time.Millisecond})
	h.kit.Run(r.Run)
	f := feed.New(feed.Config{Conn: natsdtest.Connect(h, h.kit.NATS, natsd.Verifier), PublicKey: key.Public().(ed25519.PublicKey), SaveEvery: 100 * time.Millisecond, StaleAfter: 5 * time.Minute})
	h.kit.Run(f.Run)
	select {
	case <-f.Ready():
	case <-h.Context().Done():
		h.Fatal("the verifier is not ready")
	}
	return &verifier{h, f}
}

// verifier is one that follows the feed, by the real clock.
type verifier struct {
	*house
	feed *feed.Feed
}

func claims(tenant, jti string) revocation.Claims {
	return revocation.Claims{Tenant: tenant, Issuer: issuer, TokenID: jti, Subject: "somebody", IssuedAt: events.TimestampOf(time.Now())}
}

// sendRevoked revokes token n of a tenant for an hour.
func (h *house) sendRevoked(tenant string, n int) {
	h.Helper()
	h.send(tenant, events.TokenRevoked, events.Data{TokenID: fmt.Sprint("t", n), Expires: events.TimestampOf(time.Now().Add(time.Hour))})
}

// refuses waits until token n of a tenant is refused.
func (v *verifier) refuses(tenant string, n int) {
	v.Helper()
	lanetest.Eventually(v, fmt.Sprint("token ", n, " of ", tenant), func() error {
		if d := v.feed.Decide(claims(tenant, fmt.Sprint("t", n))); d.State != revocation.Revoked {
			return fmt.Errorf("%+v", d)
		}
		return nil
	})
}

// awaits waits until the verifier has a key, or has it no more.
func (v *verifier) awaits(key *events.FeedKey, want bool) {
	v.Helper()
	lanetest.Eventually(v, "the verifier's keys", func() error {
		hash := key.Hash(events.ScopeToken, issuer, "j")
		if has := slices.Contains(v.feed.AppendHashes(nil, claims(key.Tenant, "j")), hash); has != want {
			return fmt.Errorf("has generation %d: %t", key.Generation, has)
		}
		return nil
	})
}

// watch asks about tokens that nobody revokes for as long as do takes.
func (v *verifier) watch(do func()) {
	v.Helper()
	ctx, cancel := context.WithCancel(v.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			for _, tenant := range []string{"acme", "globex"} {
				if d := v.feed.Decide(claims(tenant, "living")); d.State == revocation.Revoked || d.Cause == revocation.CauseCold {
					v.Errorf("a living token of %s: %+v", tenant, d)
					return
				}
			}
		}
	})
	do()
	cancel()
	watching.Wait()
}
