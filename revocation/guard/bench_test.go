package guard_test

import (
	"context"
	"encoding/base64"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rescindhq/rescind/events"
	"github.com/rescindhq/rescind/revocation"
	"github.com/rescindhq/rescind/revocation/feed/feedtest"
	"github.com/rescindhq/rescind/revocation/guard"
)

var methods = []struct {
	method jwt.SigningMethod
	key    any
	id     string
	public any
}{{jwt.SigningMethodES256, ecKey, "ec", ecKey.Public()}, {jwt.SigningMethodRS256, rsaKey, "rsa", rsaKey.Public()}}

// BenchmarkCheck is the whole of Check, against a set in memory, and how much
// of its processor time is not the verification of the signature: ours.
func BenchmarkCheck(b *testing.B) {
	for _, m := range methods {
		b.Run(m.method.Alg(), func(b *testing.B) {
			g := must(guard.New(guard.Config{Issuer: issuer, Audience: []string{audience}, Keys: keys(), Feed: newInMemory(), Tenant: "acme", Now: exampleNow}))
			raw := sign(b, m.method, m.key, m.id, claims())
			text, signature := split(raw)
			check := func() {
				if _, err := g.Check(b.Context(), raw); err != nil {
					b.Fatal(err)
				}
			}
			verify := func() {
				if err := m.method.Verify(text, signature, m.public); err != nil {
					b.Fatal(err)
				}
			}
			var whole, signatures time.Duration
			for b.Loop() { // by turns, because the machine is not the same all the time
				whole += timed(check)
				signatures += timed(verify)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(whole.Nanoseconds())/float64(b.N), "check-ns")
			b.ReportMetric(float64(signatures.Nanoseconds())/float64(b.N), "signature-ns")
			b.ReportMetric(100*float64(whole-signatures)/float64(whole), "ours-%")
		})
	}
}

func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func split(raw string) (text string, signature []byte) {
	at := strings.LastIndexByte(raw, '.')
	return raw[:at], must(base64.RawURLEncoding.DecodeString(raw[at+1:]))
}

var benchKey = feedtest.Key(1)

// inMemory is a set that tells what was applied, as a feed does without NATS.
type inMemory struct {
	*revocation.Set
	changed func([]revocation.Entry)
	n       atomic.Int64 // decisions
}

func newInMemory() *inMemory {
	m := &inMemory{Set: revocation.NewSet(1)}
	m.SetKeys([]events.FeedKey{benchKey})
	return m
}

func (m *inMemory) Decide(c revocation.Claims) revocation.Decision {
	m.n.Add(1)
	return m.Set.Decide(&c, time.Now())
}

func (m *inMemory) Listen(changed func([]revocation.Entry)) func() {
	m.changed = changed
	return func() {}
}

func (m *inMemory) AppendHashes(dst []events.Ref, c revocation.Claims) []events.Ref {
	return m.Set.AppendHashes(dst, &c)
}

// revoke applies a revocation of the token of c and tells of it.
func (m *inMemory) revoke(index uint64, c revocation.Claims) {
	entries := []revocation.Entry{{Hash: benchKey.Hash(events.ScopeToken, c.Issuer, c.TokenID), Index: index, Scope: events.ScopeToken,
		Expires: events.TimestampOf(time.Now().Add(time.Hour)), At: events.TimestampOf(time.Now()), Key: revocation.KeyID{Tenant: feedtest.Tenant, Generation: 1}}}
	m.Apply(entries...)
	m.changed(entries)
}

func tokenOf(n int) *guard.Token {
	c := feedtest.Claims(n)
	return &guard.Token{Tenant: c.Tenant, KeyID: c.KeyID, Claims: guard.Claims{Issuer: c.Issuer, TokenID: c.TokenID, SessionID: c.SessionID, Subject: c.Subject,
		ClientID: c.ClientID, IssuedAt: c.IssuedAt, Expires: events.TimestampOf(time.Now().Add(time.Hour))}}
}

const openStreams = 10_000

// openAll has openStreams streams open, each looked at once, and says how many
// bytes of heap one takes.
func openAll(b *testing.B) (*inMemory, *guard.Guard, float64) {
	b.Helper()
	m := newInMemory()
	g := must(guard.New(guard.Config{Issuer: feedtest.Issuer, Audience: []string{audience}, Keys: keys(), Feed: m, Tenant: feedtest.Tenant}))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range openStreams {
		_, stop := g.Watch(b.Context(), tokenOf(n))
		b.Cleanup(stop)
	}
	for m.n.Load() < openStreams {
		time.Sleep(time.Millisecond)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return m, g, float64(after.HeapAlloc-before.HeapAlloc) / openStreams
}

// BenchmarkWatch is what a request costs that ends before it is a stream.
func BenchmarkWatch(b *testing.B) {
	g := must(guard.New(guard.Config{Issuer: feedtest.Issuer, Audience: []string{audience}, Keys: keys(), Feed: newInMemory(), Tenant: feedtest.Tenant}))
	t := tokenOf(1)
	b.ReportAllocs()
	for b.Loop() {
		_, stop := g.Watch(b.Context(), t)
		stop()
	}
}

// BenchmarkOthersRevoked is what a revocation costs the feed while 10,000
// streams are open that it is not about.
func BenchmarkOthersRevoked(b *testing.B) {
	m, _, _ := openAll(b)
	entries := []revocation.Entry{{Hash: benchKey.Hash(events.ScopeToken, feedtest.Issuer, "another")}}
	b.ReportAllocs()
	for b.Loop() {
		m.changed(entries)
	}
}

// BenchmarkIdleStreams is the processor time that 10,000 open streams take in a
// second in which nothing happens.
func BenchmarkIdleStreams(b *testing.B) {
	_, _, each := openAll(b)
	began, used := time.Now(), processorTime()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	b.ReportMetric(each, "B/stream")
	b.ReportMetric(float64((processorTime()-used).Milliseconds())/time.Since(began).Seconds(), "cpu-ms/s")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCut is from applying a revocation to the end of the context of the
// stream that it is about, with 10,000 others open.
func BenchmarkCut(b *testing.B) {
	m, g, _ := openAll(b)
	var took []time.Duration
	n := openStreams
	for b.Loop() {
		n++
		t := tokenOf(n)
		asked := m.n.Load()
		stream, stop := g.Watch(b.Context(), t)
		for m.n.Load() == asked {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(120 * time.Millisecond) // beyond its first look
		began := time.Now()
		m.revoke(uint64(n), feedtest.Claims(n))
		<-stream.Done()
		took = append(took, time.Since(began))
		stop()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkTenantRevoked is until all of 10,000 streams are cut by one
// revocation.
func BenchmarkTenantRevoked(b *testing.B) {
	for b.Loop() {
		m := newInMemory()
		g := must(guard.New(guard.Config{Issuer: feedtest.Issuer, Audience: []string{audience}, Keys: keys(), Feed: m, Tenant: feedtest.Tenant}))
		var streams []context.Context
		for n := range openStreams {
			ctx, stop := g.Watch(b.Context(), tokenOf(n))
			defer stop()
			streams = append(streams, ctx)
		}
		for m.n.Load() < openStreams {
			time.Sleep(time.Millisecond)
		}
		now := events.TimestampOf(time.Now())
		entries := []revocation.Entry{{Hash: benchKey.Hash(events.ScopeTenant, feedtest.Issuer, ""), Index: 1, Scope: events.ScopeTenant, IssuedBefore: now,
			Expires: now + 3_600_000, At: now, Key: revocation.KeyID{Tenant: feedtest.Tenant, Generation: 1}}}
		began, used := time.Now(), processorTime()
		m.Apply(entries...)
		m.changed(entries)
		for _, s := range streams {
			<-s.Done()
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/all")
		b.ReportMetric(float64((processorTime() - used).Milliseconds()), "cpu-ms/all")
	}
}
