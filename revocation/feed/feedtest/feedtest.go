// Package feedtest has what tests of the revocation feed share: a log to
// revoke in, and keys.
package feedtest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/events/stream"
	"github.com/rescindhq/rescind/internal/natsd"
	"github.com/rescindhq/rescind/internal/natsd/natsdtest"
	"github.com/rescindhq/rescind/revocation"
)

// Tenant and Issuer are those of all that Log revokes.
const (
	Tenant = "acme"
	Issuer = "https://issuer.example"
)

// Signer is a key to sign feeds with.
func Signer() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

// Public is the public half of Signer.
func Public() ed25519.PublicKey { return Signer().Public().(ed25519.PublicKey) }

// Keys is feed keys that a test can change.
type Keys struct {
	mu   sync.Mutex
	keys []events.FeedKey
	down bool
}

// NewKeys has the first generation of Tenant.
func NewKeys() *Keys { return &Keys{keys: []events.FeedKey{Key(1)}} }

// Key is a generation of Tenant's feed key.
func Key(generation uint32) events.FeedKey { return KeyOf(Tenant, generation) }

// KeyOf is Key for a tenant.
func KeyOf(tenant string, generation uint32) events.FeedKey {
	k := events.FeedKey{Tenant: tenant, Generation: generation}
	copy(k.Key[:], fmt.Sprintf("feed key no. %d", generation))
	return k
}

var errDown = errors.New("keyring is down")

// Keys implements revoke.Keys.
func (k *Keys) Keys(context.Context) ([]events.FeedKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return nil, errDown
	}
	return slices.Clone(k.keys), nil
}

// Set replaces the keys.
func (k *Keys) Set(keys ...events.FeedKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
}

// Down makes Keys fail, or no longer.
func (k *Keys) Down(down bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = down
}

// Log writes batches as the intake does.
type Log struct {
	log   *stream.Log
	name  string                            // of the tenant
	last  uint64                            // sequence in the stream
	next  uint64                            // index of the next record
	count uint64                            // revocations, for ids
	index map[*events.Record]uint64         // of records
	lifts map[*events.Record]*events.Record // not appended yet, and what they lift
	Key   events.FeedKey
}

// OpenLog opens the log of s, which must be empty, and appends a record that
// revokes nothing: index 0 cannot be told from nothing.
func OpenLog(t testing.TB, s *natsd.Server) *Log { return OpenLogOf(t, s, 0, Tenant) }

// OpenLogOf is OpenLog for a shard, in which a tenant revokes.
func OpenLogOf(t testing.TB, s *natsd.Server, shard uint16, tenant string) *Log {
	t.Helper()
	l, err := stream.OpenLogOf(t.Context(), natsdtest.JetStream(t, s, natsd.Projector), shard)
	if err != nil {
		t.Fatal(err)
	}
	out := &Log{log: l, name: tenant, Key: KeyOf(tenant, 1), index: make(map[*events.Record]uint64), lifts: make(map[*events.Record]*events.Record)}
	out.Append(t, out.Other())
	return out
}

// Reopen goes on with the log of s, which is that of the server before it or
// was put back to where l is.
func (l *Log) Reopen(t testing.TB, s *natsd.Server) {
	t.Helper()
	log, err := stream.OpenLogOf(t.Context(), natsdtest.JetStream(t, s, natsd.Projector), l.log.Shard())
	if err != nil {
		t.Fatal(err)
	}
	l.log = log
}

// Claims are those of token n of a subject of its own.
func Claims(n int) revocation.Claims {
	return revocation.Claims{Tenant: Tenant, Issuer: Issuer, TokenID: fmt.Sprintf("token-%d", n), SessionID: fmt.Sprintf("session-%d", n),
		Subject: fmt.Sprintf("subject-%d", n), ClientID: "client", KeyID: "key", IssuedAt: events.TimestampOf(time.Now().Add(-time.Minute))}
}

// Revocation is a record that revokes what c names at scope, for an hour.
func (l *Log) Revocation(scope events.Scope, c revocation.Claims) *events.Record {
	l.count++
	ids := map[events.Scope]string{events.ScopeToken: c.TokenID, events.ScopeSession: c.SessionID, events.ScopeSubject: c.Subject, events.ScopeClient: c.ClientID, events.ScopeKey: c.KeyID}
	now := time.Now()
	r := l.record(scope.RevokedType())
	r.Reason = "test"
	r.Revocation = &events.Revocation{Scope: scope, Hash: l.Key.Hash(scope, c.Issuer, ids[scope]), Expires: events.TimestampOf(now.Add(time.Hour)), FeedKey: l.Key.Generation}
	if scope != events.ScopeToken && scope != events.ScopeSession && scope != events.ScopeKey {
		r.Revocation.IssuedBefore = events.TimestampOf(now)
	}
	return r
}

// Lift is a record that lifts what r revokes, which is appended before it or
// with it.
func (l *Log) Lift(r *events.Record) *events.Record {
	l.count++
	lift := l.record(events.RevocationLifted)
	lift.Revocation = &events.Revocation{Scope: r.Revocation.Scope, Hash: r.Revocation.Hash, Expires: r.Revocation.Expires, Lifts: r.Ref(), FeedKey: r.Revocation.FeedKey}
	l.lifts[lift] = r
	return lift
}

// Other is a record of the control lane that revokes nothing.
func (l *Log) Other() *events.Record {
	l.count++
	return l.record(events.ConsentGranted)
}

func (l *Log) record(typ events.Type) *events.Record {
	now := time.Now().UnixMicro()
	return &events.Record{Version: events.RecordVersion, Source: "test", ID: fmt.Sprint(l.count), Tenant: l.name, Environment: "test",
		Type: typ, Time: now, Received: now, Issuer: Issuer}
}

// Next is the index of the record that is appended next.
func (l *Log) Next() uint64 { return l.next }

// Append writes one batch and returns the index of its last record.
func (l *Log) Append(t testing.TB, records ...*events.Record) uint64 {
	t.Helper()
	b := events.Batch{Header: events.Header{Version: events.BatchVersion, Shard: l.log.Shard(), Epoch: 1, Lane: events.Control, First: l.next, Count: uint32(len(records)),
		Written: time.Now().UnixMicro(), Size: l.next + uint64(len(records))}}
	for i, r := range records {
		l.index[r] = l.next + uint64(i)
	}
	for _, r := range records {
		if lifted := l.lifts[r]; lifted != nil {
			r.Revocation.LiftsIndex = l.index[lifted]
		}
		data, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		b.Items = append(b.Items, events.Item{Record: data})
	}
	data, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	l.AppendRaw(t, data)
	l.next += uint64(len(records))
	return l.next - 1
}

// IndexOf is the place of a record that was appended.
func (l *Log) IndexOf(r *events.Record) uint64 { return l.index[r] }

// AppendRaw writes one message as it is.
func (l *Log) AppendRaw(t testing.TB, data []byte) {
	t.Helper()
	seq, err := l.log.Append(t.Context(), events.Control, data, l.last)
	if err != nil {
		t.Fatal(err)
	}
	l.last = seq
}

// Revoke appends one revocation of each of the claims and returns the index of
// the last.
func (l *Log) Revoke(t testing.TB, scope events.Scope, claims ...revocation.Claims) uint64 {
	t.Helper()
	var records []*events.Record
	for _, c := range claims {
		records = append(records, l.Revocation(scope, c))
	}
	return l.Append(t, records...)
}

// patience is how long Eventually waits before the test fails.
const patience = 2 * time.Minute

// Eventually returns when the condition holds.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

// Go runs run until the test ends or the function that it returns is called,
// which waits for it. The test fails where run fails.
func Go(t testing.TB, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}
